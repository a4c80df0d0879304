# SPDX-License-Identifier: Apache-2.0
"""Each side has its own disk: the backup replays what the primary's guest does to it. Whatever dies,
every record that the reader saw is on the survivor's disk, intact and without a gap; and after an
orderly end both disks are the same to the byte.

FMVM_KILL_ROUNDS: how many kills of the primary (a third as many of the backup). FMVM_KILL_SEED
repeats the moments of a run.
"""

import dataclasses
import pathlib
import random
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from fmvm_process import OK, main  # noqa: E402
from journal_test import ROUNDS, SEED, JournalTestCase  # noqa: E402
from killing import check_status, kill_backup, kill_primary  # noqa: E402
from pair import JOURNAL, Workload  # noqa: E402

KILLED = -signal.SIGKILL
# It begins when it is protected, or soon before.
SCRIBBLER = Workload("scribbler", "blkload", "scribble=1 depth=8 block=16384 seconds=3 settle_ms=1000",
                     judge=None)


class OwnDisksTestCase(JournalTestCase):
    modes = ("replay", "replay", "replay", "copy")


class OrderlyEnd(OwnDisksTestCase):
    def test_the_disks_are_the_same(self):
        for mode in ("replay", "copy"):
            with self.subTest(mode=mode):
                pair = self.journal_pair(block=mode)
                primary, backup = pair.start()
                primary.wait_lines(50)
                self.assert_same_in_the_end(pair, primary, backup)

    def test_whatever_the_guest_does_when_it_is_stopped(self):
        """A request that it has only just made is carried out on both sides, or on none. (Of 60 such
        stops one left the disks different once.)"""
        workload = dataclasses.replace(JOURNAL, cmdline="rate=2000")
        moments = random.Random(SEED)
        for number in range(ROUNDS):
            moment = moments.uniform(0, 0.1)
            with self.subTest(seed=SEED, number=number, moment=moment):
                pair = self.journal_pair(workload)
                primary, backup = pair.start()
                time.sleep(moment)
                self.assert_same_in_the_end(pair, primary, backup)

    def test_of_a_guest_that_rewrites_its_buffers(self):
        """While their requests are in flight: what a disk got of them is on the other as well."""
        for mode, operation in (("replay", "write"), ("replay", "copy"), ("copy", "write")):
            with self.subTest(mode=mode, operation=operation):
                workload = dataclasses.replace(
                    SCRIBBLER, cmdline=f"{SCRIBBLER.cmdline} op={operation}")
                pair = self.journal_pair(workload, block=mode)
                primary, backup = pair.start()
                check_status(primary, OK)
                check_status(backup, OK)
                self.assertIn(b"blkload: ok", primary.console, pair.description())
                self.assert_same_disks(pair, "primary", "backup")
                pair.check()


class RandomKills(OwnDisksTestCase):
    def test_of_the_primary(self):
        self.rounds(kill_primary, ROUNDS, SEED)

    def test_of_the_backup(self):
        self.rounds(kill_backup, (ROUNDS + 2) // 3, SEED + 1)


class CrashPoints(OwnDisksTestCase):
    def test_of_the_primary(self):
        for point in ("before-commit:8", "after-commit:8", "after-ack:8", "mid-pages:40",
                      "requests-in-flight:300", "before-flush:200"):
            with self.subTest(point=point):
                pair = self.journal_pair()
                backup = pair.start_backup()
                primary = pair.start_primary(crash_at=point)
                check_status(primary, KILLED)
                self.assert_well_to_the_end(pair, primary, backup)

    def test_of_the_backup(self):
        """The primary goes on alone; the next backup has the same disk in the end."""
        for point in ("backup-committed:8", "backup-acknowledged:8", "mid-replay:200",
                      "before-replayed-flush:20"):
            with self.subTest(point=point):
                pair = self.journal_pair()
                backup = pair.start_backup(crash_at=point)
                primary = pair.start_primary()
                check_status(backup, KILLED)
                self.assert_goes_on_alone(pair, primary, backup)
                again = pair.start_backup()
                again.wait_log("in step with")
                primary.wait_lines(20)
                self.assert_same_in_the_end(pair, primary, again)


class Moved(OwnDisksTestCase):
    def test_by_a_switchover(self):
        self.assert_moves(self.journal_pair())


if __name__ == "__main__":
    main()
