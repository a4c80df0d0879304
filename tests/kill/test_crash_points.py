# SPDX-License-Identifier: Apache-2.0
"""SIGKILL of a side at named points (src/base/crash_point.h), where chance would seldom hit."""

import pathlib
import signal
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from fmvm_process import SUPERSEDED, TIME_FACTOR, main  # noqa: E402
from killing import KILLED, check_status  # noqa: E402
from pair import COUNTER, DIRTY_4, SMP, PairTestCase  # noqa: E402

NOTHING = "before this side was in step, so there is nothing to take over"


class PrimaryDies(PairTestCase):
    def kill(self, point, workload):
        pair = self.pair(workload)
        backup = pair.start_backup()
        primary = pair.start_primary(crash_at=point)
        check_status(primary, KILLED)
        return pair, primary, backup

    def test_before_the_first_commit(self):
        """There is nothing to take over, and the backup says so and waits for the next one."""
        for point in ("initial-copy", "mid-pages", "before-commit"):
            for workload in (COUNTER, DIRTY_4):
                with self.subTest(point=point, guest=workload.name):
                    pair, primary, backup = self.kill(point, workload)
                    backup.wait_log(NOTHING)
                    self.assertNotIn("took over", backup.log())
                    workload.judge(bytes(primary.console))
                    self.assertEqual(bytes(backup.console), b"")
                    backup.stop()
                    pair.check()

    def test_right_after_the_first_commit_was_sent(self):
        """It may have arrived, or not; either way the backup does the right thing."""
        pair, primary, backup = self.kill("after-commit", COUNTER)
        backup.wait(lambda: "took over" in backup.log() or NOTHING in backup.log(), "no decision")
        if "took over" in backup.log():
            self.assert_took_over(pair, primary, backup)
        backup.stop()
        pair.check()

    def test_at_any_later_point(self):
        # At the fourth epoch the second is acknowledged; an epoch has some ten bodies.
        points = ("mid-pages:40", "before-commit:4", "before-commit:20", "after-commit:4",
                  "after-commit:20", "after-ack:1", "after-ack:2", "after-ack:20")
        guests = (COUNTER, DIRTY_4, SMP)
        for number, point in enumerate(points):
            # In a virtual host the guests take turns: no point depends on the KVM.
            for workload in guests if TIME_FACTOR == 1 else (guests[number % len(guests)],):
                with self.subTest(point=point, guest=workload.name):
                    pair, primary, backup = self.kill(point, workload)
                    self.assert_took_over(pair, primary, backup)
                    self.end(pair, backup)


class BackupDies(PairTestCase):
    def test_while_the_primary_lives(self):
        """The primary goes on, says that it is unprotected, and protects itself again."""
        for point in ("backup-committed:1", "backup-committed:20", "backup-acknowledged:1",
                      "backup-acknowledged:20"):
            with self.subTest(point=point):
                pair = self.pair(COUNTER)
                backup = pair.start_backup(crash_at=point)
                primary = pair.start_primary()
                check_status(backup, KILLED)
                self.assert_goes_on_alone(pair, primary, backup)
                second = pair.start_backup(name="backup2")
                protected = primary.log().count("protected by")
                primary.wait_log("protected by", protected + 1)
                primary.wait_lines(20)
                primary.signal(signal.SIGKILL)
                self.assert_took_over(pair, primary, second)
                self.end(pair, second)

    def test_while_taking_over(self):
        """Both are dead. Nothing was shown that is not true."""
        pair = self.pair(COUNTER)
        primary, _ = self.kill_both(pair)
        pair.workload.judge(bytes(primary.console))
        pair.check()

    def test_while_taking_over_from_a_frozen_primary(self):
        """The generation is won: the primary that comes back must not go on."""
        pair = self.pair(COUNTER, lost_after="300ms")
        backup = pair.start_backup(crash_at="backup-taking-over")
        primary = pair.start_primary()
        primary.wait_log("protected by")
        primary.wait_lines(10)
        primary.signal(signal.SIGSTOP)
        check_status(backup, KILLED)
        shown = bytes(primary.console)
        primary.signal(signal.SIGCONT)
        check_status(primary, SUPERSEDED)
        self.assertEqual(bytes(primary.console), shown)
        pair.workload.judge(shown)
        pair.check()


if __name__ == "__main__":
    main()
