# SPDX-License-Identifier: Apache-2.0
"""The arbiter's mount hangs (it does not fail: it never answers) under a protected guest."""

import pathlib
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from fmvm_process import STOPPED, main, settings  # noqa: E402
from killing import check_status  # noqa: E402
from pair import COUNTER, JOURNAL, PairTestCase  # noqa: E402

STOP_LIMIT_S = 8  # each wait for the arbiter has its own limit


def hanging(switch):
    """The environment of a side whose claims hang while the file `switch` is there."""
    return {"LD_PRELOAD": str(settings.fmvm.parent / "tests/hanging_mount.so"),
            "FMVM_TEST_HANG": str(switch)}


class HungArbiter(PairTestCase):
    def protected(self, workload, **options):
        pair = self.pair(workload, **options)
        self.hang = pair.directory / "hang"
        backup = pair.start_backup()
        primary = pair.start_primary(environment=hanging(self.hang))
        primary.wait_log("protected by")
        primary.wait_lines(20)
        return pair, primary, backup

    def epochs(self, pair):
        return (pair.directory / "primary.trace").read_bytes().count(b"\n")

    def lines(self, side):
        return bytes(side.console).count(b"\n")

    def test_a_pair_goes_on(self):
        """It speaks by the backup's promises; that the arbiter is silent is told."""
        for workload, disk in ((COUNTER, None), (JOURNAL, self.new_disk())):
            with self.subTest(guest=workload.name):
                pair, primary, backup = self.protected(workload, disk=disk)
                self.hang.touch()
                primary.wait_log("the arbiter does not say whether this generation is the newest")
                epochs, backup_log = self.epochs(pair), backup.log()
                primary.wait_lines(self.lines(primary) + 20)
                self.assertGreater(self.epochs(pair), epochs, pair.description())
                self.assertEqual(backup.log(), backup_log)
                self.hang.unlink()
                primary.wait_log("the arbiter answers again")
                workload.judge(bytes(primary.console))
                self.end(pair, primary, backup)
                pair.check_disk(bytes(primary.console), primary)

    def test_a_side_alone_is_silent_and_runs_on(self):
        pair = self.pair(COUNTER)
        self.hang = pair.directory / "hang"
        primary = pair.start_primary(environment=hanging(self.hang))
        primary.wait_lines(20)
        self.hang.touch()
        primary.wait_log("the guest's output waits for the arbiter")
        shown = len(primary.console)
        time.sleep(2)
        self.assertEqual(len(primary.console), shown, pair.description())
        self.hang.unlink()
        primary.wait_lines(self.lines(primary) + 20)
        COUNTER.judge(bytes(primary.console))
        self.end(pair, primary)

    def test_the_primary_can_be_stopped(self):
        pair, primary, backup = self.protected(COUNTER)
        self.hang.touch()
        asked = primary.signal(signal.SIGTERM)
        check_status(primary, STOPPED)
        self.assertLess(time.monotonic() - asked, STOP_LIMIT_S)
        backup.finish()
        pair.check()

    def test_the_primary_is_killed(self):
        """The backup's mount answers."""
        pair, primary, backup = self.protected(COUNTER)
        self.hang.touch()
        time.sleep(0.5)
        primary.signal(signal.SIGKILL)
        self.assert_took_over(pair, primary, backup)
        self.end(pair, backup)

    def threads(self, side):
        return len(list(pathlib.Path(f"/proc/{side.process.pid}/task").iterdir()))

    def test_the_backup_s_hangs_as_a_primary_comes(self):
        """It refuses, with the reason, and can be stopped."""
        pair = self.pair(COUNTER)
        hang = pair.directory / "hang"
        hang.touch()
        backup = pair.start_backup(environment=hanging(hang))
        primary = pair.start_primary()
        for side in (backup, primary):
            side.wait_log("the arbiter does not answer")
        # Each time the primary comes again, it is not asked once more.
        threads = self.threads(backup)
        for side in (backup, primary):
            side.wait_log("still does not answer")
        self.assertEqual(self.threads(backup), threads)
        primary.wait_lines(10)
        asked = backup.signal(signal.SIGTERM)
        check_status(backup, STOPPED)
        self.assertLess(time.monotonic() - asked, STOP_LIMIT_S)
        self.end(pair, primary)


if __name__ == "__main__":
    main()
