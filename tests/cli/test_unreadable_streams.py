# SPDX-License-Identifier: Apache-2.0
"""Standard error and standard output that cannot be written, or that nobody reads: each command ends by
itself, with the status that it has otherwise, and nobody takes a lost result for a written one."""

import itertools
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import termios
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from fmvm_process import DIFFERENT, FAILURE, OK, TIME_FACTOR, USAGE, main, run, settings  # noqa: E402

MIB = 1 << 20
LIMIT_S = 60  # far more than an ending takes


def full_device():
    return os.open("/dev/full", os.O_WRONLY), []


def closed_pipe():
    read_end, write_end = os.pipe()
    os.close(read_end)
    return write_end, []


def unread_pipe():
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    try:
        while True:
            os.write(write_end, b".")
    except BlockingIOError:
        os.set_blocking(write_end, True)
    return write_end, [read_end]


def stopped_terminal():
    """After Ctrl-S."""
    master, slave = os.openpty()
    termios.tcflow(slave, termios.TCOOFF)
    return slave, [master]


UNREADABLE = (full_device, closed_pipe, unread_pipe, stopped_terminal)


class Streams(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="fmvm-streams-")
        self.addCleanup(directory.cleanup)
        self.directory = pathlib.Path(directory.name)
        self.numbers = itertools.count()
        self.log = self.directory / "r.log"
        self.image = self.directory / "disk.img"
        self.image.write_bytes(bytes(MIB))
        run(settings.fmvm.parent / "tests" / "make_log", self.log, MIB)

    def fmvm(self, arguments, **streams):
        return subprocess.run([settings.fmvm, *map(str, arguments)], cwd=self.directory,
                              timeout=LIMIT_S * TIME_FACTOR, stdin=subprocess.DEVNULL,
                              **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams})

    def answering(self, answer):
        """The socket of an fmvm that answers this to one request."""
        path = self.directory / f"control-{next(self.numbers)}"
        server = socket.socket(socket.AF_UNIX)
        self.addCleanup(server.close)
        server.bind(str(path))
        server.listen()

        def serve():
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(json.dumps(answer).encode() + b"\n")

        threading.Thread(target=serve, daemon=True).start()
        return path

    def test_a_status_does_not_depend_on_who_reads_standard_error(self):
        for arguments in (["nonsense"], ["replay", "missing", "--disk", "x"], ["replay", self.log],
                          ["run", "--kernel", "missing"], ["backup", "--listen", "nowhere"],
                          ["switchover", "--control", "missing"], ["check"]):
            expected = self.fmvm(arguments).returncode
            self.assertGreaterEqual(expected, 0)
            for unreadable in UNREADABLE:
                with self.subTest(arguments=arguments, stream=unreadable.__name__):
                    stream, held = unreadable()
                    done = self.fmvm(arguments, stderr=stream)
                    for descriptor in (stream, *held):
                        os.close(descriptor)
                    self.assertEqual(done.returncode, expected)

    def test_a_difference_is_told_by_the_status_whoever_reads(self):
        for unreadable in UNREADABLE:
            with self.subTest(unreadable.__name__):
                control = self.answering({"ok": True, "equal": False, "result": "they differ"})
                stream, held = unreadable()
                done = self.fmvm(["verify", "--control", control], stderr=stream)
                for descriptor in (stream, *held):
                    os.close(descriptor)
                self.assertEqual(done.returncode, DIFFERENT)

    def test_a_result_that_cannot_be_written_is_a_failure(self):
        equal = {"ok": True, "equal": True, "result": "equal"}
        for make in (lambda: ["check"], lambda: ["check", "--json"], lambda: ["--help"], lambda: ["run", "--help"],
                     lambda: ["--version"], lambda: ["replay", self.log, "--dump"],
                     lambda: ["replay", self.log, "--dump", "--json"],
                     lambda: ["replay", self.log, "--disk", f"path={self.image}"],
                     lambda: ["verify", "--control", self.answering(equal)],
                     lambda: ["switchover", "--control", self.answering(equal)]):
            for unwritable in (full_device, closed_pipe):
                arguments = make()
                with self.subTest(arguments=arguments, stream=unwritable.__name__):
                    stream, _ = unwritable()
                    done = self.fmvm(arguments, stdout=stream)
                    os.close(stream)
                    self.assertEqual(done.returncode, FAILURE)
                    self.assertIn("fmvm: standard output: cannot be written: ", done.stderr.decode())

    def test_a_damaged_log_is_dumped_as_far_as_it_is_whole(self):
        with self.log.open("ab") as file:
            file.write(b"rubbish that is as long as the beginning of an epoch: " + bytes(100))
        done = self.fmvm(["replay", self.log, "--dump"])
        self.assertEqual(done.returncode, USAGE)
        self.assertIn(b"disk 0: 1048576 bytes", done.stdout)

    def test_what_can_be_written_is(self):
        done = self.fmvm(["replay", self.log, "--dump"])
        self.assertEqual(done.returncode, OK, done.stderr)
        self.assertTrue(done.stdout.decode().startswith("vm 01"))


if __name__ == "__main__":
    main()
