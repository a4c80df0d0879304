# SPDX-License-Identifier: Apache-2.0
"""A process with a sentinel is killed, stopped, ended; somebody to be told listens. There is no guest:
the process is tests/support/mortal.cpp."""

import os
import pathlib
import signal
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from fmvm_process import main, settings  # noqa: E402
from mortals import LIMIT_S, Mortal  # noqa: E402
from sentinels import is_running, wait_until_gone  # noqa: E402

MUCH_MIB = 1024


class Sentinels(unittest.TestCase):
    def start(self, mib=1):
        mortal = Mortal(settings.fmvm.parent / "tests" / "mortal", mib)
        self.addCleanup(mortal.close)
        return mortal

    def test_a_death_is_told_long_before_the_memory_is_taken_apart(self):
        told = []
        for _ in range(10):  # a busy host may give nobody his turn before all is over
            mortal = self.start(MUCH_MIB)
            word, closed, gone = mortal.kill()
            self.assertEqual(mortal.told.recv(16), b"dead")
            told.append(f"word {word * 1e3:.1f} ms, connection {closed * 1e3:.1f} ms, "
                        f"process {gone * 1e3:.1f} ms")
            mortal.told.close()
            wait_until_gone(mortal.sentinel)
            if 4 * word < min(closed, gone):
                return
        self.fail("\n".join(told))

    def test_an_orderly_end_says_nothing_and_leaves_nothing(self):
        mortal = self.start()
        mortal.process.stdin.close()
        self.assertEqual(mortal.process.wait(LIMIT_S), 0)
        self.assertFalse(is_running(mortal.sentinel))
        self.assertEqual(mortal.told.recv(16), b"")

    def test_an_orderly_end_does_not_wait_for_a_stopped_sentinel(self):
        mortal = self.start()
        os.kill(mortal.sentinel, signal.SIGSTOP)
        mortal.process.stdin.close()
        self.assertEqual(mortal.process.wait(LIMIT_S), 0)
        self.assertFalse(is_running(mortal.sentinel))
        self.assertEqual(mortal.told.recv(16), b"")

    def test_a_process_outlives_its_sentinel(self):
        mortal = self.start()
        os.kill(mortal.sentinel, signal.SIGKILL)
        self.assertEqual(mortal.told.recv(16), b"")
        self.assertIsNone(mortal.process.poll())
        mortal.kill()
        self.assertEqual(mortal.channel.recv(16), b"")

    def test_a_stopped_sentinel_tells_of_the_death_when_it_goes_on(self):
        mortal = self.start()
        os.kill(mortal.sentinel, signal.SIGSTOP)
        mortal.process.kill()
        self.assertEqual(mortal.channel.recv(16), b"")
        mortal.told.setblocking(False)
        self.assertRaises(BlockingIOError, mortal.told.recv, 16)
        mortal.told.setblocking(True)
        os.kill(mortal.sentinel, signal.SIGCONT)
        self.assertEqual(mortal.told.recv(16), b"dead")
        mortal.told.close()
        wait_until_gone(mortal.sentinel)

    def test_a_sentinel_outlives_what_kills_the_process_and_its_group(self):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGKILL):
            with self.subTest(signal=number.name):
                mortal = self.start()
                os.killpg(mortal.process.pid, number)
                self.assertEqual(mortal.told.recv(16), b"dead")
                mortal.told.close()
                wait_until_gone(mortal.sentinel)


if __name__ == "__main__":
    main()
