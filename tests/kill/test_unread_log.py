# SPDX-License-Identifier: Apache-2.0
"""Nobody reads the logs of a pair: both do what they would do otherwise, and end when they are told to."""

import os
import pathlib
import signal
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from fmvm_process import STOPPED, main  # noqa: E402
from pair import COUNTER, PairTestCase  # noqa: E402


def fill_log(side):
    """Takes the room that its pipe still has."""
    pipe = os.open(f"/proc/{side.process.pid}/fd/2", os.O_WRONLY | os.O_NONBLOCK)
    try:
        while True:
            os.write(pipe, b"\n")
    except BlockingIOError:
        os.close(pipe)


class UnreadLog(PairTestCase):
    def unread_pair(self):
        pair = self.pair(COUNTER)
        primary, backup = pair.start()
        for side in (primary, backup):
            pair.watch.stop_reading_log(side)
            fill_log(side)
        primary.wait_lines(20)
        return pair, primary, backup

    def test_a_backup_takes_over_and_is_stopped(self):
        pair, primary, backup = self.unread_pair()
        primary.signal(signal.SIGKILL)
        pair.wait_fresh(primary, backup)
        backup.signal(signal.SIGTERM)
        self.assertEqual(backup.process.wait(60), STOPPED)
        for side in (primary, backup):
            pair.watch.read_log_again(side)
            side.finish()
        pair.check()

    def test_a_primary_goes_on_without_its_backup_and_is_stopped(self):
        pair, primary, backup = self.unread_pair()
        shown = len(primary.console)
        backup.signal(signal.SIGKILL)
        pair.watch.wait(lambda: len(primary.console) > 2 * shown, 60, pair.description)
        for _ in range(1000):
            primary.signal(signal.SIGUSR1)  # more words for nobody
        pair.watch.wait(lambda: len(primary.console) > 3 * shown, 60, pair.description)
        primary.signal(signal.SIGTERM)
        self.assertEqual(primary.process.wait(60), STOPPED)
        for side in (primary, backup):
            pair.watch.read_log_again(side)
            side.finish()
        pair.check()

    def test_the_log_goes_on_when_it_is_read_again(self):
        pair, primary, backup = self.unread_pair()
        backup.signal(signal.SIGKILL)
        pair.watch.read_log_again(primary)
        primary.wait_log("running unprotected")
        pair.watch.read_log_again(backup)
        self.end(pair, primary)


if __name__ == "__main__":
    main()
