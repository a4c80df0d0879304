# SPDX-License-Identifier: Apache-2.0
"""What the tests of disks have in common: a pair whose guest is `journal`, random kills of it, and
what must hold of its disks afterwards."""

import random

from fmvm_process import OK, STOPPED, run, settings
from killing import LATEST_S, SEED, check_status, rounds
from pair import JOURNAL, PairTestCase

ROUNDS = rounds(10)


class JournalTestCase(PairTestCase):
    modes = ("shared",)  # of --block; random kills take them in turn

    def journal_pair(self, workload=JOURNAL, disk=None, **options):
        return self.pair(workload, disk=disk or self.new_disk(), **{"block": self.modes[0], **options})

    def assert_well_to_the_end(self, pair, primary, backup):
        """The backup runs the guest, and goes on; then it is stopped, and its disk examined."""
        self.assert_took_over(pair, primary, backup)
        self.assertEqual(backup.stop(), STOPPED, backup.description())
        return pair.verdict(primary, backup)

    def assert_moves(self, pair):
        """By a switchover; nothing is shown twice."""
        primary, backup = pair.start("--control", pair.directory / "control")
        primary.wait_lines(20)
        run(settings.fmvm, "switchover", "--control", pair.directory / "control")
        check_status(primary, OK)
        joined = self.assert_well_to_the_end(pair, primary, backup)
        self.assertEqual(joined.repeated, 0, pair.description())

    def assert_same_disks(self, pair, *names):
        images = [pair.disk_of(name).read_bytes() for name in names]
        for name, image in zip(names[1:], images[1:]):
            if image != images[0]:
                first = next(at for at in range(0, len(image), 512)
                             if image[at:at + 512] != images[0][at:at + 512])
                self.fail(f"the disks of {names[0]} and {name} differ from sector {first // 512} on"
                          f"\n{pair.description()}")

    def assert_same_in_the_end(self, pair, primary, backup, expected=OK):
        """The primary is stopped in an orderly way; its console is borne out by both disks."""
        self.assertEqual(primary.stop(), STOPPED, primary.description())
        check_status(backup, expected)
        self.assert_same_disks(pair, primary.name, backup.name)
        pair.verdict(primary, backup)

    def rounds(self, kill, count, seed):
        print(f"FMVM_KILL_SEED={SEED}", flush=True)
        moments = random.Random(seed)
        for number in range(count):
            moment = moments.uniform(0, LATEST_S)
            mode = self.modes[number % len(self.modes)]
            with self.subTest(seed=SEED, number=number, moment=moment, mode=mode):
                done = kill(JOURNAL, moment, disk=self.new_disk(), block=mode)
                print(f"  {kill.__name__} {number} {mode} after {moment * 1000:.0f} ms: silence "
                      f"{done.silence_s * 1000:.0f} ms, {done.repeated} bytes repeated", flush=True)
