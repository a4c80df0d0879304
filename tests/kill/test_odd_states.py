# SPDX-License-Identifier: Apache-2.0
"""A guest that does to its disk what no driver does is taken over like any other: whatever the state
of its devices when the primary dies, the backup can restore it. The disk is shared and `direct`: reads
are in flight for a while, and writes until their epoch is committed.

FMVM_KILL_ROUNDS: how many kills for each kind of guest. FMVM_KILL_SEED repeats the moments of a run.
"""

import pathlib
import random
import re
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from fmvm_process import STOPPED, main  # noqa: E402
from killing import LATEST_S, SEED, check_status, rounds  # noqa: E402
from observer import check_failures, complete_lines, require  # noqa: E402
from pair import PairTestCase, Workload  # noqa: E402


def judge_hostile(stream):
    """hostile step=N: steps rise."""
    lines = complete_lines(stream)
    check_failures(lines)
    last = 0
    for line in lines:
        if line.startswith("hostile: "):
            continue
        match = re.fullmatch(r"hostile step=(\d+)", line)
        require(match, f"not a line of the guest: {line!r}, after step {last}")
        require(int(match[1]) > last, f"{line!r} comes after step {last}")
        last = int(match[1])


def hostile(attack, seed):
    return Workload(f"hostile-{attack}", "hostile",
                    f"only={attack} steps=1000000 report_steps=1 seed={seed}", judge_hostile)


class OddStates(PairTestCase):
    def kill_and_judge(self, workload, moment):
        disk = ("--disk", f"path={self.new_disk()},direct", "--block", "shared")
        pair = self.pair(workload)
        backup = pair.start_backup(*disk)
        primary = pair.start_primary(*disk)
        primary.wait_log("protected by")
        primary.wait_lines(3)
        time.sleep(moment)
        primary.signal(signal.SIGKILL)
        self.assert_took_over(pair, primary, backup)
        check_status(primary, -signal.SIGKILL)
        self.assertEqual(backup.stop(), STOPPED, backup.description())
        pair.verdict(primary, backup)

    def kill(self, attack):
        print(f"FMVM_KILL_SEED={SEED}", flush=True)
        moments = random.Random(SEED)
        for number in range(rounds(2)):
            moment = moments.uniform(0, LATEST_S)
            with self.subTest(seed=SEED, number=number, moment=moment):
                self.kill_and_judge(hostile(attack, SEED + number), moment)

    def test_heads_that_are_offered_twice(self):
        self.kill("twice")

    def test_chains_that_no_driver_builds(self):
        self.kill("chains")

    def test_rings_anywhere(self):
        self.kill("queues")


if __name__ == "__main__":
    main()
