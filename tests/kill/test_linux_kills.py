# SPDX-License-Identifier: Apache-2.0
"""Linux writes fsynced records to ext4 on a disk, which both sides share or of which each has its
own; its primary is killed at a random moment,
and the backup carries on to the end. Then the file system is clean, every record that was shown is
in it, and the consoles together show each of them, in order.

Linux boots once; every kill starts a pair from a snapshot and a copy of its disk.
FMVM_LINUX_KILLS: how many kills. FMVM_KILL_SEED repeats the moments of a run.
"""

import itertools
import os
import pathlib
import random
import re
import shutil
import signal
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "support"), str(HERE.parent / "linux")]
from fmvm_process import OK, STOPPED, VmTestCase, main, run, settings  # noqa: E402
from killing import check_status  # noqa: E402
from observer import judge_records  # noqa: E402
from pair import Pair, Restored  # noqa: E402
import linux_guest  # noqa: E402

KILLS = int(os.environ.get("FMVM_LINUX_KILLS", "2"))
SEED = int(os.environ.get("FMVM_KILL_SEED", time.time_ns() % 1000000))
RECORDS = 60
LATEST_S = 3.0  # after the guest is protected; its work takes longer


class LinuxKills(VmTestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="fmvm-linux-")
        self.addCleanup(directory.cleanup)
        self.directory = pathlib.Path(directory.name)

    def boot_once(self):
        """A snapshot of Linux at its work, and its disk as it is then."""
        disk, control, saved = (self.directory / name for name in ("disk.img", "control", "saved"))
        linux_guest.make_disk(disk)
        cmdline = f"fmvm.work=records fmvm.count={RECORDS} fmvm.end=poweroff"
        vm = self.start(*linux_guest.arguments(cmdline, disk, memory="128M"), "--control", control)
        vm.wait_for("record 2 ", timeout=linux_guest.BOOT_LIMIT_S)
        run(settings.fmvm, "snapshot", "--control", control, "--to", saved, "--stop")
        self.assert_status(vm, STOPPED)
        return disk, Restored("linux", saved, bytes(vm.console), judge_records,
                              linux_guest.GUEST / "check-records")

    def kill(self, linux, disk, block, moment):
        pair = Pair(linux, disk=disk, block=block)
        try:
            primary, backup = pair.start()
            time.sleep(moment)
            primary.signal(signal.SIGKILL)
            backup.wait_log("took over: the guest runs here generation=2")
            check_status(primary, -signal.SIGKILL)
            self.assertEqual(backup.finish(linux_guest.BOOT_LIMIT_S), OK, pair.description())
            joined = pair.verdict(primary, backup)
            shown = re.findall(rb"^record (\d+) ", joined.stream, re.M)
            self.assertEqual(len(shown), RECORDS, pair.description())
            return primary.console.count(b"record "), joined.repeated
        finally:
            pair.close()

    def test_of_the_primary(self):
        print(f"FMVM_KILL_SEED={SEED}", flush=True)
        image, linux = self.boot_once()
        for number, block in itertools.product(range(KILLS), ("shared", "replay")):
            moment = random.Random(f"{SEED}/{number}").uniform(0, LATEST_S)
            with self.subTest(seed=SEED, number=number, block=block, moment=moment):
                disk = self.directory / f"{number}-{block}.img"
                shutil.copyfile(image, disk)
                before, repeated = self.kill(linux, disk, block, moment)
                print(f"  {number} {block} after {moment * 1000:.0f} ms: {before} records shown by "
                      f"the primary, {repeated} bytes repeated", flush=True)
                disk.unlink()


if __name__ == "__main__":
    main()
