#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The operator's terminal: terminal.py FMVM

Runs a guest that halts for ever on a pseudo-terminal, ends fmvm in every way there is but SIGKILL,
and checks that the terminal was raw meanwhile and is afterwards as it was before.
"""

import os
import pty
import signal
import subprocess
import sys
import tempfile
import termios
import time

sys.dont_write_bytecode = True  # leave no __pycache__ in the source tree
from bad_input_suite import OPERATOR_STOP, TIMEOUT_S
from bad_kernels import elf_kernel


def is_raw(terminal):
    return not termios.tcgetattr(terminal)[3] & termios.ICANON


def wait_for(condition):
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def check_way_out(fmvm, kernel, end, expected_status):
    """`end(process, keyboard)` makes fmvm end; returns what went wrong, or None."""
    keyboard, terminal = pty.openpty()
    before = termios.tcgetattr(terminal)
    process = subprocess.Popen([fmvm, "run", "--kernel", kernel], stdin=terminal,
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        if not wait_for(lambda: is_raw(terminal) or process.poll() is not None):
            return "the terminal never became raw"
        if process.poll() is not None:
            return f"fmvm ended early: {process.stderr.read().decode()!r}"
        end(process, keyboard)
        try:
            status = process.wait(TIMEOUT_S)
        except subprocess.TimeoutExpired:
            return "fmvm did not end"
        if status != expected_status:
            return f"exit status {status}, {expected_status} expected"
        if termios.tcgetattr(terminal) != before:
            return "the terminal was not restored"
        return None
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
        os.close(keyboard)
        os.close(terminal)


def type_bytes(*pieces):
    def end(_process, keyboard):
        for piece in pieces:
            os.write(keyboard, piece)
            time.sleep(0.05)  # so that they come in different reads
    return end


def send(number):
    return lambda process, _keyboard: process.send_signal(number)


def main():
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    fmvm = os.path.abspath(sys.argv[1])
    ways = [("Ctrl-A x", type_bytes(b"\x01x"), OPERATOR_STOP),
            ("Ctrl-A x in two reads, after Ctrl-C, Ctrl-Z and help",
             type_bytes(b"\x03\x1aabc\x01h\x01", b"x"), OPERATOR_STOP)]
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        ways.append((number.name, send(number), OPERATOR_STOP))
    for number in (signal.SIGABRT, signal.SIGSEGV, signal.SIGQUIT):
        ways.append((number.name, send(number), -number))
    failures = 0
    with tempfile.TemporaryDirectory(prefix="fmvm-terminal-") as directory:
        kernel = os.path.join(directory, "vmlinux")
        with open(kernel, "wb") as file:
            file.write(elf_kernel())
        for name, end, status in ways:
            problem = check_way_out(fmvm, kernel, end, status)
            failures += problem is not None
            print(f"{'FAILED' if problem else 'ok':6} {name}" + (f": {problem}" if problem else ""),
                  flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
