# SPDX-License-Identifier: Apache-2.0
"""A primary that begins with a snapshot is protected as any other: its backup goes on where it died.
"""

import pathlib
import signal
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from fmvm_process import OK, STOPPED, main  # noqa: E402
from killing import check_status  # noqa: E402
from pair import COUNTER, DIRTY_4, JOURNAL, SMP, PairTestCase, Restored, make_image  # noqa: E402
from snapshots import SnapshotTestCase  # noqa: E402


class RestoredPrimary(PairTestCase, SnapshotTestCase):
    def saved(self, workload, *options):
        """The workload's guest as a snapshot holds it, after some of its lines."""
        vm = self.start_controlled(*workload.start("32M"), *options)
        vm.wait_lines(20)
        name = f"saved-{workload.name}"
        done = self.snapshot(name, "--stop")
        self.assertEqual(done.returncode, OK, done.stderr)
        self.assert_status(vm, STOPPED)
        return Restored(workload.name, self.directory / name, bytes(vm.console), workload.judge,
                        workload.check_disk)

    def kill_and_judge(self, pair):
        primary, backup = pair.start()
        primary.wait_lines(20)
        primary.signal(signal.SIGKILL)
        self.assert_took_over(pair, primary, backup)
        check_status(primary, -signal.SIGKILL)
        self.assertEqual(backup.stop(), STOPPED, backup.description())
        pair.verdict(primary, backup)

    def test_goes_on_at_the_backup(self):
        """With the snapshot's memory and CPUs, and every line from the first on."""
        for workload in (COUNTER, DIRTY_4, SMP):
            with self.subTest(guest=workload.name):
                self.kill_and_judge(self.pair(self.saved(workload)))

    def test_with_a_shared_disk(self):
        disk = make_image(self.directory / "disk.img")
        saved = self.saved(JOURNAL, "--disk", f"path={disk}")
        self.kill_and_judge(self.pair(saved, disk=disk))


if __name__ == "__main__":
    main()
