# SPDX-License-Identifier: Apache-2.0
"""Linux serves real TCP clients while the host that runs it is killed, or hands it over, again and again: one
connection lives through all of it, its bytes are right, and no answer is taken back; over TAPs and over sockets.

FMVM_CYCLES: how many changes of the host. FMVM_KILL_SEED repeats the moments of a run."""

import contextlib
import dataclasses
import os
import pathlib
import random
import signal
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "support"), str(HERE.parent / "linux")]
import counter_history  # noqa: E402
from fmvm_process import OK, TIME_FACTOR, main, run, run_fmvm  # noqa: E402
from guest_networks import SocketNetwork, TapNetwork  # noqa: E402
from killing import KILLED, SEED, check_status, fewer  # noqa: E402
import linux_guest  # noqa: E402
from networks import GUEST, begin  # noqa: E402
from pair import PairTestCase  # noqa: E402
from serve_client import ServeClient  # noqa: E402

CYCLES = int(os.environ.get("FMVM_CYCLES", fewer(6)))
LATEST_S = 1.0  # after the guest is protected
BULK = 256 << 10  # bytes
REDIS_PORT = 6379


def setUpModule():
    begin()


@dataclasses.dataclass(frozen=True)
class Linux:
    """A workload of pair.py's; its clients judge it."""
    name: str
    earlier = b""

    def start(self, memory):
        return linux_guest.boot(f"fmvm.work={self.name} fmvm.end=poweroff", memory, self.name)


@contextlib.contextmanager
def described(pair):
    """What fails in it says what the sides' logs say."""
    try:
        yield
    except (AssertionError, OSError) as error:
        raise AssertionError(f"{error}\n{pair.description()}") from error


class Client(threading.Thread):
    """Calls `work` over and over until it is stopped. What it raises is raised by check()."""

    def __init__(self, work):
        super().__init__(daemon=True)
        self.times = []  # of the end of each call
        self._work = work
        self._stopped = threading.Event()
        self._error = None
        self.start()

    def run(self):
        try:
            while not self._stopped.is_set():
                self._work()
                self.times.append(time.monotonic())
        except BaseException as error:  # pylint: disable=broad-except
            self._error = error

    def check(self):
        if self._error:
            raise self._error

    def wait_more(self, count, timeout=60):
        """So many calls end from now on."""
        wanted = len(self.times) + count
        deadline = time.monotonic() + timeout * TIME_FACTOR
        while len(self.times) < wanted:
            self.check()
            assert time.monotonic() < deadline, f"{len(self.times)} of {wanted} answers came"
            time.sleep(0.01)

    def stop(self):
        self._stopped.set()
        self.join(60 * TIME_FACTOR)
        assert not self.is_alive(), "a client's last question is not answered"
        self.check()

    def silence_s(self):
        return max(later - earlier for earlier, later in zip(self.times, self.times[1:]))


class NetworkKills(PairTestCase):
    """`primary` and `backup` are the names of two hosts in turn; each is a port of the network."""

    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="fmvm-net-")
        self.addCleanup(directory.cleanup)
        self.directory = pathlib.Path(directory.name)

    def start_pair(self, work, network):
        disk = self.directory / "disk.img"
        linux_guest.make_disk(disk)
        self.network = network
        self.addCleanup(network.close)
        # All of its RAM is compared rarely: clients wait meanwhile. And a host that stands still has not died.
        self.pair_ = self.pair(Linux(work), disk=disk, block="replay", memory="128M", verify=200,
                               lost_after=f"{2 * TIME_FACTOR:.0f}s")
        backup = self.pair_.start_host("backup", "primary", *self.options("backup"))
        primary = self.pair_.start_primary(*self.options("primary"))
        primary.wait_log("protected by", timeout=linux_guest.BOOT_LIMIT_S)
        return primary, backup

    def options(self, host):
        return ("--net", self.network.option(host), "--control", self.pair_.directory / f"{host}.control")

    def connect(self, port):
        stream = self.network.outside.connect(port, 60 * TIME_FACTOR)
        self.addCleanup(stream.close)
        return stream

    def kill(self, running):
        running.signal(signal.SIGKILL)
        check_status(running, KILLED)

    def switch_over(self, running):
        done = run_fmvm("switchover", "--control", self.pair_.directory / f"{running.name}.control")
        self.assertEqual(done.returncode, OK, done.stderr + self.pair_.description())
        check_status(running, OK)

    def cycle(self, end, running, follower, *clients):
        """(running, follower) after the guest has changed its host."""
        end(running)
        follower.wait_log("took over: the guest runs here")
        for client in clients:
            client.wait_more(3)
        back = self.pair_.start_host(running.name, follower.name, *self.options(running.name))
        back.wait_log("in step with")
        follower.wait_log("protected by")
        return follower, back

    def cycles(self, running, follower, *clients):
        print(f"FMVM_KILL_SEED={SEED}", flush=True)
        moments = random.Random(SEED)
        for number in range(CYCLES):
            end = (self.kill, self.switch_over)[number % 2]
            moment = moments.uniform(0, LATEST_S)
            print(f"  {number} {end.__name__} of {running.name} after {moment * 1000:.0f} ms", flush=True)
            time.sleep(moment)
            running, follower = self.cycle(end, running, follower, *clients)
        for client in clients:
            client.stop()
            print(f"  {len(client.times)} answers, the longest silence {client.silence_s() * 1000:.0f} ms", flush=True)
        guest_moves = {address for _, address, _, _ in self.network.moves}
        self.assertEqual((len(self.network.moves), len(guest_moves)), (CYCLES, 1), self.network.moves)
        return running, follower

    def end(self, running, follower):
        """The guest has powered off: both disks are the same."""
        self.assertEqual(running.finish(linux_guest.BOOT_LIMIT_S), OK, self.pair_.description())
        check_status(follower, OK)
        self.pair_.check()
        self.assertEqual(*(self.pair_.disk_of(side.name).read_bytes() for side in (running, follower)))

    def one_connection(self, network):
        running, follower = self.start_pair("serve", network)
        running.wait(lambda: b"serve ready" in running.console, "the service does not begin",
                     linux_guest.BOOT_LIMIT_S)
        with described(self.pair_):
            client = ServeClient(network.outside, timeout=60)
            self.addCleanup(client.close)
            running, follower = self.cycles(running, follower, Client(serve_work(client)))
            client.quit()
        self.end(running, follower)
        answers = self.directory / "answers"
        answers.write_text("".join(f"{answer}\n" for answer in client.answers))
        run(linux_guest.GUEST / "check-served", self.pair_.disk_of(running.name), answers)

    def test_one_connection_over_taps(self):
        self.one_connection(TapNetwork("primary", "backup"))

    def test_one_connection_over_sockets(self):
        self.one_connection(SocketNetwork(self.directory, "primary", "backup"))

    def test_redis_forgets_nothing_that_it_has_acknowledged(self):
        network = TapNetwork("primary", "backup")
        running, follower = self.start_pair("redis", network)
        running.wait(lambda: b"Ready to accept" in running.console, "redis does not begin", linux_guest.BOOT_LIMIT_S)
        history = counter_history.History()
        with described(self.pair_):
            clients = [Client(redis_work(self.connect(REDIS_PORT), history, increments))
                       for increments in (True, True, False)]
            running, follower = self.cycles(running, follower, *clients)
            largest = counter_history.check(history.operations)
            redis = ("redis-cli", "-e", "-h", GUEST)
            self.assertEqual(int(network.outside.run(*redis, "GET", "counter")), largest)
            network.outside.run(*redis, "SHUTDOWN")
        self.end(running, follower)


def serve_work(client):
    """Two questions, and now and then bulk both ways."""
    def ask():
        number = client.append(f"line {len(client.answers) + 1}")
        assert number == len(client.answers), f"{number} lines, and {len(client.answers)} answers"
        assert client.ask(f"echo {number}") == f"{number}"
        if number % 20 == 0:
            client.check_give(BULK)
            client.check_take(BULK)

    return ask


def redis_work(stream, history, increments):
    """One operation on the counter, over a connection of its own (redis's protocol: an array of bulk strings)."""
    answers = stream.makefile("rb")
    words = (b"INCR", b"counter") if increments else (b"GET", b"counter")
    request = b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)

    def ask():
        stream.sendall(request)
        line = answers.readline()
        if line == b"$-1\r\n":  # there is none yet
            return 0
        if line[:1] == b"$":
            line = b":" + answers.readline()
        assert line[:1] == b":" and line.endswith(b"\r\n"), f"redis answered {line!r}"
        return int(line[1:])

    return lambda: history.record(increments, ask)


if __name__ == "__main__":
    main()
