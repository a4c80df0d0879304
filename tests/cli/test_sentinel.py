# SPDX-License-Identifier: Apache-2.0
"""A process with a sentinel is killed, stopped, ended; somebody to be told listens. There is no guest:
the process is tests/support/mortal.cpp."""

import os
import pathlib
import selectors
import signal
import socket
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from fmvm_process import TIME_FACTOR, main, settings  # noqa: E402
from sentinels import is_running, sentinel_of, wait_until_gone  # noqa: E402

LIMIT_S = 60 * TIME_FACTOR
MUCH_MIB = 1024


class Mortal:
    """The process, its own connection and its sentinel's."""

    def __init__(self, mib):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(LIMIT_S)
            self.process = subprocess.Popen(
                [settings.fmvm.parent / "tests" / "mortal", str(listener.getsockname()[1]), str(mib)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
            accepted = [listener.accept()[0] for _ in range(2)]
        for connection in accepted:
            connection.settimeout(LIMIT_S)
            if connection.recv(7) == b"channel":
                self.channel = connection
            else:
                connection.sendall(b"yes")
                self.told = connection
        if self.process.stdout.readline() != b"ready\n":
            raise AssertionError("the process is not ready")
        self.sentinel = sentinel_of(self.process.pid)

    def kill(self):
        """When the sentinel told of it, when the process's own connection was closed, and when the
        process was gone; seconds."""
        events = selectors.DefaultSelector()
        process = os.pidfd_open(self.process.pid)
        for what in (self.told, self.channel, process):
            events.register(what, selectors.EVENT_READ)
        began = time.monotonic()
        self.process.kill()
        when = {}
        while events.get_map():
            for key, _ in events.select():
                when[key.fileobj] = time.monotonic() - began
                events.unregister(key.fileobj)
        os.close(process)
        return when[self.told], when[self.channel], when[process]

    def close(self):
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.channel, self.told):
            stream.close()


class Sentinels(unittest.TestCase):
    def start(self, mib=1):
        mortal = Mortal(mib)
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
