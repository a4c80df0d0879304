# SPDX-License-Identifier: Apache-2.0
"""A real Linux: boots, mounts ext4, writes fsynced records or runs a database, powers off; then
the disk is examined from outside."""

import os
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from fmvm_process import OK, VmTestCase, main, run  # noqa: E402
import linux_guest  # noqa: E402

RECORDS = 200
TRANSACTIONS = 20
# A few hundred runs of Linux are for a night, not for CI.
ROUNDS = int(os.environ.get("FMVM_LINUX_ROUNDS", "1"))


class Linux(VmTestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.disk = pathlib.Path(directory.name) / "disk.img"
        self.log = pathlib.Path(directory.name) / "console.log"

    def run_linux(self, cmdline):
        self.disk.unlink(missing_ok=True)
        linux_guest.make_disk(self.disk)
        vm = self.start(*linux_guest.arguments(cmdline, self.disk))
        self.assert_status(vm, OK, timeout=linux_guest.BOOT_LIMIT_S * 2)
        self.log.write_bytes(vm.console)
        return vm

    def test_records_are_on_the_disk(self):
        for number in range(ROUNDS):
            with self.subTest(round=number):
                vm = self.run_linux(f"fmvm.work=records fmvm.count={RECORDS} fmvm.end=poweroff")
                shown = [line for line in vm.lines() if line.startswith("record ")]
                self.assertEqual(len(shown), RECORDS, vm.description())
                run(linux_guest.GUEST / "check-records", self.disk, self.log)

    def test_database_is_consistent(self):
        for number in range(ROUNDS):
            with self.subTest(round=number):
                vm = self.run_linux(f"fmvm.work=sqlite fmvm.count={TRANSACTIONS} fmvm.end=poweroff")
                lines = vm.lines()
                shown = [line for line in lines if line.startswith("txn ")]
                self.assertEqual(len(shown), TRANSACTIONS, vm.description())
                self.assertIn("sqlite integrity ok", "\n".join(lines), vm.description())
                run(linux_guest.GUEST / "check-sqlite", self.disk, self.log)


if __name__ == "__main__":
    main()
