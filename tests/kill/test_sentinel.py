# SPDX-License-Identifier: Apache-2.0
"""A primary is killed with its sentinel, without it, and with one that comes late; and it ends in an
orderly way. (Without guests: tests/cli/test_sentinel.py.)"""

import os
import pathlib
import signal
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from fmvm_process import OK, STOPPED, main  # noqa: E402
from killing import KILLED, check_status  # noqa: E402
from pair import COUNTER, DIRTY_4, PairTestCase  # noqa: E402
from sentinels import is_running, sentinel_of, wait_until_gone  # noqa: E402

JOINED = "the sentinel tells the backup if this process dies"
TOLD = "its sentinel says that it has died"


class Sentinel(PairTestCase):
    def protected(self, workload=COUNTER):
        """A pair, and the primary's sentinel, which has joined."""
        pair = self.pair(workload)
        backup = pair.start_backup()
        primary = pair.start_primary("-v")
        primary.wait_log("protected by")
        primary.wait_log(JOINED)
        primary.wait_lines(20)
        return pair, primary, backup, sentinel_of(primary.process.pid)

    def killed(self, pair, primary, backup):
        primary.signal(signal.SIGKILL)
        check_status(primary, KILLED)
        self.assert_took_over(pair, primary, backup)

    def test_it_tells_of_a_kill(self):
        """Mostly before the connection is closed: the kernel is soon done with little memory."""
        told = 0
        for workload in (COUNTER, DIRTY_4) * 3:
            with self.subTest(guest=workload.name):
                pair, primary, backup, sentinel = self.protected(workload)
                self.killed(pair, primary, backup)
                told += backup.log().count(TOLD)
                wait_until_gone(sentinel)
                self.end(pair, backup)
        self.assertGreater(told, 0)

    def test_it_is_killed_first(self):
        pair, primary, backup, sentinel = self.protected()
        os.kill(sentinel, signal.SIGKILL)
        primary.wait_log(f"the sentinel {sentinel} has ended")
        primary.wait_lines(20)
        self.killed(pair, primary, backup)
        self.assertNotIn(TOLD, backup.log())
        self.end(pair, backup)

    def test_it_comes_late(self):
        """When its word comes, the backup has run the guest for a while, or has another primary."""
        pair, primary, backup, sentinel = self.protected()
        os.kill(sentinel, signal.SIGSTOP)
        self.killed(pair, primary, backup)
        self.assertNotIn(TOLD, backup.log())
        os.kill(sentinel, signal.SIGCONT)
        wait_until_gone(sentinel)
        backup.wait_lines(20)
        self.assertEqual(backup.log().count("took over"), 1, pair.description())
        self.end(pair, backup)

    def test_an_orderly_end(self):
        """Whatever the sentinel does, it is gone with its primary and has said nothing."""
        for number in (None, signal.SIGTERM, signal.SIGSTOP):
            with self.subTest(before=number and number.name):
                pair, primary, backup, sentinel = self.protected()
                if number:
                    os.kill(sentinel, number)
                self.assertEqual(primary.stop(), STOPPED, pair.description())
                self.assertFalse(is_running(sentinel))
                self.assertEqual(backup.finish(), OK, pair.description())
                self.assertNotIn(TOLD, backup.log())
                pair.check()

    def test_a_survivor_has_its_own(self):
        """It is as old as the backup's process, and joins the next backup."""
        pair = self.pair(COUNTER)
        first, second = (pair.start_host(name, other) for name, other in
                         (("backup", "primary"), ("primary", "backup")))
        self.assertNotEqual(sentinel_of(first.process.pid), sentinel_of(second.process.pid))
        primary = pair.start_primary(name="first")
        primary.wait_log("protected by")
        primary.wait_lines(20)
        primary.signal(signal.SIGKILL)
        check_status(primary, KILLED)
        first.wait_log("took over: the guest runs here generation=2")
        first.wait_log("protected by")
        first.wait_log(JOINED)
        first.wait_lines(20)
        sentinel = sentinel_of(first.process.pid)
        first.signal(signal.SIGKILL)
        check_status(first, KILLED)
        second.wait_log("took over: the guest runs here generation=3")
        wait_until_gone(sentinel)
        self.assertEqual(second.stop(), STOPPED, pair.description())


if __name__ == "__main__":
    main()
