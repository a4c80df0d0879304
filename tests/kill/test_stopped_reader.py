# SPDX-License-Identifier: Apache-2.0
"""Nobody reads the primary's console any more when protection begins: a full pipe, Ctrl-S."""

import dataclasses
import pathlib
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from fmvm_process import main  # noqa: E402
from pair import COUNTER, PairTestCase  # noqa: E402

CHATTY = dataclasses.replace(COUNTER, cmdline="rate=2000")


class StoppedReader(PairTestCase):
    def protected_unread(self):
        """The guest emits more than the pipe takes, and is protected all the same."""
        pair = self.pair(CHATTY)
        primary = pair.start_primary()
        primary.wait_lines(20)
        pair.watch.stop_reading(primary)
        time.sleep(1)
        shown = bytes(primary.console)
        backup = pair.start_backup()
        primary.wait_log("protected by")
        self.assertEqual(bytes(primary.console), shown)
        return pair, primary, backup

    def test_the_backup_shows_what_nobody_read(self):
        pair, primary, backup = self.protected_unread()
        time.sleep(0.5)
        primary.signal(signal.SIGKILL)
        self.assert_took_over(pair, primary, backup)
        pair.watch.read_again(primary)
        primary.finish()
        self.end(pair, backup)
        pair.verdict(primary, backup)

    def test_the_reader_comes_back(self):
        pair, primary, backup = self.protected_unread()
        pair.watch.read_again(primary)
        primary.wait_lines(5000)
        CHATTY.judge(bytes(primary.console))
        self.assertEqual(bytes(backup.console), b"")
        self.end(pair, primary, backup)


if __name__ == "__main__":
    main()
