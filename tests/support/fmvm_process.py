# SPDX-License-Identifier: Apache-2.0
"""Runs the real fmvm program with a guest and watches its console from outside.

The test files are started by CTest as `python3 test_x.py FMVM GUESTS`, where GUESTS is the
directory of the bare guests. Every wait has a limit; what was on the console is shown on failure.
"""

import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
import unittest

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]

# A host that is emulated is slow: every limit of a wait is so many times as long.
TIME_FACTOR = float(os.environ.get("FMVM_TIME_FACTOR", "1"))

# src/cli/report/exit_status.h
(OK, FAILURE, USAGE, RESET, CRASHED, STUCK, STOPPED, SUPERSEDED, BACKUP_LOST,
 DIFFERENT) = range(10)


# Tests may run under nohup, or as a script's job, and fmvm leaves ignored signals ignored.
for number in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.SIG_DFL)


class Vm:
    """One `fmvm run` process. Console lines are collected by a thread."""

    def __init__(self, arguments, stdin=subprocess.DEVNULL, preexec_fn=None):
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            [str(settings.fmvm), "run", *map(str, arguments)],
            stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=preexec_fn)
        self.console = bytearray()
        self.errors = bytearray()
        self._changed = threading.Condition()
        self._threads = [threading.Thread(target=self._collect, args=pair, daemon=True)
                         for pair in ((self.process.stdout, self.console),
                                      (self.process.stderr, self.errors))]
        for thread in self._threads:
            thread.start()

    def _collect(self, stream, into):
        while chunk := stream.read1(65536):
            with self._changed:
                into += chunk
                self._changed.notify_all()

    def wait_for(self, text, timeout=60):
        """Waits until `text` was on the console."""
        wanted = text.encode()
        self._wait(lambda: wanted in self.console, repr(text), timeout)

    def wait_lines(self, count, timeout=60):
        """Waits until the console has so many lines."""
        self._wait(lambda: self.console.count(b"\n") >= count, f"line {count}", timeout)

    def _wait(self, condition, what, timeout):
        with self._changed:
            deadline = time.monotonic() + timeout * TIME_FACTOR
            while not condition():
                if time.monotonic() > deadline or self.process.poll() is not None:
                    self._changed.wait(1)  # for what is still in the pipe
                    if condition():
                        return
                    raise AssertionError(f"{what} did not come; {self.description()}")
                self._changed.wait(1)

    def finish(self, timeout=120):
        """Waits for the end; the exit status."""
        try:
            status = self.process.wait(timeout * TIME_FACTOR)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"still running after {timeout} s; {self.description()}") from None
        for thread in self._threads:
            thread.join(10)
        return status

    def lines(self):
        return self.console.decode(errors="replace").replace("\r\n", "\n").splitlines()

    def kill(self):
        self.process.kill()
        self.process.wait()
        for thread in self._threads:
            thread.join(10)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream:
                stream.close()

    def send_signal(self, number):
        self.process.send_signal(number)

    def description(self):
        tail = self.console[-3000:].decode(errors="replace")
        errors = self.errors[-2000:].decode(errors="replace")
        return f"console:\n{tail}\nstderr:\n{errors}"


class Settings:
    fmvm = None
    guests = None


settings = Settings()


def guest(name):
    return settings.guests / f"{name}.elf"


def run_bare(name, cmdline, *arguments, timeout=120):
    """Runs a bare guest to its end: (status, Vm)."""
    vm = Vm(["--kernel", guest(name), "--cmdline", cmdline, *arguments])
    try:
        return vm.finish(timeout), vm
    finally:
        vm.kill()


class VmTestCase(unittest.TestCase):
    """Leaves no guest behind, and shows the console of one that ended otherwise than expected."""

    def start(self, *arguments, **options):
        vm = Vm(arguments, **options)
        self.addCleanup(vm.kill)
        return vm

    def assert_status(self, vm, expected, timeout=120):
        status = vm.finish(timeout)
        self.assertEqual(status, expected, vm.description())

    def check_bare(self, name, cmdline, *arguments, expected=OK, timeout=120):
        status, vm = run_bare(name, cmdline, *arguments, timeout=timeout)
        self.assertEqual(status, expected, vm.description())
        if expected == OK:
            self.assertIn(f"{name}: ok", "\n".join(vm.lines()), vm.description())
        return vm


def run(*arguments):
    """A helper program that must succeed; its output."""
    done = subprocess.run(list(map(str, arguments)), capture_output=True, text=True,
                          timeout=300 * TIME_FACTOR)
    if done.returncode != 0:
        raise AssertionError(f"{arguments} failed: {done.stdout}{done.stderr}")
    return done.stdout


def run_fmvm(*words, timeout=60, **options):
    """An fmvm that needs no watching, at its end: the finished process."""
    return subprocess.run([str(settings.fmvm), *map(str, words)], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=timeout * TIME_FACTOR, **options)


def main():
    if len(sys.argv) < 3:
        sys.exit(f"usage: {sys.argv[0]} FMVM GUESTS [unittest arguments]")
    settings.fmvm = pathlib.Path(sys.argv[1]).resolve()
    settings.guests = pathlib.Path(sys.argv[2]).resolve()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.setdefault("LC_ALL", "C.UTF-8")
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]], verbosity=2)
