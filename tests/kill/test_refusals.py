# SPDX-License-Identifier: Apache-2.0
"""Who is not let in, and what is not begun: strangers, a second primary, wrong configurations."""

import os
import pathlib
import random
import signal
import socket
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from fmvm_process import OK, STOPPED, TIME_FACTOR, USAGE, VmTestCase, guest, main, run_fmvm  # noqa: E402
from killing import check_status  # noqa: E402
from pair import COUNTER, JOURNAL, Pair, PairTestCase, free_port  # noqa: E402

SEED = 20260103
HEADER = 40  # src/lockstep/wire/frame_codec.h


def is_disconnected(connection, timeout):
    """Whether the other side ends the connection in time, whatever it says before."""
    connection.settimeout(timeout * TIME_FACTOR)
    try:
        while connection.recv(65536):
            pass
        return True
    except ConnectionError:
        return True
    except TimeoutError:
        return False


def record_hello(pair):
    """The bytes with which a real primary introduces itself."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(20 * TIME_FACTOR)
        pair.through = server.getsockname()[1]
        primary = pair.start_primary(name="recorded")
        server.accept()[0].close()  # it asks whether the guest runs there
        connection, _ = server.accept()
        with connection:
            hello = connection.recv(65536)
            while len(hello) < HEADER + int.from_bytes(hello[8:12], "little"):
                hello += connection.recv(65536)
    primary.stop()
    pair.through = pair.port
    return hello[:HEADER + int.from_bytes(hello[8:12], "little")]


class Strangers(PairTestCase):
    def setUp(self):
        recorder = Pair(COUNTER)
        try:
            self.hello = record_hello(recorder)
        finally:
            recorder.close()
        self.random = random.Random(SEED)

    def things_to_say(self):
        return {
            "nothing": b"",
            "one byte": b"F",
            "half a header": self.hello[:HEADER // 2],
            "half a hello": self.hello[:-len(self.hello) // 2],
            "garbage": self.random.randbytes(100000),
            "HTTP": b"GET / HTTP/1.0\r\n\r\n",
            "damaged header": self.hello[:17] + b"\xff" + self.hello[18:],
            "damaged body": self.hello[:-3] + b"\xff" + self.hello[-2:],
            "two hellos": self.hello + self.hello,
            "hello and garbage": self.hello + self.random.randbytes(5000),
            "hello, then nothing": self.hello,
        }

    def test_at_the_backup(self):
        """Disconnected with one line in the log; the real primary can connect all the same."""
        for name, bytes_ in self.things_to_say().items():
            with self.subTest(says=name):
                pair = self.pair(COUNTER)
                backup = pair.start_backup()
                before = backup.log().count("warning")
                with socket.create_connection(("127.0.0.1", pair.port)) as stranger:
                    try:
                        stranger.sendall(bytes_)
                    except ConnectionError:
                        pass
                    self.assertTrue(is_disconnected(stranger, 20), "it is still connected")
                backup.wait(lambda backup=backup, before=before:
                            backup.log().count("warning") > before, "no word about it")
                self.assertEqual(backup.log().count("warning"), before + 1, backup.log())
                self.assertNotIn("took over", backup.log())
                primary = pair.start_primary()
                primary.wait_log("protected by")
                primary.wait_lines(10)
                primary.signal(signal.SIGKILL)
                self.assert_took_over(pair, primary, backup)
                self.end(pair, backup)

    def test_beside_a_real_primary(self):
        """The backup has its primary already; the guest does not notice."""
        pair = self.pair(COUNTER)
        primary, backup = pair.start()
        for name, bytes_ in self.things_to_say().items():
            with self.subTest(says=name), \
                    socket.create_connection(("127.0.0.1", pair.port)) as stranger:
                try:
                    stranger.sendall(bytes_)
                except ConnectionError:
                    pass
                self.assertTrue(is_disconnected(stranger, 20), "it is still connected")
        primary.wait_lines(20)
        self.assertNotIn("lost", primary.log())
        primary.signal(signal.SIGKILL)
        self.assert_took_over(pair, primary, backup)
        with socket.create_connection(("127.0.0.1", pair.port)) as stranger:
            self.assertTrue(is_disconnected(stranger, 20))
        self.end(pair, backup)

    def test_instead_of_the_backup(self):
        """A primary that reaches a stranger goes on, unprotected, and tries again."""
        for name, bytes_ in self.things_to_say().items():
            if name == "HTTP":
                bytes_ = b"SSH-2.0-OpenSSH_9.2p1\r\n"
            pair = self.pair(COUNTER, lost_after="300ms")
            with self.subTest(says=name), \
                    socket.create_server(("127.0.0.1", pair.port)) as server:
                server.settimeout(20 * TIME_FACTOR)
                primary = pair.start_primary()
                for _ in range(2):  # it comes again
                    connection, _ = server.accept()
                    with connection:
                        connection.sendall(bytes_)
                        self.assertTrue(is_disconnected(connection, 20), "it is still connected")
                server.close()
                backup = pair.start_backup()
                primary.wait_log("protected by")
                pair.workload.judge(bytes(primary.console))
                self.end(pair, primary, backup)

    def test_many_connections(self):
        """As many as there may be at a time, and more; none of them stays."""
        pair = self.pair(COUNTER)
        backup = pair.start_backup()
        strangers = [socket.create_connection(("127.0.0.1", pair.port)) for _ in range(200)]
        for stranger in strangers:
            self.assertTrue(is_disconnected(stranger, 60))
            stranger.close()
        descriptors = len(os.listdir(f"/proc/{backup.process.pid}/fd"))
        self.assertLess(descriptors, 50)
        primary = pair.start_primary()
        primary.wait_log("protected by")
        self.end(pair, primary, backup)


class SecondPrimary(PairTestCase):
    def test_of_another_guest(self):
        pair = self.pair(COUNTER)
        primary, backup = pair.start()
        other = self.pair(COUNTER)
        other.through = pair.port
        second = other.start_primary(name="other")
        second.wait_log("it refuses: another primary is connected")
        primary.wait_lines(20)
        self.assertNotIn("lost", primary.log())
        second.stop()
        primary.signal(signal.SIGKILL)
        self.assert_took_over(pair, primary, backup)
        self.end(pair, backup)

    def test_of_the_same_guest(self):
        """The arbiter knows that the guest runs."""
        pair = self.pair(COUNTER)
        primary, backup = pair.start()
        second = pair.start_primary(name="second")
        check_status(second, USAGE)
        self.assertEqual(bytes(second.console), b"")
        primary.wait_lines(20)
        self.end(pair, primary, backup)


class Configuration(VmTestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = pathlib.Path(directory.name)

    def assert_usage(self, arguments, *names):
        done = run_fmvm(*arguments)
        said = f"{arguments}: {done.stderr}"
        self.assertEqual(done.returncode, USAGE, said)
        self.assertTrue(done.stderr.startswith("fmvm: "), said)
        self.assertEqual(done.stderr.count("\n"), 1, said)
        for name in names:
            self.assertIn(name, done.stderr)

    def primary(self, **changes):
        options = {"--backup": "127.0.0.1:9", "--arbiter": f"file:{self.directory}/arbiter",
                   "--kernel": guest("counter")} | changes
        return ["primary"] + [word for pair in options.items() if pair[1] for word in pair]

    def backup(self, **changes):
        options = {"--listen": f"127.0.0.1:{free_port()}", "--dir": self.directory / "b",
                   "--arbiter": f"file:{self.directory}/arbiter"} | changes
        return ["backup"] + [word for pair in options.items() if pair[1] for word in pair]

    def test_of_a_primary(self):
        for change, names in (
                ({"--backup": None}, ["--backup"]),
                ({"--arbiter": None}, ["--arbiter"]),
                ({"--kernel": None}, ["--kernel"]),
                ({"--backup": "127.0.0.1"}, ["--backup", "ADDRESS:PORT"]),
                ({"--backup": "somewhere:7000"}, ["--backup", "ADDRESS:PORT"]),
                ({"--backup": "10.1.2.3:7000"}, ["--backup", "--tls", "--insecure-plaintext"]),
                ({"--arbiter": "etcd:x"}, ["--arbiter", "etcd:x"]),
                ({"--arbiter": "file:/nowhere/arbiter"}, ["/nowhere/"]),
                ({"--arbiter": f"file:{self.directory}/"}, ["file"]),
                ({"--sync": "always"}, ["--sync"]),
                ({"--epoch": "50"}, ["--epoch"]),
                ({"--epoch": "0ms"}, ["--epoch"]),
                ({"--heartbeat": "1s", "--lost-after": "1s"}, ["--lost-after"]),
                ({"--verify": "-1"}, ["--verify"]),
                ({"--staging": "1K"}, ["--staging"]),
                ({"--dirty-budget": "4K"}, ["--dirty-budget"]),
                ({"--compress": "zip"}, ["--compress"]),
                ({"--dirty-log": "list"}, ["--dirty-log", "'list'"]),
                ({"--dirty-log": "ring", "--hot-pages": "on"}, ["--hot-pages", "--dirty-log"]),
                ({"--on-backup-lost": "cry"}, ["--on-backup-lost"]),
                ({"--control": "/nowhere/socket"}, ["/nowhere/socket"])):
            with self.subTest(change=change):
                self.assert_usage(self.primary(**change), *names)

    def test_of_a_backup(self):
        (self.directory / "file").write_bytes(b"")
        for change, names in (
                ({"--listen": None}, ["--listen"]),
                ({"--dir": None}, ["--dir"]),
                ({"--arbiter": None}, ["--arbiter"]),
                ({"--listen": "0.0.0.0:7000"}, ["--listen", "--tls", "--insecure-plaintext"]),
                ({"--listen": "[::]:7000"}, ["--listen", "--insecure-plaintext"]),
                ({"--listen": "127.0.0.1:70000"}, ["--listen"]),
                ({"--dir": "/nowhere/b"}, ["--dir", "/nowhere/b", "make that first"]),
                ({"--trace": "/nowhere/t"}, ["--trace", "/nowhere/t"]),
                ({"--dir": self.directory / "file"}, ["--dir"]),
                ({"--arbiter": "maybe"}, ["--arbiter"])):
            with self.subTest(change=change):
                self.assert_usage(self.backup(**change), *names)

    def test_of_a_backup_whose_port_is_in_use(self):
        with socket.create_server(("127.0.0.1", 0)) as server:
            address = f"127.0.0.1:{server.getsockname()[1]}"
            self.assert_usage(self.backup(**{"--listen": address}), address)

    def test_of_a_backup_whose_directory_is_in_use(self):
        pair = Pair(COUNTER)
        try:
            pair.start_backup()
            self.assert_usage(self.backup(**{"--dir": pair.directory / "backup"}), "in use")
        finally:
            pair.close()


class Mismatch(PairTestCase):
    def test_of_disks(self):
        """One sentence on both sides; the guest goes on unprotected."""
        pair = self.pair(COUNTER)
        image = pair.directory / "disk.img"
        with open(image, "wb") as file:
            file.truncate(1 << 20)
        backup = pair.start_backup("--disk", f"path={image}", "--block", "shared")
        primary = pair.start_primary()
        sentence = "the primary has 0 disks, this backup 1"
        backup.wait_log(sentence)
        primary.wait_log(f"it refuses: {sentence}")
        primary.wait_lines(10)
        self.end(pair, primary, backup)

    def test_of_guests(self):
        """A backup is for one guest."""
        pair = self.pair(COUNTER)
        primary, backup = pair.start()
        primary.stop()
        check_status(backup, OK)
        other = self.pair(COUNTER)
        (pair.directory / "backup").rename(other.directory / "backup")
        backup = other.start_backup()
        primary = other.start_primary()
        backup.wait_log("is for another guest; give an empty one")
        primary.wait_log("it refuses: this backup's directory")
        primary.wait_lines(10)
        self.end(other, primary, backup)

    def test_of_images(self):
        """A backup overwrites no image that another guest ran on; the guest goes on unprotected."""
        other = self.pair(JOURNAL, disk=self.new_disk(), block="replay")
        primary, backup = other.start()
        for side in (primary, backup):  # so that its label says that it runs
            side.signal(signal.SIGKILL)
            check_status(side, -signal.SIGKILL)
        image = other.disk
        before = image.read_bytes()
        pair = self.pair(JOURNAL, disk=self.new_disk(), block="replay", images={"backup": image})
        (pair.directory / "backup.fmvm").write_bytes(
            pathlib.Path(f"{image}.fmvm").read_bytes())
        backup = pair.start_backup()
        primary = pair.start_primary()
        for side in (backup, primary):
            side.wait_log("its label says that it is another guest's")
        primary.wait_lines(10)
        self.end(pair, primary, backup)
        self.assertEqual(image.read_bytes(), before)

    def test_of_a_second_primary(self):
        """What is refused has changed nothing: not the console's file, nor a stale image's label."""
        stale = self.pair(JOURNAL, disk=self.new_disk(), block="replay")
        for side in stale.start():  # so that its label says that it runs
            side.signal(signal.SIGKILL)
            check_status(side, -signal.SIGKILL)
        label = pathlib.Path(f"{stale.disk}.fmvm")
        before = label.read_bytes()
        pair = self.pair(JOURNAL, disk=self.new_disk(), block="replay")
        console = pair.directory / "console"
        backup = pair.start_backup()
        primary = pair.start_primary("--console", f"file:{console}")
        primary.wait_log("protected by")
        primary.wait(lambda: console.exists() and console.stat().st_size >= 100, "nothing shown")
        shown = console.read_bytes()
        pair.images = {"second": stale.disk}
        label.rename(pair.directory / "second.fmvm")
        second = pair.start_primary("--console", f"file:{console}", "--force-stale", name="second")
        check_status(second, USAGE)
        self.assertIn("this guest runs on the primary", second.log())
        self.assertTrue(console.read_bytes().startswith(shown))
        self.assertEqual((pair.directory / "second.fmvm").read_bytes(), before)
        self.assertEqual(primary.stop(), STOPPED)
        check_status(backup, OK)


if __name__ == "__main__":
    main()
