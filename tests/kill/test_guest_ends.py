# SPDX-License-Identifier: Apache-2.0
"""The guest's own end under protection: both sides end, with the documented status."""

import dataclasses
import pathlib
import shutil
import signal
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from fmvm_process import (  # noqa: E402
    BACKUP_LOST, CRASHED, FAILURE, OK, RESET, STOPPED, SUPERSEDED, USAGE, main)
from killing import check_status  # noqa: E402
from pair import COUNTER, PairTestCase  # noqa: E402

ENDS = (("poweroff", OK), ("reset", RESET), ("crash", CRASHED))


def counting(count, end):
    def judge(stream):
        COUNTER.judge(stream.split(b"counter: ok")[0])

    return dataclasses.replace(COUNTER, cmdline=f"rate=200 count={count} end={end}", judge=judge)


class GuestEnds(PairTestCase):
    def assert_all_shown(self, stream, count):
        lines = stream.decode().splitlines()
        self.assertEqual(lines[-1], f"counter: ok count={count}")
        self.assertEqual(len(lines), count + 2)

    def test_on_the_primary(self):
        for end, status in ENDS:
            with self.subTest(end=end):
                pair = self.pair(counting(200, end))
                primary, backup = pair.start()
                check_status(primary, status)
                check_status(backup, OK)
                self.assert_all_shown(primary.console, 200)
                self.assertEqual(bytes(backup.console), b"")
                pair.check()

    def test_of_both_at_once(self):
        """The guest ends, and the primary dies before it has told its backup."""
        for end, status in ENDS:
            with self.subTest(end=end):
                pair = self.pair(counting(100, end))
                backup = pair.start_backup()
                primary = pair.start_primary(crash_at="guest-ended")
                check_status(primary, -signal.SIGKILL)
                check_status(backup, status)
                self.assert_all_shown(pair.joined(primary, backup).stream, 100)
                pair.check()

    def test_that_nobody_can_be_told(self):
        """Neither a backup nor an arbiter: this side cannot know whether the guest goes on."""
        pair = self.pair(COUNTER)
        claims = pair.directory / "claims-as-the-primary-sees-them"
        claims.symlink_to(pair.directory)
        backup = pair.start_backup()
        primary = pair.start_primary(claims=claims)
        primary.wait_log("protected by")
        claims.unlink()
        backup.signal(signal.SIGKILL)
        primary.wait_log("the guest's output waits")
        self.assertEqual(primary.stop(), FAILURE, primary.description())
        self.assertIn("neither the backup nor the arbiter could be told", primary.log())
        pair.check()

    def test_on_a_backup_that_cannot_protect_it_again(self):
        """What it wanted for that is gone since its start: the guest goes on all the same."""
        pair = self.pair(counting(400, "poweroff"))
        traces = pair.directory / "traces"
        traces.mkdir()
        backup = pair.start_backup("--trace", traces / "backup")
        primary = pair.start_primary()
        primary.wait_log("protected by")
        shutil.rmtree(traces)
        primary.wait_lines(20)
        primary.signal(signal.SIGKILL)
        backup.wait_log("the guest goes on without protection")
        backup.signal(signal.SIGUSR1)  # a question, whoever runs the guest
        check_status(backup, OK)
        self.assert_all_shown(pair.joined(primary, backup).stream, 400)
        pair.check()

    def test_statistics_on_request(self):
        pair = self.pair(COUNTER)
        primary = pair.start_primary()
        primary.wait_lines(5)
        primary.signal(signal.SIGUSR1)
        primary.wait_log("no epochs yet")
        backup = pair.start_backup()
        primary.wait_log("protected by")
        primary.wait_lines(20)
        primary.signal(signal.SIGUSR1)
        primary.wait_log("guest stood, us")
        self.assertRegex(primary.log(), r"\d+ epochs; the last \d+:")
        self.assertRegex(primary.log(), r"guest stood, us +p50 +\d+ +p95 +\d+ +p99 +\d+ +max +\d+")
        self.end(pair, primary, backup)

    def test_by_any_signal_to_the_primary(self):
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
            with self.subTest(signal=number):
                pair = self.pair(COUNTER)
                primary, backup = pair.start()
                primary.wait_lines(5)
                primary.signal(number)
                check_status(primary, STOPPED)
                check_status(backup, OK)
                pair.check()

    def test_on_the_backup(self):
        for end, status in ENDS:
            with self.subTest(end=end):
                pair = self.pair(counting(400, end))
                primary, backup = pair.start()
                primary.wait_lines(20)
                primary.signal(signal.SIGKILL)
                check_status(backup, status)
                self.assert_all_shown(pair.joined(primary, backup).stream, 400)
                pair.check()

    def test_without_a_backup(self):
        for end, status in ENDS:
            with self.subTest(end=end):
                pair = self.pair(counting(20, end))
                primary = pair.start_primary()
                check_status(primary, status)
                self.assert_all_shown(primary.console, 20)

    def test_by_the_operator(self):
        """SIGTERM to the primary: no takeover, the backup ends as well."""
        pair = self.pair(COUNTER)
        primary, backup = pair.start()
        primary.wait_lines(20)
        self.assertEqual(primary.stop(), STOPPED)
        check_status(backup, OK)
        self.assertIn("on the primary", backup.log())
        COUNTER.judge(bytes(primary.console))
        self.assertEqual(bytes(backup.console), b"")
        pair.check()

    def test_of_the_backup_by_the_operator(self):
        pair = self.pair(COUNTER)
        primary, backup = pair.start()
        self.assertEqual(backup.stop(), STOPPED)
        self.assert_goes_on_alone(pair, primary, backup)
        self.end(pair, primary)

    def test_backup_lost_and_told_to_stop(self):
        pair = self.pair(COUNTER)
        primary, backup = pair.start("--on-backup-lost", "stop")
        primary.wait_lines(20)
        backup.signal(signal.SIGKILL)
        check_status(primary, BACKUP_LOST)
        self.assertIn("halted, as --on-backup-lost stop asks", primary.log())
        COUNTER.judge(bytes(primary.console))
        pair.check()


class StartedAgain(PairTestCase):
    """The same guest with the same arbiter and the same backup: a life of its own."""

    def assert_protects(self, pair, *options, name):
        backup = pair.start_backup()
        primary = pair.start_primary(*options, name=name)
        primary.wait_log("protected by")
        primary.wait_lines(10)
        primary.signal(signal.SIGKILL)
        backup.wait_log("took over")
        pair.wait_fresh(primary, backup)
        self.assertEqual(backup.stop(), STOPPED)

    def test_after_an_orderly_end(self):
        pair = self.pair(counting(20, "poweroff"))
        backup = pair.start_backup()
        for name in ("first", "second"):
            check_status(pair.start_primary(name=name), OK)
        backup.stop()
        pair.workload = COUNTER
        self.assert_protects(pair, name="third")
        self.assert_protects(pair, name="after a takeover")

    def test_after_a_crash(self):
        """Only on request: the guest might run on its backup."""
        pair = self.pair(COUNTER)
        primary = pair.start_primary(name="first")
        primary.wait_lines(10)
        primary.signal(signal.SIGKILL)
        check_status(primary, -signal.SIGKILL)
        refused = pair.start_primary(name="second")
        check_status(refused, USAGE)
        self.assertIn("may be running on its backup", refused.log())
        self.assert_protects(pair, "--restart", name="third")

    def test_that_another_start_has_taken_the_place_of(self):
        """It runs alone, so that no backup tells it: it shows nothing any more, and ends by itself."""
        pair = self.pair(COUNTER)
        old = pair.start_primary(name="old")
        old.wait_lines(10)
        new = pair.start_primary("--restart", name="new")
        new.wait_lines(10)
        check_status(old, SUPERSEDED)
        self.assertIn("another side has begun to run this guest", old.log())
        self.end(pair, new)

    def test_after_a_start_that_failed(self):
        pair = self.pair(counting(20, "poweroff"))
        (pair.directory / "first.trace").mkdir()  # where a file is to be
        primary = pair.start_primary(name="first")
        check_status(primary, FAILURE)
        self.assertIn("first.trace: cannot be opened for writing", primary.log())
        check_status(pair.start_primary(name="second"), OK)


if __name__ == "__main__":
    main()
