# SPDX-License-Identifier: Apache-2.0
"""`fmvm snapshot` and `fmvm run --restore`: bare guests go on in another process as if nothing had
happened; what cannot be restored is refused in one sentence."""

import json
import os
import pathlib
import re
import shutil
import signal
import socket
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from fmvm_process import FAILURE, OK, REPOSITORY, STOPPED, USAGE, guest, main, run, run_fmvm  # noqa: E402,E501
from snapshots import SnapshotTestCase  # noqa: E402

MOVES = 6


class Snapshots(SnapshotTestCase):
    def make_disk(self, mib, name="disk.img"):
        disk = self.directory / name
        with open(disk, "wb") as image:
            image.truncate(mib << 20)
        return disk

    def move_bare(self, name, cmdline, *stay, options=(), moves=MOVES, between=(0.05, 0.5)):
        """The whole console of a bare guest that is moved and must end well."""
        start = ("--kernel", guest(name), "--cmdline", cmdline, *options)
        vm, earlier = self.run_moving(start, stay, moves, between)
        self.assert_status(vm, OK)
        console = earlier.decode() + vm.console.decode()
        self.assertIn(f"{name}: ok", console, f"{self.story} {vm.description()}")
        return console

    def test_counter_misses_no_line(self):
        for tx in ("poll", "irq"):
            with self.subTest(tx=tx):
                shutil.rmtree(self.directory)
                self.directory.mkdir()
                console = self.move_bare("counter", f"count=1500 rate=400 tx={tx}")
                numbers = [int(found) for found in re.findall(r"^counter (\d+) ", console, re.M)]
                self.assertEqual(numbers, list(range(1, 1501)), self.story)

    def test_dirty_keeps_its_checksum(self):
        self.move_bare("dirty", "mib=32 seconds=4 report_ms=200", options=("--memory", "64M"))

    def test_two_cpus_lose_no_interrupt(self):
        self.move_bare("smp", "cpus=2 rounds=300", options=("--cpus", 2))

    def test_journal_is_on_the_disk(self):
        disk = self.make_disk(16)
        console = self.move_bare("journal", "count=400 rate=150", "--disk", f"path={disk}")
        log = self.directory / "log"
        log.write_text(console)
        run(REPOSITORY / "guests/bare/check-journal", disk, log)
        numbers = [int(found) for found in re.findall(r"^journal (\d+) ", console, re.M)]
        self.assertEqual(numbers, list(range(1, 401)), self.story)

    def test_block_device_under_load_loses_no_request(self):
        for options in ("", ",direct"):
            with self.subTest(options=options):
                shutil.rmtree(self.directory)
                self.directory.mkdir()
                disk = self.make_disk(64)
                self.move_bare("blkload", "op=mixed verify=1 depth=64 wait=irq requests=40000",
                               "--disk", f"path={disk}{options}")

    def test_a_guest_goes_on_after_a_snapshot(self):
        vm = self.start_controlled("--kernel", guest("counter"), "--cmdline", "count=600 rate=400")
        vm.wait_for("counter 50 ")
        done = self.snapshot("saved")
        saved = f"the guest is saved in {self.directory / 'saved'}, and goes on\n"
        self.assertEqual((done.returncode, done.stdout, done.stderr), (OK, saved, ""))
        self.assert_status(vm, OK)
        self.assertFalse(self.socket.exists(), "the control socket was left behind")
        again = self.start("--restore", self.directory / "saved")
        self.assert_status(again, OK)
        last_number = int(re.findall(r"^counter (\d+) ", again.console.decode(), re.M)[-1])
        self.assertEqual(last_number, 600)
        # Empty memory is not stored.
        blocks = os.stat(self.directory / "saved/ram").st_blocks
        self.assertLess(blocks * 512, 16 << 20)

    def test_the_console_file_goes_on(self):
        log = self.directory / "console.log"
        vm, _ = self.run_moving(("--kernel", guest("counter"), "--cmdline", "count=300 rate=300"),
                                ("--console", f"file:{log}"), 2, (0.1, 0.3))
        self.assert_status(vm, OK)
        numbers = [int(found) for found in re.findall(r"^counter (\d+) ", log.read_text(), re.M)]
        self.assertEqual(numbers, list(range(1, 301)), self.story)


class Refusals(SnapshotTestCase):
    def saved(self, *arguments):
        """A snapshot of a guest with those arguments."""
        vm = self.start_controlled("--kernel", guest("counter"), "--cmdline", "rate=100",
                                   *arguments)
        vm.wait_for("counter 5 ")
        done = self.snapshot("saved", "--stop")
        self.assertEqual(done.returncode, OK, done.stderr)
        self.assert_status(vm, STOPPED)
        return self.directory / "saved"

    def assert_refused(self, arguments, *words):
        """By both commands that can restore; the primary has not begun a generation."""
        arbiter = self.directory / "arbiter"
        for start in (["run"], ["primary", "--backup", "127.0.0.1:9", "--block", "shared",
                                "--arbiter", f"file:{arbiter}"]):
            done = run_fmvm(*start, *arguments)
            self.assertEqual(done.returncode, USAGE, done.stderr)
            self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
            self.assertTrue(done.stderr.startswith("fmvm: "), done.stderr)
            for word in words:
                self.assertIn(word, done.stderr)
        self.assertEqual(list(self.directory.glob("arbiter*")), [])

    def test_damaged_snapshots(self):
        saved = self.saved()
        state, ram = (saved / "state").read_bytes(), saved / "ram"

        def with_state(content, *words):
            (saved / "state").write_bytes(content)
            self.assert_refused(["--restore", saved], str(saved), *words)

        with_state(b"", "not a state image")
        with_state(b"hello", "not a state image")
        with_state(state[:-1], "damaged")
        with_state(state[: len(state) // 2], "damaged")
        flipped = bytearray(state)
        flipped[len(state) // 2] ^= 4
        with_state(flipped, "damaged")
        (saved / "state").write_bytes(state)
        with open(ram, "r+b") as file:
            file.seek(0x100000)
            file.write(b"\xff" * 8)
        self.assert_refused(["--restore", saved], "memory is damaged")
        os.truncate(ram, 4096)
        self.assert_refused(["--restore", saved], "4096 bytes instead of")
        ram.unlink()
        self.assert_refused(["--restore", saved], "`ram`")
        (saved / "state").unlink()
        self.assert_refused(["--restore", saved], "`state`")
        self.assert_refused(["--restore", self.directory / "nothing"], "nothing")

    def end(self, vm):
        vm.send_signal(signal.SIGTERM)
        self.assert_status(vm, STOPPED)

    def test_a_disk_that_went_on(self):
        """It is refused with the disk's name, however often; a copy that was made in time is not."""
        disk, copy = self.directory / "disk.img", self.directory / "copy.img"
        disk.touch()
        os.truncate(disk, 16 << 20)
        journal = ("--kernel", guest("journal"), "--cmdline", "rate=150")
        vm = self.start_controlled(*journal, "--disk", f"path={disk}")
        vm.wait_for("journal 20 ")
        saved = self.directory / "saved"
        self.assertEqual(self.snapshot("saved", "--stop").returncode, OK)
        self.assert_status(vm, STOPPED)
        shutil.copyfile(disk, copy)
        again = self.start_controlled("--restore", saved, "--disk", f"path={disk}")
        again.wait_for("journal ")
        self.assertEqual(self.snapshot("later").returncode, OK)  # the guest goes on
        self.end(again)
        for name in ("saved", "later"):
            self.assert_refused(["--restore", self.directory / name, "--disk", f"path={disk}"],
                                f"disk {disk}", "a guest has run on it since", "without --restore")
        last = self.start_controlled("--restore", saved, "--disk", f"path={copy}")
        last.wait_for("journal ")
        self.end(last)

    def test_another_machine(self):
        disk = self.directory / "disk.img"
        smaller = self.directory / "smaller.img"
        for path, mib in ((disk, 8), (smaller, 4)):
            path.touch()
            os.truncate(path, mib << 20)
        saved = self.saved("--disk", f"path={disk},serial=one")
        restore = ["--restore", saved]
        self.assert_refused(restore, "disk0")
        self.assert_refused([*restore, "--disk", f"path={smaller},serial=one"], "disk0")
        self.assert_refused([*restore, "--disk", f"path={disk},serial=one,readonly"], "disk0")
        self.assert_refused([*restore, "--disk", f"path={disk},serial=two"], "disk0", "serial 'one'")
        self.assert_refused([*restore, "--disk", f"path={disk},serial=one",
                             "--disk", f"path={smaller}"], "disk1")
        for option, value in (("--memory", "256M"), ("--cpus", 1), ("--kernel", guest("counter")),
                              ("--cmdline", "x"), ("--initrd", disk)):
            self.assert_refused([*restore, option, value], option[2:], "snapshot")

    def test_snapshot_command(self):
        def refused(done, status, *words):
            self.assertEqual(done.returncode, status, done.stderr)
            self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
            for word in words:
                self.assertIn(word, done.stderr)

        refused(self.snapshot("saved"), FAILURE, str(self.socket))
        vm = self.start_controlled("--kernel", guest("counter"), "--cmdline", "rate=100")
        vm.wait_for("counter 5 ")
        (self.directory / "there").mkdir()
        refused(self.snapshot("there", "--stop"), FAILURE, "exists already")
        refused(self.snapshot("no/where", "--stop"), FAILURE, "no/where")
        vm.wait_for(f"counter {len(vm.lines()) + 20} ")  # it goes on all the same
        self.assertEqual(sorted(os.listdir(self.directory)), ["control", "there"])
        for words in ([], ["--to", "x"], ["--control", self.socket], ["--control", "a", "--to", ""]):
            refused(run_fmvm("snapshot", *words), USAGE)


class ControlSocket(SnapshotTestCase):
    def setUp(self):
        super().setUp()
        self.vm = self.start_controlled("--kernel", guest("counter"), "--cmdline", "rate=100")
        self.vm.wait_for("counter 5 ")

    def connect(self):
        client = socket.socket(socket.AF_UNIX)
        self.addCleanup(client.close)
        client.connect(str(self.socket))  # waits while the socket's queue is full
        client.settimeout(20)
        return client

    def ask(self, content):
        client = self.connect()
        try:
            client.sendall(content)
            answer = bytearray()
            while chunk := client.recv(4096):
                answer += chunk
        except (BrokenPipeError, ConnectionResetError):
            return None
        return json.loads(answer)

    def test_hostile_clients(self):
        self.assertEqual(os.stat(self.socket).st_mode & 0o777, 0o600)
        for content in (b"\n", b"{}\n", b"[]\n", b'{"command": 1}\n', b'{"command": "fly"}\n',
                        b'{"command": "snapshot"}\n', b'{"command": "snapshot", "to": ""}\n',
                        b'{"command": "snapshot", "to": "/x", "stop": 1}\n',
                        b'{"command": "snapshot", "to": "relative"}\n', b"\0" * 100 + b"\n",
                        b"[" * 1000 + b"\n", b"\xff\xfe\n"):
            with self.subTest(content=content):
                self.assertIn("error", self.ask(content))
        self.assertIn("error", self.ask(b"x" * 70_000) or {"error": "cut off"})
        silent = [self.connect() for _ in range(20)]
        time.sleep(0.5)
        for client in silent:
            client.close()
        self.assertIn("error", self.ask(b"{}\n"))
        self.vm.wait_for(f"counter {len(self.vm.lines()) + 20} ")

    def test_a_silent_client_is_sent_away(self):
        client = self.connect()
        self.assertIn(b"error", client.recv(4096))
        self.assertEqual(client.recv(4096), b"")

    def test_a_socket_in_use_is_left_alone(self):
        second = self.start_controlled("--kernel", guest("hello"))
        self.assert_status(second, USAGE)
        self.assertIn(b"in use", second.errors)
        self.assertIn("error", self.ask(b"{}\n"))
        self.vm.process.kill()
        self.vm.process.wait()
        third = self.start_controlled("--kernel", guest("hello"))  # the old socket is stale
        self.assert_status(third, OK)
        self.assertFalse(self.socket.exists())

    def test_another_file_is_left_alone(self):
        path = self.directory / "file"
        path.write_text("precious")
        vm = self.start("--kernel", guest("hello"), "--control", path)
        self.assert_status(vm, USAGE)
        self.assertEqual(path.read_text(), "precious")


if __name__ == "__main__":
    main()
