# SPDX-License-Identifier: Apache-2.0
"""A real Linux is saved while it writes fsynced records to ext4, and goes on in other processes:
every record is on the disk, none is missing on the console, the file system is clean."""

import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from fmvm_process import OK, main, run  # noqa: E402
from snapshots import SnapshotTestCase  # noqa: E402
import linux_guest  # noqa: E402

RECORDS = 150
MOVES = 3


class LinuxSnapshot(SnapshotTestCase):
    def test_records_survive_moves(self):
        disk = self.directory / "disk.img"
        linux_guest.make_disk(disk)
        cmdline = f"fmvm.work=records fmvm.count={RECORDS} fmvm.end=poweroff"
        start = linux_guest.arguments(cmdline, disk)
        stay = ("--disk", f"path={disk}")
        vm = self.start_controlled(*start)
        vm.wait_for("record 10 ", timeout=linux_guest.BOOT_LIMIT_S)
        earlier = bytearray()
        for number in range(MOVES):
            follower = self.move(vm, f"{number}", *stay)
            self.assertIsNotNone(follower, vm.description())
            earlier += vm.console
            vm = follower
            vm.wait_for("record ", timeout=linux_guest.BOOT_LIMIT_S)
        self.assert_status(vm, OK, timeout=linux_guest.BOOT_LIMIT_S * 2)
        log = self.directory / "console.log"
        log.write_bytes(earlier + vm.console)
        numbers = [int(found) for found in
                   re.findall(r"^record (\d+) [0-9a-f]{8}\r?$", log.read_text(), re.M)]
        self.assertEqual(numbers, list(range(1, RECORDS + 1)), vm.description())
        run(linux_guest.GUEST / "check-records", disk, log)


if __name__ == "__main__":
    main()
