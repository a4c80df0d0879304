# SPDX-License-Identifier: Apache-2.0
"""A guest on the network: the bare guest `echo`, talked to over a Unix socket and over a TAP."""

import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from fmvm_process import OK, STOPPED, TIME_FACTOR, USAGE, VmTestCase, guest, main  # noqa: E402
from net_peer import ECHO_PORT, GUEST, VALUE_PORT, NetPeer  # noqa: E402

MAC = "52:54:00:12:34:56"


class Socket(VmTestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.peer = NetPeer(directory.name + "/net")
        self.addCleanup(self.peer.close)

    def start_guest(self, cmdline=""):
        vm = self.start("--kernel", guest("echo"), "--cmdline", cmdline,
                        "--net", f"socket={self.peer.path},mac={MAC}")
        self.peer.accept()
        vm.wait_for("echo: ready")
        self.peer.resolve()
        return vm

    def end_guest(self, vm):
        self.peer.ask(ECHO_PORT, b"quit")
        self.assert_status(vm, OK)

    def test_the_guest_answers_each_kind_of_question(self):
        vm = self.start_guest()
        self.assertEqual(self.peer.guest_mac, bytes.fromhex(MAC.replace(":", "")))
        self.assertEqual(self.peer.ping(b"x" * 56), b"x" * 56)
        self.assertEqual(self.peer.ping(b"y" * 1400), b"y" * 1400)
        for number in range(1, 101):
            data = os.urandom(number * 14)
            self.assertEqual(self.peer.echo(data), (data, number))
        ask = self.peer.ask
        self.assertEqual(ask(VALUE_PORT, b"1 get 5"), b"1 5 0")
        self.assertEqual(ask(VALUE_PORT, b"2 put 5 70"), b"2 5 70")
        self.assertEqual(ask(VALUE_PORT, b"3 put 5 69"), b"3 5 70")
        self.assertEqual(ask(VALUE_PORT, b"4 get 5"), b"4 5 70")
        self.end_guest(vm)

    def test_a_burst_is_answered_in_order(self):
        vm = self.start_guest("wait=poll")
        for _ in range(20):
            for number in range(100):
                self.peer.send_udp(ECHO_PORT, number.to_bytes(4, "big"))
            answers = [self.peer.receive_udp() for _ in range(100)]
            self.assertEqual([int.from_bytes(answer[:4], "big") for answer in answers],
                             list(range(100)))
        self.end_guest(vm)

    def test_a_peer_that_reads_nothing_stops_only_the_network(self):
        vm = self.start_guest()
        self.peer.stream.settimeout(2 * TIME_FACTOR)
        try:  # until the answers, which nobody reads, have filled everything
            while True:
                self.peer.send_udp(ECHO_PORT, b"z" * 1400)
        except TimeoutError:
            pass
        vm.send_signal(15)
        self.assert_status(vm, STOPPED)

    def test_a_peer_that_comes_back_is_served(self):
        vm = self.start_guest()
        self.assertEqual(self.peer.echo(b"a"), (b"a", 1))
        self.peer.drop()
        self.peer.accept()
        self.peer.resolve()
        self.assertEqual(self.peer.echo(b"b"), (b"b", 2))
        self.end_guest(vm)
        self.assertIn("is gone: it has closed the connection", vm.errors.decode())

    def test_a_snapshot_goes_on_with_its_card(self):
        directory = self.peer.path + "-snapshot"
        control = self.peer.path + "-control"
        vm = self.start("--kernel", guest("echo"), "--control", control,
                        "--net", f"socket={self.peer.path},mac={MAC}")
        self.peer.accept()
        vm.wait_for("echo: ready")
        self.peer.resolve()
        self.assertEqual(self.peer.echo(b"a"), (b"a", 1))
        done = subprocess.run([vm.process.args[0], "snapshot", "--stop", "--control", control, "--to",
                               directory],
                              capture_output=True, text=True, timeout=60 * TIME_FACTOR)
        self.assertEqual(done.returncode, OK, done.stderr)
        self.assert_status(vm, STOPPED)
        self.peer.drop()
        other = self.start("--restore", directory, "--net", f"socket={self.peer.path}")
        self.assert_status(other, USAGE)
        self.assertIn(f"MAC address '{MAC}'", other.errors.decode())
        restored = self.start("--restore", directory, "--net", f"socket={self.peer.path},mac={MAC}")
        # The refused one has connected, too.
        self.peer.accept()
        self.peer.drop()
        self.peer.accept()
        self.peer.resolve()
        self.assertEqual(self.peer.echo(b"b"), (b"b", 2))
        self.end_guest(restored)


@unittest.skipUnless(os.geteuid() == 0 and os.path.exists("/dev/net/tun"),
                     "TAPs need root and /dev/net/tun")
class Tap(VmTestCase):
    """fmvm and the test share a network of their own, which ends with the test's process."""

    @classmethod
    def setUpClass(cls):
        os.unshare(os.CLONE_NEWNET) if hasattr(os, "unshare") else cls.unshare()

    @staticmethod
    def unshare():
        import ctypes
        clone_newnet = 0x40000000
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(clone_newnet) != 0:
            raise unittest.SkipTest(os.strerror(ctypes.get_errno()))

    def test_a_tap_that_fmvm_makes_carries_the_host_s_own_packets(self):
        vm = self.start("--kernel", guest("echo"), "--net", f"tap=fmvmtest0,mac={MAC}")
        vm.wait_for("echo: ready")
        subprocess.run(["ip", "addr", "add", "10.0.2.2/24", "dev", "fmvmtest0"], check=True)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(1)
            deadline = time.monotonic() + 30 * TIME_FACTOR
            number = 0
            while number < 50:
                self.assertLess(time.monotonic(), deadline)
                client.sendto(b"hello", (GUEST, ECHO_PORT))
                try:
                    answer = client.recv(100)
                except TimeoutError:
                    continue
                self.assertEqual(answer[:-8], b"hello")
                self.assertGreater(int.from_bytes(answer[-8:], "big"), number)
                number = int.from_bytes(answer[-8:], "big")
            client.sendto(b"quit", (GUEST, ECHO_PORT))
        self.assert_status(vm, OK)
        links = subprocess.run(["ip", "link"], capture_output=True, text=True, check=True).stdout
        self.assertNotIn("fmvmtest0", links)


if __name__ == "__main__":
    main()
