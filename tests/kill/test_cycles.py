# SPDX-License-Identifier: Apache-2.0
"""Two hosts in turn: whoever runs the guest is killed at a random moment, the other takes over and
protects itself with the killed host, which comes back on its old image with one command.

FMVM_CYCLES: how many kills. FMVM_KILL_SEED repeats the moments of a run.
"""

import dataclasses
import os
import pathlib
import random
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from fmvm_process import OK, STOPPED, main  # noqa: E402
from killing import LATEST_S, check_status  # noqa: E402
from observer import join  # noqa: E402
from pair import JOURNAL, PairTestCase, free_port  # noqa: E402

CYCLES = int(os.environ.get("FMVM_CYCLES", "4"))
SEED = int(os.environ.get("FMVM_KILL_SEED", time.time_ns() % 1000000))
BUSY_JOURNAL = dataclasses.replace(JOURNAL, cmdline="rate=1000")


class Cycles(PairTestCase):
    def setUp(self):
        self.pair_ = self.pair(BUSY_JOURNAL, disk=self.new_disk(), block="replay")
        # A host keeps the name of its first role, and with it image and directory.
        self.ports = {"backup": self.pair_.port, "primary": free_port()}

    def start_host(self, name, other):
        """Follows, and after a takeover looks for the other host as its backup."""
        return self.pair_.start_backup(
            "--backup", f"127.0.0.1:{self.ports[other]}", *self.pair_.verify, "--lost-after",
            self.pair_.lost_after, name=name, port=self.ports[name])

    def test_in_turn(self):
        print(f"FMVM_KILL_SEED={SEED}", flush=True)
        moments = random.Random(SEED)
        pair = self.pair_
        follower = self.start_host("backup", other="primary")
        running = pair.start_primary()
        stream = b""
        for number in range(CYCLES):
            moment = moments.uniform(0, LATEST_S)
            with self.subTest(seed=SEED, number=number, moment=moment):
                running.wait_log("protected by")
                follower.wait_log("in step with")
                time.sleep(moment)
                killed, running = running, follower
                killed.signal(signal.SIGKILL)
                check_status(killed, -signal.SIGKILL)
                joined = join(stream, killed.console, BUSY_JOURNAL.judge)
                stream = joined.stream
                running.wait_log("took over: the guest runs here")
                running.wait_lines(5)
                follower = self.start_host(killed.name, other=running.name)
                print(f"  {number} {killed.name} after {moment * 1000:.0f} ms: "
                      f"{joined.repeated} bytes repeated", flush=True)
        running.wait_log("protected by")
        follower.wait_log("in step with")
        running.wait_lines(20)
        self.assertEqual(running.stop(), STOPPED, running.description())
        check_status(follower, OK)
        pair.check()
        stream = join(stream, running.console, BUSY_JOURNAL.judge).stream
        for side in (running, follower):
            pair.check_disk(stream, side)
        self.assertEqual(pair.disk_of("primary").read_bytes(), pair.disk_of("backup").read_bytes(),
                         pair.description())




if __name__ == "__main__":
    main()
