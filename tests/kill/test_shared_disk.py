# SPDX-License-Identifier: Apache-2.0
"""Both sides see one disk image: whatever dies or freezes, one writer at a time, and every record
that the reader saw on a console is on the disk, intact and without a gap.

FMVM_KILL_ROUNDS: how many kills of the primary (a third as many of the backup). FMVM_KILL_SEED
repeats the moments of a run.
"""

import hashlib
import pathlib
import random
import signal
import socket
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from fmvm_process import STOPPED, SUPERSEDED, TIME_FACTOR, main  # noqa: E402
from journal_test import ROUNDS, JournalTestCase  # noqa: E402
from killing import KILLED, SEED, check_status, kill_backup, kill_primary, rounds  # noqa: E402
from proxy import TO_PRIMARY, Proxy  # noqa: E402

STILL_LOCKED = "another process still has it"


class RandomKills(JournalTestCase):
    def test_of_the_primary(self):
        self.rounds(kill_primary, ROUNDS, SEED)

    def test_of_the_backup(self):
        self.rounds(kill_backup, (ROUNDS + 2) // 3, SEED + 1)


class CrashPoints(JournalTestCase):
    def test_of_the_primary(self):
        """Around the commit of an epoch, and when some of its writes have left."""
        for point in ("before-commit:8", "after-commit:8", "after-ack:8", "shared-writes:8"):
            with self.subTest(point=point):
                pair = self.journal_pair()
                backup = pair.start_backup()
                primary = pair.start_primary(crash_at=point)
                check_status(primary, KILLED)
                self.assert_well_to_the_end(pair, primary, backup)

    def test_of_the_backup(self):
        """The primary goes on alone, with every write that had waited."""
        for point in ("backup-committed:8", "backup-acknowledged:8"):
            with self.subTest(point=point):
                pair = self.journal_pair()
                backup = pair.start_backup(crash_at=point)
                primary = pair.start_primary()
                check_status(backup, KILLED)
                self.assert_goes_on_alone(pair, primary, backup)
                self.assertEqual(primary.stop(), STOPPED, primary.description())
                pair.verdict(primary, backup)

    def test_of_both(self):
        """The guest is lost. What it had shown is on the disk."""
        pair = self.journal_pair()
        primary, backup = self.kill_both(pair)
        pair.verdict(primary, backup)


class FrozenPrimary(JournalTestCase):
    """It holds the image's lock as long as it lives: until then nobody else writes."""

    def freeze(self, moment_s=0.3):
        pair = self.journal_pair(lost_after="400ms")
        primary, backup = pair.start()
        time.sleep(moment_s)
        primary.signal(signal.SIGSTOP)
        return pair, primary, backup

    def assert_waits(self, pair, backup):
        backup.wait_log(STILL_LOCKED)
        self.assertNotIn("took over", backup.log())
        self.assertEqual(bytes(backup.console), b"", pair.description())
        # Who connects meanwhile is told.
        with socket.create_connection(("127.0.0.1", pair.port), timeout=5 * TIME_FACTOR) as stranger:
            with stranger.makefile("rb") as told:
                self.assertIn(b"is being taken over here", told.read())

    def test_thawed(self):
        """It halts, and shows nothing any more; then the backup goes on."""
        moments = random.Random(SEED)
        print(f"FMVM_KILL_SEED={SEED}", flush=True)
        for _ in range(rounds(3)):
            moment = moments.uniform(0, 1)
            with self.subTest(seed=SEED, moment=moment):
                pair, primary, backup = self.freeze(moment)
                self.assert_waits(pair, backup)
                shown = bytes(primary.console)
                primary.signal(signal.SIGCONT)
                check_status(primary, SUPERSEDED)
                self.assertEqual(bytes(primary.console), shown)
                self.assert_well_to_the_end(pair, primary, backup)

    def test_thawed_writes_nothing(self):
        """Not even writes whose epoch was committed: they are the other side's to carry out."""
        pair = self.journal_pair(lost_after="1s")
        backup = pair.start_backup(crash_at="backup-taking-over")
        proxy = Proxy(pair.port)
        self.addCleanup(proxy.close)
        pair.through = proxy.port
        primary = pair.start_primary()
        primary.wait_log("protected by")
        primary.wait_lines(20)
        # The acknowledgement, for which a record waits, finds the primary frozen.
        proxy.freeze(TO_PRIMARY)
        time.sleep(0.3)
        primary.signal(signal.SIGSTOP)
        before = hashlib.sha256(pair.disk.read_bytes()).digest()
        proxy.thaw()
        check_status(backup, KILLED)  # it had won the generation
        primary.signal(signal.SIGCONT)
        check_status(primary, SUPERSEDED)
        self.assertEqual(hashlib.sha256(pair.disk.read_bytes()).digest(), before)
        pair.verdict(primary, backup)

    def test_killed(self):
        pair, primary, backup = self.freeze()
        self.assert_waits(pair, backup)
        primary.signal(signal.SIGKILL)
        check_status(primary, KILLED)
        self.assert_well_to_the_end(pair, primary, backup)

    def test_the_operator_may_end_the_wait(self):
        pair, primary, backup = self.freeze()
        self.assert_waits(pair, backup)
        self.assertEqual(backup.stop(), STOPPED)
        primary.signal(signal.SIGCONT)
        check_status(primary, SUPERSEDED)
        pair.verdict(primary, backup)


class Moved(JournalTestCase):
    def test_by_a_switchover(self):
        """The lock moves with the guest."""
        for _ in range(rounds(3)):
            self.assert_moves(self.journal_pair())


if __name__ == "__main__":
    main()
