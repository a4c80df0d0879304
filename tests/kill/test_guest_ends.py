# SPDX-License-Identifier: Apache-2.0
"""The guest's own end under protection: both sides end, with the documented status."""

import dataclasses
import pathlib
import signal
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from fmvm_process import BACKUP_LOST, CRASHED, OK, RESET, STOPPED, main  # noqa: E402
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


if __name__ == "__main__":
    main()
