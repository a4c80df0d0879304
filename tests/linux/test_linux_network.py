# SPDX-License-Identifier: Apache-2.0
"""A real Linux on the network, with a real TCP client: a service of ours that answers once its disk has what it was
told, and redis; over a TAP on a bridge, and over a Unix socket, also with a bad network behind it."""

import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from fmvm_process import OK, TIME_FACTOR, VmTestCase, main, run  # noqa: E402
from guest_networks import SocketNetwork, TapNetwork  # noqa: E402
import linux_guest  # noqa: E402
from networks import GUEST, begin, statistics  # noqa: E402
from serve_client import ServeClient  # noqa: E402

MTU = 1500
BULK = 8 << 20  # bytes


def setUpModule():
    begin()


class Network(VmTestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = pathlib.Path(directory.name)
        self.disk = self.directory / "disk.img"
        linux_guest.make_disk(self.disk)
        self.network = self.make_network()
        self.addCleanup(self.network.close)

    def start_linux(self, work, ready):
        vm = self.start(*linux_guest.arguments(f"fmvm.work={work} fmvm.end=poweroff", self.disk, work=work),
                        "--net", self.network.option("a"))
        vm.wait_for(ready, timeout=linux_guest.BOOT_LIMIT_S)
        return vm

    def start_serve(self):
        return self.start_linux("serve", "serve ready")

    def connect(self):
        client = ServeClient(self.network.outside)
        self.addCleanup(client.close)
        return client

    def end_serve(self, vm, *clients):
        """Everything that was acknowledged is on the disk."""
        answers = self.directory / "answers"
        answers.write_text("".join(f"{answer}\n" for client in clients for answer in client.answers))
        clients[0].quit()
        self.assert_status(vm, OK, timeout=linux_guest.BOOT_LIMIT_S)
        run(linux_guest.GUEST / "check-served", self.disk, answers)


class OverATap(Network):
    def make_network(self):
        return TapNetwork("a")

    def test_two_clients_are_answered_by_what_is_on_the_disk(self):
        vm = self.start_serve()
        first, second = self.connect(), self.connect()
        self.assertEqual(first.ask("echo a few words"), "a few words")
        numbers = [client.append(f"line {number}") for number in range(20) for client in (first, second)]
        self.assertEqual(numbers, list(range(1, 41)))
        self.assertEqual(second.ask("count"), "40")
        self.end_serve(vm, first, second)

    def test_bulk_passes_both_ways_in_packets_larger_than_the_mtu(self):
        vm = self.start_serve()
        client = self.connect()
        for check, direction in ((client.check_give, "rx"), (client.check_take, "tx")):
            before = statistics(self.network.interface("a"))[direction]
            check(BULK)
            after = statistics(self.network.interface("a"))[direction]
            carried, packets = (after[key] - before[key] for key in ("bytes", "packets"))
            self.assertGreaterEqual(carried, BULK)
            self.assertGreater(carried / packets, 2 * MTU, f"{direction}: {packets} packets")
        self.end_serve(vm, client)

    def test_redis_keeps_what_its_client_has_stored(self):
        vm = self.start_linux("redis", "Ready to accept connections")
        for number in range(50):
            self.assertEqual(self.redis("SET", f"key{number}", f"value{number}"), "OK")
        self.assertEqual(self.redis("GET", "key7"), "value7")
        self.outside("redis-benchmark", "-h", GUEST, "-q", "-t", "set,get", "-n", 300, "-c", 5)
        self.assertEqual(self.redis("DBSIZE"), "51")
        self.redis("SHUTDOWN")
        self.assert_status(vm, OK, timeout=linux_guest.BOOT_LIMIT_S)

    def redis(self, *words):
        return self.outside("redis-cli", "-e", "-h", GUEST, *words).strip()

    def outside(self, *words):
        return self.network.outside.run(*words, timeout=60 * TIME_FACTOR)


class OverASocket(Network):
    def make_network(self):
        return SocketNetwork(self.directory, "a")

    def test_bulk_passes_a_good_network_and_a_bad_one(self):
        vm = self.start_serve()
        client = self.connect()
        for number in range(10):
            client.append(f"line {number}")
        client.check_give(BULK)
        client.check_take(BULK)
        for port in self.network.relay.ports:
            port.delay_s, port.loss, port.late, port.bytes_s = 0.005, 0.01, 0.05, 4 << 20
        client.check_give(BULK // 8)
        client.check_take(BULK // 8)
        for number in range(10):
            client.append(f"line {number} over a bad network")
        self.assertGreater(sum(port.lost for port in self.network.relay.ports), 0)
        self.network.relay.set_fair()
        self.end_serve(vm, client)


if __name__ == "__main__":
    main()
