# SPDX-License-Identifier: Apache-2.0
"""SIGKILL of the primary and of the backup at random moments.

FMVM_KILL_ROUNDS: how many kills of the primary (a third as many of the backup), over all guests.
FMVM_KILL_SEED repeats the moments of a run.
"""

import pathlib
import random
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from fmvm_process import VmTestCase, main  # noqa: E402
from killing import LATEST_S, SEED, kill_backup, kill_primary, rounds  # noqa: E402
from pair import WORKLOADS  # noqa: E402

ROUNDS = rounds(12)


# What is not usual, and makes what is sent another thing.
OTHER_OPTIONS = (("--compress", "delta+lz4"), ("--compress", "off"), ("--hot-pages", "off"),
                 ("--dirty-log", "ring"), ("--sync", "epoch", "--epoch", "5ms"))


class RandomKills(VmTestCase):
    def rounds(self, kill, count, seed):
        moments = random.Random(seed)
        for number in range(count):
            workload = WORKLOADS[number % len(WORKLOADS)]
            moment = moments.uniform(0, LATEST_S)
            with self.subTest(seed=SEED, number=number, guest=workload.name, moment=moment):
                done = kill(workload, moment)
                print(f"  {kill.__name__} {number} {workload.name} after {moment * 1000:.0f} ms: "
                      f"silence {done.silence_s * 1000:.0f} ms, {done.repeated} bytes repeated",
                      flush=True)

    def test_of_the_primary(self):
        print(f"FMVM_KILL_SEED={SEED}", flush=True)
        self.rounds(kill_primary, ROUNDS, SEED)

    def test_of_a_primary_with_other_options(self):
        moments = random.Random(SEED + 2)
        for number, options in enumerate(OTHER_OPTIONS):
            moment = moments.uniform(0, LATEST_S)
            with self.subTest(seed=SEED, options=options, moment=moment):
                kill_primary(WORKLOADS[1 + number % 2], moment, more=options)

    def test_of_the_backup(self):
        print(f"FMVM_KILL_SEED={SEED}", flush=True)
        self.rounds(kill_backup, (ROUNDS + 2) // 3, SEED + 1)


if __name__ == "__main__":
    main()
