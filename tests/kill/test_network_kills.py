# SPDX-License-Identifier: Apache-2.0
"""Clients on the network of a protected guest: no answer that they got is ever taken back, whoever
dies. The bare guest `echo` numbers its answers and keeps values; a switch of the test's own joins
the two sides, and finds a guest that speaks from a port that it had left."""

import pathlib
import random
import re
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import observer  # noqa: E402
from fmvm_process import OK, SUPERSEDED, TIME_FACTOR, main, settings  # noqa: E402
from killing import KILLED, SEED, check_status, rounds  # noqa: E402
from net_client import Client  # noqa: E402
from net_peer import ECHO_PORT, NetPeer  # noqa: E402
from pair import PairTestCase, Workload  # noqa: E402

MAC = "52:54:00:12:34:56"
ECHO = Workload("echo", "echo", "", observer.judge_counter)


class NetworkTestCase(PairTestCase):
    def start(self, *options, asks_again=True, **crash):
        """crash: at which point a side dies. Options are the primary's."""
        pair = self.pair(ECHO, lost_after="2s")
        peer = NetPeer(str(pair.directory / "net-a"), str(pair.directory / "net-b"))
        self.addCleanup(peer.close)
        backup = pair.start_backup("--net", f"socket={peer.ports[1].path},mac={MAC}",
                                   "--control", pair.directory / "backup.control",
                                   crash_at=crash.get("backup"))
        primary = pair.start_primary("--net", f"socket={peer.path},mac={MAC}", *options,
                                     crash_at=crash.get("primary"))
        peer.accept()
        primary.wait_log("protected by", timeout=120)
        peer.resolve()
        return pair, peer, primary, backup, Client(peer, random.Random(SEED), asks_again)

    def assert_survives(self, pair, peer, backup, client):
        backup.wait_log("took over: the guest runs here")
        client.ask(50)
        client.finish()
        self.assertEqual(peer.guest_at, 1)
        pair.check()
        self.assertEqual(peer.ask(ECHO_PORT, b"quit")[:4], b"quit")
        self.assertEqual(backup.finish(), OK, pair.description())


class Kills(NetworkTestCase):
    def test_no_answer_is_taken_back_by_a_kill(self):
        chance = random.Random(SEED)
        print(f"FMVM_KILL_SEED={SEED}")
        for number in range(rounds(3)):
            with self.subTest(round=number):
                pair, peer, primary, backup, client = self.start()
                client.ask(20 + chance.randrange(100))
                primary.process.kill()
                self.assert_survives(pair, peer, backup, client)
                print(f"silence {client.silence:.3f} s")

    def test_kills_with_packets_on_their_way(self):
        """They wait for their commit, for its answer, or for their turn, or are out already, and nobody
        was told."""
        for point in ("before-commit:20", "after-commit:20", "after-ack:20", "packet-out:2",
                      "packet-out:13"):
            with self.subTest(point=point):
                pair, peer, primary, backup, client = self.start(primary=point)
                client.ask(1)
                while primary.process.poll() is None:
                    client.ask(1)
                check_status(primary, KILLED)
                self.assert_survives(pair, peer, backup, client)

    def test_a_question_of_a_lost_epoch_is_answered(self):
        """Each is asked once, right after the answers of an epoch before, long before its cut."""
        pair, peer, primary, backup, client = self.start(
            "--sync", "epoch", "--epoch", "400ms", asks_again=False, primary="before-commit:8")
        while primary.process.poll() is None:
            client.ask(1)
        check_status(primary, KILLED)
        self.assert_survives(pair, peer, backup, client)

    def test_kills_of_the_backup(self):
        """The guest goes on, and its packets do."""
        for point in ("backup-committed:20", "backup-acknowledged:20"):
            with self.subTest(point=point):
                pair, peer, primary, backup, client = self.start(backup=point)
                while backup.process.poll() is None:
                    client.ask(1)
                client.ask(50)
                client.finish()
                self.assertEqual(peer.guest_at, 0)
                pair.check()
                primary.stop()

    def test_a_frozen_primary_that_wakes_up_says_nothing(self):
        pair, peer, primary, backup, client = self.start()
        client.ask(20)
        primary.signal(signal.SIGSTOP)
        backup.wait_log("took over: the guest runs here")
        client.ask(20)
        primary.signal(signal.SIGCONT)
        client.ask(20)
        check_status(primary, SUPERSEDED)
        self.assert_survives(pair, peer, backup, client)


class Moves(NetworkTestCase):
    def test_a_switchover_loses_no_answer(self):
        pair, peer, primary, backup, client = self.start()
        client.ask(20)
        asked = subprocess.Popen(
            [str(settings.fmvm), "switchover", "--control", pair.directory / "backup.control"],
            stdout=subprocess.DEVNULL)
        client.ask(100)
        self.assertEqual(asked.wait(30 * TIME_FACTOR), OK)
        check_status(primary, OK)
        self.assert_survives(pair, peer, backup, client)

    def test_the_backup_is_silent_and_then_announces_the_guest(self):
        pair, peer, primary, backup, client = self.start()
        client.ask(10)
        self.assertEqual(peer.guest_at, 0)  # NetPeer finds a guest that is heard at two ports
        peer.seen.clear()
        primary.process.kill()
        backup.wait_log("took over: the guest runs here")
        deadline = time.monotonic() + 10 * TIME_FACTOR
        rarp = []
        while len(rarp) < 6 and time.monotonic() < deadline:
            if (frame := peer.frame(0.5)) and frame[12:14] == b"\x80\x35":
                rarp.append(frame)
        self.assertEqual(len(rarp), 6, pair.description())
        self.assertEqual({frame[6:12] for frame in rarp}, {bytes.fromhex(MAC.replace(":", ""))})
        self.assert_survives(pair, peer, backup, client)


class Greetings(NetworkTestCase):
    def test_cards_that_differ_are_refused_at_the_greeting(self):
        pair = self.pair(ECHO, lost_after="2s")
        peer = NetPeer(str(pair.directory / "net-a"), str(pair.directory / "net-b"))
        self.addCleanup(peer.close)
        pair.start_backup("--net", f"socket={peer.ports[1].path},mac={MAC},mtu=1400")
        primary = pair.start_primary("--net", f"socket={peer.path},mac={MAC}")
        primary.wait_log("mtu=1500 on the primary, 1400 here")

    def test_a_derived_address_is_the_same_on_both_sides(self):
        pair = self.pair(ECHO, lost_after="2s")
        peer = NetPeer(str(pair.directory / "net-a"), str(pair.directory / "net-b"))
        self.addCleanup(peer.close)
        backup = pair.start_backup("--net", f"socket={peer.ports[1].path}")
        primary = pair.start_primary("--net", f"socket={peer.path}")
        primary.wait_log("protected by", timeout=120)
        addresses = {re.search(r"with the address (\S+)", side.log())[1]
                     for side in (primary, backup)}
        self.assertEqual(len(addresses), 1, pair.description())


if __name__ == "__main__":
    main()
