# SPDX-License-Identifier: Apache-2.0
"""SIGSTOP of a side for longer than --lost-after, then SIGCONT: what a paused host looks like. And a
side of which one thread stands, at a named point (src/base/crash_point.h), while its signs of life
go on."""

import pathlib
import random
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from fmvm_process import SUPERSEDED, main  # noqa: E402
from killing import check_status, fewer  # noqa: E402
from pair import COUNTER, DIRTY_4, SMP, PairTestCase  # noqa: E402

SEED = 20260102


class Frozen(PairTestCase):
    def test_primary(self):
        """The backup takes over; the old primary halts and shows nothing any more."""
        moments = random.Random(SEED)
        for workload in (COUNTER, DIRTY_4, SMP, COUNTER):
            moment = moments.uniform(0, 1)
            with self.subTest(guest=workload.name, moment=moment):
                pair = self.pair(workload, lost_after="400ms")
                primary, backup = pair.start()
                time.sleep(moment)
                primary.signal(signal.SIGSTOP)
                self.assert_took_over(pair, primary, backup)
                shown = bytes(primary.console)
                primary.signal(signal.SIGCONT)
                check_status(primary, SUPERSEDED)
                self.assertEqual(bytes(primary.console), shown)
                self.assertIn("halted: the backup has taken over", primary.log())
                backup.wait_lines(5)
                self.assert_took_over(pair, primary, backup)
                self.end(pair, backup)

    def test_backup(self):
        """The primary goes on alone; the backup does not take over, and follows again."""
        for workload in (COUNTER, DIRTY_4):
            with self.subTest(guest=workload.name):
                pair = self.pair(workload, lost_after="400ms")
                primary, backup = pair.start()
                backup.signal(signal.SIGSTOP)
                self.assert_goes_on_alone(pair, primary, backup)
                time.sleep(3)  # the primary keeps calling meanwhile
                protected = primary.log().count("protected by")
                backup.signal(signal.SIGCONT)
                backup.wait_log("goes on alone; waiting for it to connect again")
                primary.wait_log("protected by", protected + 1)
                primary.wait_lines(10)
                self.assertNotIn("took over", backup.log())
                primary.process.kill()
                self.assert_took_over(pair, primary, backup)
                self.end(pair, backup)

    def test_stopped_right_after_the_backup_is_lost(self):
        """What the gate held is on its way to the console while everything is torn down."""
        for _ in range(fewer(3)):
            pair = self.pair(COUNTER, lost_after="400ms")
            primary, backup = pair.start()
            backup.signal(signal.SIGSTOP)
            primary.wait_log("running unprotected")
            self.end(pair, primary)
            COUNTER.judge(bytes(primary.console))

    def test_shorter_than_the_limit_is_no_loss(self):
        pair = self.pair(COUNTER, lost_after="20s")
        primary, backup = pair.start()
        for side in (primary, backup):
            side.signal(signal.SIGSTOP)
            time.sleep(1)
            side.signal(signal.SIGCONT)
            primary.wait_lines(20)
        for side in (primary, backup):
            self.assertNotIn("lost", side.log())
        self.assertEqual(bytes(backup.console), b"")
        self.end(pair, primary, backup)


class Stuck(PairTestCase):
    """With --lost-after 300ms whoever gets no further for 3 s is lost."""

    def test_backup(self):
        """The primary says what is owed, and goes on alone."""
        for point in ("backup-committed:20", "backup-acknowledged:20"):
            with self.subTest(point=point):
                pair = self.pair(COUNTER, lost_after="300ms")
                backup = pair.start_backup(environment={"FMVM_HANG_AT": point})
                primary = pair.start_primary()
                primary.wait_log("protected by")
                self.assert_goes_on_alone(pair, primary, backup)
                self.assertIn("it gives signs of life and gets no further: it has owed an "
                              "acknowledgement for 3.", primary.log())
                self.assertIn("an acknowledgement is owed", primary.log())
                self.assertNotIn("took over", backup.log())
                backup.signal(signal.SIGKILL)
                self.end(pair, primary)

    def test_primary(self):
        """The backup takes over; the old primary shows nothing any more."""
        for point in ("mid-pages:40", "after-commit:20", "after-ack:20"):
            with self.subTest(point=point):
                pair = self.pair(COUNTER, lost_after="300ms")
                backup = pair.start_backup()
                primary = pair.start_primary(environment={"FMVM_HANG_AT": point})
                self.assert_took_over(pair, primary, backup)
                self.assertIn("it gives signs of life and gets no further: it has owed the next "
                              "epoch for 3.", backup.log())
                primary.signal(signal.SIGKILL)
                self.end(pair, backup)


if __name__ == "__main__":
    main()
