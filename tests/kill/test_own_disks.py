# SPDX-License-Identifier: Apache-2.0
"""Each side has its own disk: the backup replays what the primary's guest does to it. Whatever dies,
every record that the reader saw is on the survivor's disk, intact and without a gap; and after an
orderly end both disks are the same to the byte.

FMVM_KILL_ROUNDS: how many kills of the primary (a third as many of the backup). FMVM_KILL_SEED
repeats the moments of a run.
"""

import dataclasses
import json
import pathlib
import random
import re
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from fmvm_process import OK, STOPPED, main, run_fmvm  # noqa: E402
from journal_test import ROUNDS, JournalTestCase  # noqa: E402
from killing import KILLED, SEED, check_status, kill_backup, kill_primary  # noqa: E402
from pair import JOURNAL, Workload  # noqa: E402

# It begins when it is protected, or soon before.
SCRIBBLER = Workload("scribbler", "blkload", "scribble=1 depth=8 block=16384 seconds=3 settle_ms=1000",
                     judge=None)
# Writes all over its disk, in no order, several at a time, until it is stopped.
RANDOM_WRITER = Workload("random-writer", "blkload",
                         "op=write fresh=1 depth=8 seconds=36000 settle_ms=1000", judge=None)


class OwnDisksTestCase(JournalTestCase):
    modes = ("replay", "replay", "replay", "copy")


class OrderlyEnd(OwnDisksTestCase):
    def ended_pair(self, mode):
        """After some records, an orderly end, and a comparison of the two disks."""
        pair = self.journal_pair(block=mode)
        primary, backup = pair.start()
        primary.wait_lines(50)
        self.assert_same_in_the_end(pair, primary, backup)
        return pair

    def test_the_disks_are_the_same(self):
        for mode in ("replay", "copy"):
            with self.subTest(mode=mode):
                self.ended_pair(mode)

    def test_the_trace_tells_the_disks_part_of_the_wire(self):
        for mode in ("replay", "copy"):
            with self.subTest(mode=mode):
                pair = self.ended_pair(mode)
                lines = (pair.directory / "primary.trace").read_text().splitlines()
                epochs = [json.loads(line) for line in lines]
                for epoch in epochs:
                    self.assertLess(epoch["disk_log"], epoch["bytes"])
                    self.assertGreaterEqual(epoch["disk_log"], epoch["disk_sent"])
                    self.assertEqual(epoch["disk_log"] > 0, epoch["disk_records"] > 0)
                # Some payloads travel in mode replay, too: of pages that were written again.
                referred = sum(epoch["disk_referred"] for epoch in epochs)
                self.assertEqual(referred > 0, mode == "replay")

    def test_whatever_the_guest_does_when_it_is_stopped(self):
        """A request that it has only just made is carried out on both sides, or on none. (Of 60 such
        stops one left the disks different once.)"""
        self.stop_at_random()

    def test_of_a_guest_whose_writes_are_held(self):
        """By Kemari's policy: such a write, too, is carried out on both sides."""
        self.stop_at_random(more=("--sync", "kemari"))

    def stop_at_random(self, **options):
        workload = dataclasses.replace(JOURNAL, cmdline="rate=2000")
        moments = random.Random(SEED)
        for number in range(ROUNDS):
            moment = moments.uniform(0, 0.1)
            with self.subTest(seed=SEED, number=number, moment=moment):
                pair = self.journal_pair(workload, **options)
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


class Rejoin(OwnDisksTestCase):
    def test_while_the_guest_writes_in_no_order(self):
        """Whenever a backup dies, the next one on its image is told all that differs: the maps cover
        epochs that were sent and not acknowledged, whatever the order of their blocks."""
        moments = random.Random(SEED)
        print(f"FMVM_KILL_SEED={SEED}", flush=True)
        pair = self.journal_pair(RANDOM_WRITER)
        primary, backup = pair.start()
        for _ in range(4):
            time.sleep(moments.uniform(0.1, 0.6))
            backup.signal(signal.SIGKILL)
            check_status(backup, KILLED)
            backup = pair.start_backup()
            backup.wait_log("in step with")
        self.assertEqual(primary.stop(), STOPPED, primary.description())
        check_status(backup, OK)
        compared = re.findall(r"disks are equal: compared=(\d+)", primary.log())
        self.assertEqual(len(compared), 5, primary.description())
        self.assert_same_disks(pair, "primary", "backup")
        pair.check()


class Durable(OwnDisksTestCase):
    """--ack durable: the backup's disk holds what was acknowledged before it says so."""

    def durable_pair(self):
        return self.journal_pair(more=("--ack", "durable"))

    def test_the_primary_dies(self):
        moments = random.Random(SEED)
        print(f"FMVM_KILL_SEED={SEED}", flush=True)
        for number in range((ROUNDS + 2) // 3):
            moment = moments.uniform(0, 1)
            with self.subTest(seed=SEED, number=number, moment=moment):
                pair = self.durable_pair()
                primary, backup = pair.start()
                time.sleep(moment)
                primary.signal(signal.SIGKILL)
                check_status(primary, KILLED)
                self.assert_well_to_the_end(pair, primary, backup)

    def test_both_die(self):
        """All that was shown is on the backup's disk, too."""
        pair = self.durable_pair()
        primary, backup = self.kill_both(pair)
        pair.check_disk(bytes(primary.console), backup)
        pair.verdict(primary, backup)

    def test_an_orderly_end(self):
        pair = self.durable_pair()
        primary, backup = pair.start()
        primary.wait_lines(50)
        self.assert_same_in_the_end(pair, primary, backup)


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

    def test_before_the_first_commit(self):
        """The same image, started again, becomes both disks; the backup's runs nothing before."""
        for point in ("initial-copy:1", "initial-copy:5", "before-commit:1"):
            with self.subTest(point=point):
                pair = self.journal_pair()
                backup = pair.start_backup()
                primary = pair.start_primary(crash_at=point)
                check_status(primary, KILLED)
                backup.wait_log("nothing to take over")
                backup.stop()
                self.assertEqual(bytes(backup.console), b"", pair.description())
                pair.verdict(primary, backup)
                if point != "initial-copy:1":  # whose bytes may not have left
                    self.assert_runs_nothing(pair.disk_of("backup"))
                again, restarted = pair.start_backup(), pair.start_primary("--restart")
                restarted.wait_log("protected by")
                restarted.wait_lines(20)
                self.assert_same_in_the_end(pair, restarted, again)

    def test_of_a_backup_that_takes_over(self):
        """Both are dead, and the guest is lost. What it had shown is on the primary's disk."""
        pair = self.journal_pair()
        primary, backup = self.kill_both(pair)
        pair.verdict(primary, backup)


class Moved(OwnDisksTestCase):
    def switching_over(self, crash_primary_at=None, crash_backup_at=None):
        """The side that is to die does: (pair, primary, backup)."""
        pair = self.journal_pair()
        control = pair.directory / "control"
        backup = pair.start_backup(crash_at=crash_backup_at)
        primary = pair.start_primary("--control", control, crash_at=crash_primary_at)
        primary.wait_log("protected by")
        primary.wait_lines(20)
        run_fmvm("switchover", "--control", control)
        check_status(primary if crash_primary_at else backup, KILLED)
        return pair, primary, backup

    def test_by_a_switchover(self):
        self.assert_moves(self.journal_pair())

    def test_while_the_primary_dies(self):
        self.assert_well_to_the_end(*self.switching_over(crash_primary_at="switch-over"))

    def test_while_the_backup_dies(self):
        """Before it has won, the primary goes on, and its next backup has the same disk."""
        pair, primary, backup = self.switching_over(crash_backup_at="backup-switch-over")
        self.assert_goes_on_alone(pair, primary, backup)
        again = pair.start_backup()
        again.wait_log("in step with")
        primary.wait_lines(20)
        self.assert_same_in_the_end(pair, primary, again)

    def test_while_a_backup_dies_that_has_won(self):
        """The guest is lost; what it had shown is on the disk of the side that it left."""
        pair, primary, backup = self.switching_over(crash_backup_at="backup-taking-over")
        primary.finish()
        self.assertEqual(bytes(backup.console), b"", pair.description())
        pair.verdict(primary, backup)


if __name__ == "__main__":
    main()
