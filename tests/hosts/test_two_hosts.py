# SPDX-License-Identifier: Apache-2.0
"""Two virtual hosts of one guest: power fails, cables are pulled, hosts reboot. What the guest showed is
never contradicted, and in the end both disks are the same.

FMVM_HOST_EVENTS: how many random events; FMVM_HOST_SEED repeats them.
"""

import dataclasses
import os
import pathlib
import random
import signal
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from fmvm_process import main  # noqa: E402
from observer import judge_clocks  # noqa: E402
from pair import JOURNAL, Workload  # noqa: E402
from host import once_more_after_a_lock_up  # noqa: E402
from host_pair import HostPair  # noqa: E402
from qemu import Hardware  # noqa: E402

EVENTS = int(os.environ.get("FMVM_HOST_EVENTS", "4"))
SEED = int(os.environ.get("FMVM_HOST_SEED", time.time_ns() % 1000000))
LATEST_S = 5  # after the guest is protected
SLOW_S = 10


class Events:
    """What befalls a pair of hosts."""

    def __init__(self, pair, choice):
        self.pair, self.choice = pair, choice

    def kill_runner(self):
        self.pair.runner.signal(signal.SIGKILL)
        self.pair.settle()

    def kill_follower(self):
        self.pair.follower.signal(signal.SIGKILL)
        self.pair.settle()

    def power_of_runner(self):
        self.pair.runner_host().kill()
        self.pair.settle()

    def power_of_follower(self):
        self.pair.follower_host().kill()
        self.pair.settle()

    def cable(self):
        """Pulled, at one end or the other; both lose sight, and one of them goes on."""
        host = self.choice.choice(list(self.pair.hosts.values()))
        host.set_link("link", up=False)
        self.pair.wait_decided()
        host.set_link("link", up=True)
        self.pair.settle()

    def slow_network(self):
        """A bad network is no reason to part."""
        for host in self.pair.hosts.values():
            host.run("tc", "qdisc", "add", "dev", "eth0", "root", "netem", "delay", "20ms", "loss", "1%")
        runner, before = self.pair.runner, self.pair.runner.log()
        time.sleep(SLOW_S)
        runner.wait_lines(10)
        said = runner.log()[len(before):] + self.pair.follower.log()
        if "running unprotected" in said or "took over" in said:
            raise AssertionError(f"they parted\n{self.pair.description()}")
        for host in self.pair.hosts.values():
            host.run("tc", "qdisc", "del", "dev", "eth0", "root")
        self.pair.settle(lost=False)

    def reboot_of_runner(self):
        """As an operator does it: the guest moves away first."""
        host = self.pair.runner_host()
        self.pair.switch_over()
        self.pair.settle()
        host.reboot()
        self.pair.settle()

    def reboot_of_follower(self):
        self.pair.follower_host().reboot()
        self.pair.settle()

    def random(self):
        kinds = (self.kill_runner, self.kill_follower, self.power_of_runner, self.power_of_follower,
                 self.cable, self.slow_network, self.reboot_of_runner, self.reboot_of_follower)
        return self.choice.choice(kinds)


class TwoHosts(unittest.TestCase):
    @once_more_after_a_lock_up
    def test_power_of_the_primarys_host(self):
        """The other takes over; the first one boots, and follows."""
        with HostPair(JOURNAL) as pair:
            pair.start()
            time.sleep(2)
            Events(pair, random.Random(SEED)).power_of_runner()
            self.assertEqual(pair.at, "b")
            pair.end()

    @once_more_after_a_lock_up
    def test_cpus_that_differ(self):
        """A guest that sees more than the other host has is refused there, with a word on what to do; one
        that is shown less is protected, and moves."""
        lacking = {"b": Hardware(cpu="max,+svm,-avx2")}
        with HostPair(JOURNAL, lacking) as pair:
            pair.start_sides()
            pair.follower.wait_log("avx2")
            pair.runner.wait_log("leave them out when it is started, with --cpu")
        masked = dataclasses.replace(JOURNAL, options=("--cpu", "host,-avx2"))
        with HostPair(masked, lacking) as pair:
            pair.start()
            pair.switch_over()
            pair.settle()
            self.assertEqual(pair.at, "b")
            pair.end()

    @once_more_after_a_lock_up
    def test_clocks_of_hosts_that_differ(self):
        """One trusts its TSC, one does not; the guest's go on, on both its CPUs, and nothing is said."""
        clocks = Workload("clocks", "clocks", "rate=50 cpus=2", judge_clocks, ("--cpus", 2))
        with HostPair(clocks, {"a": Hardware(tsc="reliable"), "b": Hardware(tsc="unstable")}) as pair:
            pair.start()
            events = Events(pair, random.Random(SEED))
            events.power_of_runner()
            pair.switch_over()
            pair.settle()
            self.assertEqual(pair.at, "a")
            pair.end()
            self.assertNotIn("does not set a guest's TSC", pair.logs())

    @once_more_after_a_lock_up
    def test_random_events(self):
        print(f"FMVM_HOST_SEED={SEED} FMVM_HOST_EVENTS={EVENTS}", flush=True)
        choice = random.Random(SEED)
        with HostPair(JOURNAL) as pair:
            pair.start()
            events = Events(pair, choice)
            for number in range(EVENTS):
                moment, event = choice.uniform(0, LATEST_S), events.random()
                time.sleep(moment)
                began = time.monotonic()
                event()
                print(f"  {number} {event.__name__} after {moment:.1f} s: {pair.at} runs the guest, followed "
                      f"after {time.monotonic() - began:.0f} s", flush=True)
            pair.end()


if __name__ == "__main__":
    main()
