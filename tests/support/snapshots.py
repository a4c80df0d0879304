# SPDX-License-Identifier: Apache-2.0
"""Moves a guest from one fmvm process to the next by snapshots taken at random moments."""

import pathlib
import random
import tempfile
import time

from fmvm_process import STOPPED, VmTestCase, run_fmvm


class SnapshotTestCase(VmTestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = pathlib.Path(directory.name)
        self.socket = self.directory / "control"
        seed = random.randrange(1 << 32)
        self.random = random.Random(seed)
        self.story = f"seed {seed}"  # for messages

    def start_controlled(self, *arguments):
        return self.start(*arguments, "--control", self.socket)

    def snapshot(self, name, *options):
        """Runs `fmvm snapshot`: the finished process."""
        return run_fmvm("snapshot", "--control", self.socket, "--to", self.directory / name, *options, timeout=120)

    def move(self, vm, name, *arguments):
        """Ends the guest in `vm` and starts it in another process; None when it has ended before."""
        done = self.snapshot(name, "--stop")
        if done.returncode != 0:
            vm.finish(60)
            self.assertNotEqual(vm.process.returncode, STOPPED, done.stderr)
            return None
        self.assert_status(vm, STOPPED)
        return self.start_controlled("--restore", self.directory / name, *arguments)

    def run_moving(self, start, stay, moves, between):
        """Starts a guest with the arguments `start` and `stay`, moves it `moves` times, each after
        a random time from `between` (seconds), with the arguments `stay`. Returns the last process,
        still running, and what all those before it had on their consoles."""
        vm = self.start_controlled(*start, *stay)
        earlier = bytearray()
        for number in range(moves):
            time.sleep(self.random.uniform(*between))
            follower = self.move(vm, f"{number}", *stay)
            if follower is None:
                break
            earlier += vm.console
            vm = follower
        return vm, earlier
