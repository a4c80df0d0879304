# SPDX-License-Identifier: Apache-2.0
"""A guest's clocks through takeovers, switchovers and restores: the guest `clocks` watches that
neither TSC nor kvmclock goes back; here they are held against a clock outside, which both must
follow: what a guest misses while its hosts change is less than what really passed.

FMVM_CLOCK_TAKEOVERS: how many takeovers in turn. FMVM_KILL_SEED repeats the moments of a run.
"""

import os
import pathlib
import random
import re
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import observer  # noqa: E402
from fmvm_process import OK, STOPPED, TIME_FACTOR, guest, main, run, run_fmvm, settings  # noqa: E402
from killing import SEED, check_status  # noqa: E402
from pair import PairTestCase, Workload  # noqa: E402
from snapshots import SnapshotTestCase  # noqa: E402

TAKEOVERS = int(os.environ.get("FMVM_CLOCK_TAKEOVERS", "3"))
SILENCE_S = 2 * TIME_FACTOR  # before a side that stands still is lost
# What a reader that is late, and clocks that are read one after the other, may make of it.
TOLERANCE_S = 0.6 * TIME_FACTOR
BACK_US = 100_000 * TIME_FACTOR  # that kvmclock may go back where KVM says that it may: what its page is late
LINES = 40  # that are read to find how late the earliest comes
NOTICE = "does not set a guest's TSC"


def workload(cpus):
    return Workload(f"clocks-{cpus}", "clocks", f"rate=50 cpus={cpus}", observer.judge_clocks,
                    ("--cpus", cpus))


def clocks_of(console):
    """(position behind the line, TSC in s, kvmclock in s) of each whole line."""
    position = 0
    for line in console.split(b"\n")[:-1]:
        position += len(line) + 1
        found = observer.CLOCKS_LINE.fullmatch(line.decode(errors="replace"))
        if found:
            yield position, int(found[3]) / 1e6, int(found[4]) / 1e6


def behind(side, fresh_from=0):
    """By how much (TSC, kvmclock) are behind the reader's clock, plus something that stays: the
    least of all lines, which is the line that was not late."""
    lines = [(side.shown_at(position), tsc, kvm) for position, tsc, kvm
             in clocks_of(bytes(side.console)) if position > fresh_from]
    return (min(when - tsc for when, tsc, _ in lines), min(when - kvm for when, _, kvm in lines))


def sets_tsc(test, log):
    """Whether this host's KVM sets a guest's TSC: every one does that leaves ring 0 to the CPU."""
    if "hardware-virtualised" in run(settings.fmvm, "check"):
        test.assertNotIn(NOTICE, log)
    return NOTICE not in log


class Clocks(PairTestCase):
    def begin(self, cpus):
        self.pair_ = self.pair(workload(cpus), lost_after=f"{SILENCE_S * 1000:.0f}ms")
        follower = self.pair_.start_host("backup", other="primary")
        return self.pair_.start_primary("--control", self.pair_.directory / "control"), follower

    def assert_goes_on(self, old, new, joined):
        """On the new side the clocks are as far behind the reader's as they were on the old one."""
        new.wait_lines(LINES)  # beyond those that the old side had shown
        before, after = behind(old), behind(new, joined.fresh_end(new.console))
        for clock, was, now in zip(("TSC", "kvmclock"), before, after):
            self.assertLess(abs(now - was), TOLERANCE_S,
                            f"the {clock} is {now - was:.3f} s further behind than before the "
                            f"takeover\n{self.pair_.description()}")

    def assert_agree(self, side, hosts):
        """TSC and kvmclock have counted the same."""
        _, tsc, kvm = list(clocks_of(bytes(side.console)))[-1]
        back = max(int(found) for found in re.findall(rb"kvm_back_us=(\d+)", bytes(side.console)))
        self.assertLess(back, BACK_US, side.description())
        if sets_tsc(self, "".join(host.log() for host in hosts)):
            self.assertLess(abs(tsc - kvm), TOLERANCE_S, side.description())

    def test_takeovers_in_turn(self):
        """In every second one the old side falls silent instead of dying at once."""
        print(f"FMVM_KILL_SEED={SEED}", flush=True)
        moments = random.Random(SEED)
        for cpus in (1, 2):
            with self.subTest(cpus=cpus):
                self.take_over_in_turn(cpus, moments)

    def take_over_in_turn(self, cpus, moments):
        running, follower = self.begin(cpus)
        stream = b""
        for number in range(TAKEOVERS):
            running.wait_log("protected by")
            running.wait_lines(LINES)
            time.sleep(moments.uniform(0, 0.3))
            running.signal((signal.SIGSTOP, signal.SIGKILL)[number % 2])
            follower.wait_log("took over: the guest runs here")
            running.signal(signal.SIGKILL)
            check_status(running, -signal.SIGKILL)
            stream = observer.join(stream, running.console, observer.judge_clocks).stream
            follower.wait_lines(LINES)
            self.assert_goes_on(running, follower,
                                observer.join(stream, follower.console, observer.judge_clocks))
            back = self.pair_.start_host(running.name, other=follower.name)
            back.wait_log("in step with")
            running, follower = follower, back
        self.assert_agree(running, self.pair_.watch.sides)
        self.end(self.pair_, running, follower)

    def test_switchover(self):
        primary, backup = self.begin(2)
        primary.wait_log("protected by")
        primary.wait_lines(LINES)
        asked = run_fmvm("switchover", "--control", self.pair_.directory / "control", timeout=120)
        self.assertEqual(asked.returncode, OK, asked.stderr)
        check_status(primary, OK)
        self.assert_goes_on(primary, backup, self.assert_took_over(self.pair_, primary, backup))
        self.assert_agree(backup, (primary, backup))
        self.end(self.pair_, backup)


class Restored(SnapshotTestCase):
    def restored_after(self, pause, *options):
        """How long a guest was away by its own clocks and by ours."""
        vm = self.start_controlled("--kernel", guest("clocks"), "--cmdline", "rate=50",
                                   "--memory", "32M")
        vm.wait_for(f"clocks {LINES} ")
        left = time.monotonic()
        self.assertEqual(self.snapshot("saved", "--stop").returncode, OK)
        self.assert_status(vm, STOPPED)
        time.sleep(pause)
        again = self.start("--restore", self.directory / "saved", *options)
        console = bytes(vm.console)
        before = list(clocks_of(console))[-1]
        again.wait_for(f"clocks {int(observer.CLOCKS_LINE.findall(console.decode())[-1][1]) + 2} ")
        away = time.monotonic() - left
        _, tsc, kvm = list(clocks_of(bytes(again.console)))[0]
        return tsc - before[1], kvm - before[2], away, again

    def test_the_clocks_stood_meanwhile(self):
        tsc, kvm, away, vm = self.restored_after(SILENCE_S)
        self.assertLess(kvm, away - SILENCE_S + TOLERANCE_S, vm.description())
        if sets_tsc(self, vm.errors.decode()):
            self.assertLess(abs(tsc - kvm), TOLERANCE_S, vm.description())

    def test_the_clocks_went_on_meanwhile(self):
        _, kvm, away, vm = self.restored_after(SILENCE_S, "--guest-time", "now")
        self.assertGreater(kvm, SILENCE_S, vm.description())
        self.assertLess(kvm, away + TOLERANCE_S, vm.description())
        self.assertNotIn(NOTICE, vm.errors.decode())


if __name__ == "__main__":
    main()
