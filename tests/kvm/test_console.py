# SPDX-License-Identifier: Apache-2.0
"""The console and the ways out: input under load, terminal and escape key, signals, slow readers."""

import os
import pathlib
import pty
import select
import signal
import subprocess
import sys
import termios
import time
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from fmvm_process import OK, STOPPED, TIME_FACTOR, VmTestCase, guest, main, settings  # noqa: E402


class Console(VmTestCase):
    def test_no_input_byte_is_lost_under_load(self):
        vm = self.start("--kernel", guest("counter"), "--cmdline", "echo=1",
                        stdin=subprocess.PIPE)
        lines = [f"line {n} " + "x" * (n % 61) for n in range(1, 401)]
        text = "".join(line + "\n" for line in lines) + "quit\n"
        vm.process.stdin.write(text.encode())
        vm.process.stdin.flush()
        self.assert_status(vm, OK)
        echoed = [line for line in vm.lines() if line.startswith("echo ")]
        self.assertEqual(echoed, [f"echo {n} {line}" for n, line in enumerate(lines)])

    def test_no_output_byte_is_lost_to_a_slow_reader(self):
        process = subprocess.Popen(
            [str(settings.fmvm), "run", "--kernel", str(guest("counter")), "--cmdline", "count=4000"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(process.kill)
        time.sleep(1)  # the pipe fills up meanwhile
        output = bytearray()
        while chunk := os.read(process.stdout.fileno(), 700):
            output += chunk
            time.sleep(0.001)
        numbers = [int(line.split()[1]) for line in output.decode().splitlines()
                   if line.startswith("counter ")]
        self.assertEqual(process.wait(10), OK, process.stderr.read().decode())
        self.assertEqual(numbers, list(range(1, 4001)))

    def test_no_output_byte_is_lost_to_a_late_reader(self):
        """The guest has long ended by then; its operator has not asked for an end."""
        process = subprocess.Popen(
            [str(settings.fmvm), "run", "--kernel", str(guest("counter")), "--cmdline", "count=1500"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            pipesize=4096)
        self.addCleanup(process.kill)
        time.sleep(4)
        output, _ = process.communicate(timeout=60 * TIME_FACTOR)
        self.assertEqual(output.count(b"counter "), 1500)
        self.assertIn(b"counter: ok", output)
        self.assertEqual(process.returncode, OK)

    def test_console_file(self):
        with tempfile.TemporaryDirectory() as directory:
            path = pathlib.Path(directory) / "console.log"
            self.check_silent("--console", f"file:{path}")
            self.assertIn("counter: ok", path.read_text())

    def test_console_null(self):
        self.check_silent("--console", "null")

    def check_silent(self, *console):
        vm = self.start("--kernel", guest("counter"), "--cmdline", "count=3", *console)
        self.assert_status(vm, OK)
        self.assertEqual(bytes(vm.console), b"")

    def test_signals_stop_the_guest(self):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            with self.subTest(signal=number):
                vm = self.start("--kernel", guest("counter"), "--cmdline", "rate=100")
                vm.wait_for("counter 3 ")
                vm.send_signal(number)
                self.assert_status(vm, STOPPED, timeout=20)

    def test_signals_that_were_ignored_stay_ignored(self):
        """nohup, or a script's job in the background."""
        def ignore():
            for number in (signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)

        vm = self.start("--kernel", guest("counter"), "--cmdline", "rate=100", preexec_fn=ignore)
        vm.wait_for("counter 3 ")
        for number in (signal.SIGINT, signal.SIGHUP):
            vm.send_signal(number)
        time.sleep(0.5)
        self.assertIsNone(vm.process.poll())
        vm.send_signal(signal.SIGTERM)
        self.assert_status(vm, STOPPED, timeout=20)

    def test_a_reader_that_goes_away_does_not_stop_the_guest(self):
        read_end, write_end = os.pipe()
        process = subprocess.Popen(
            [str(settings.fmvm), "run", "--kernel", str(guest("counter")), "--cmdline",
             "count=3000"],
            stdin=subprocess.DEVNULL, stdout=write_end, stderr=subprocess.DEVNULL)
        self.addCleanup(process.kill)
        os.close(write_end)
        os.read(read_end, 10)
        os.close(read_end)
        self.assertEqual(process.wait(60), OK)


# A shell that has the terminal, and starts its arguments as a job behind it.
BACKGROUND_JOB = """
import fcntl, os, subprocess, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
sys.exit(subprocess.Popen(sys.argv[1:], process_group=0).wait())
"""


class Terminal(VmTestCase):
    def open_terminal(self, *arguments):
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        self.addCleanup(os.close, slave)
        self.before = termios.tcgetattr(slave)
        process = subprocess.Popen([str(settings.fmvm), "run", *map(str, arguments)],
                                   stdin=slave, stdout=slave, stderr=subprocess.DEVNULL)
        self.addCleanup(process.kill)
        self.slave = slave
        return master, process

    def read_until(self, master, text, timeout=30):
        seen = bytearray()
        deadline = time.monotonic() + timeout * TIME_FACTOR
        while text not in seen:
            ready, _, _ = select.select([master], [], [], max(0, deadline - time.monotonic()))
            self.assertTrue(ready, f"{text!r} did not come: {bytes(seen)!r}")
            seen += os.read(master, 4096)
        return bytes(seen)

    def assert_restored(self):
        self.assertEqual(termios.tcgetattr(self.slave), self.before)

    def test_escape_quits_and_the_terminal_is_restored(self):
        master, process = self.open_terminal("--kernel", guest("counter"), "--cmdline", "rate=50")
        self.read_until(master, b"counter 2 ")
        self.assertNotEqual(termios.tcgetattr(self.slave), self.before)
        os.write(master, b"\x01x")
        self.assertEqual(process.wait(20), STOPPED)
        self.assert_restored()

    def test_escape_is_heard_by_a_guest_that_reads_nothing(self):
        master, process = self.open_terminal("--kernel", guest("counter"), "--cmdline", "rate=50")
        self.read_until(master, b"counter 2 ")
        for _ in range(200):
            os.write(master, b"a key held down for two minutes ")
            self.read_until(master, b"counter ")  # so that the terminal does not fill up
        os.write(master, b"\x01x")
        self.assertEqual(process.wait(20), STOPPED)
        self.assert_restored()

    def test_in_the_background_of_a_terminal_it_is_not_stopped(self):
        """Nor changes the terminal, which belongs to another job."""
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        self.addCleanup(os.close, slave)
        before = termios.tcgetattr(slave)
        shell = subprocess.Popen(
            [sys.executable, "-c", BACKGROUND_JOB, settings.fmvm, "run", "--kernel", guest("counter"),
             "--cmdline", "count=50 rate=50"],
            stdin=slave, stdout=slave, stderr=subprocess.PIPE, start_new_session=True)
        self.addCleanup(shell.kill)
        self.read_until(master, b"counter 20 ")
        self.assertEqual(termios.tcgetattr(slave), before)
        self.read_until(master, b"counter: ok")
        _, errors = shell.communicate(timeout=20 * TIME_FACTOR)
        self.assertEqual(shell.returncode, OK, errors)
        self.assertIn(b"in the background of its terminal", errors)

    def test_restored_after_sigterm_and_power_off(self):
        master, process = self.open_terminal("--kernel", guest("counter"), "--cmdline", "rate=50")
        self.read_until(master, b"counter 2 ")
        process.terminate()
        self.assertEqual(process.wait(20), STOPPED)
        self.assert_restored()
        master, process = self.open_terminal("--kernel", guest("counter"), "--cmdline", "count=2")
        self.read_until(master, b"counter: ok")
        self.assertEqual(process.wait(20), OK)
        self.assert_restored()

    def test_control_keys_go_to_the_guest(self):
        master, process = self.open_terminal("--kernel", guest("counter"), "--cmdline", "echo=1")
        self.read_until(master, b"\n")
        os.write(master, b"a\x03b\x01ac\n")
        self.read_until(master, b"echo 0 a\x03b\x01c")
        os.write(master, b"quit\n")
        self.assertEqual(process.wait(20), OK)
        self.assert_restored()


if __name__ == "__main__":
    main()
