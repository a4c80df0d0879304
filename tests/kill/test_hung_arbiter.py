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

    def hung(self, primary):
        """Silence; and the console's length."""
        self.hang.touch()
        time.sleep(0.5)  # what was permitted before
        return len(primary.console)

    def epochs(self, pair):
        return (pair.directory / "primary.trace").read_bytes().count(b"\n")

    def assert_protected_in_silence(self, pair, primary, backup):
        shown, epochs = self.hung(primary), self.epochs(pair)
        backup_log = backup.log()
        time.sleep(2)
        self.assertEqual(len(primary.console), shown, pair.description())
        self.assertGreater(self.epochs(pair), epochs + 20, pair.description())
        self.assertEqual(backup.log(), backup_log)

    def test_output_waits_and_the_guest_runs_on(self):
        for workload, disk in ((COUNTER, None), (JOURNAL, self.new_disk())):
            with self.subTest(guest=workload.name):
                pair, primary, backup = self.protected(workload, disk=disk)
                self.assert_protected_in_silence(pair, primary, backup)
                self.hang.unlink()
                primary.wait_lines(50)
                workload.judge(bytes(primary.console))
                self.end(pair, primary, backup)
                pair.check_disk(bytes(primary.console), primary)

    def test_the_primary_can_be_stopped(self):
        pair, primary, backup = self.protected(COUNTER)
        shown = self.hung(primary)
        asked = primary.signal(signal.SIGTERM)
        check_status(primary, STOPPED)
        self.assertLess(time.monotonic() - asked, STOP_LIMIT_S)
        self.assertEqual(len(primary.console), shown)
        backup.finish()
        pair.check()

    def test_the_primary_is_killed(self):
        """The backup, whose mount answers, shows what had waited."""
        pair, primary, backup = self.protected(COUNTER)
        self.hung(primary)
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
