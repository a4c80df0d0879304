# SPDX-License-Identifier: Apache-2.0
"""A Debian at its work, whose hosts die in turn: whoever runs it is killed at a random moment, the other
takes over, and the killed one comes back to follow. What the guest showed is one sequence.

FMVM_DEBIAN_KILLS: how many kills of each. FMVM_KILL_SEED repeats the moments of a run.
"""

import os
import pathlib
import random
import signal
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "support"), str(HERE)]
from fmvm_process import OK, STOPPED, run  # noqa: E402
from killing import SEED, check_status  # noqa: E402
from observer import join  # noqa: E402
from pair import PairTestCase, Restored  # noqa: E402
import debian_guest  # noqa: E402

KILLS = int(os.environ.get("FMVM_DEBIAN_KILLS", "3"))
LATEST_S = 4.0  # after the guest is protected
RESYNC_LIMIT_S = 300


class InTurnTestCase(PairTestCase):
    lines_before_kill = 3

    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="fmvm-debian-")
        self.addCleanup(directory.cleanup)
        self.directory = pathlib.Path(directory.name)

    def begin(self, work, cpus):
        disk = self.directory / "work.img"
        booted = debian_guest.at_work(work, disk, self.directory, cpus)
        guest = Restored("debian", booted / "saved", (booted / "console").read_bytes(), work.judge)
        self.pair_ = self.pair(guest, disk=disk, block="replay")

    def in_turn(self, work, cpus=1, kills=KILLS):
        print(f"FMVM_KILL_SEED={SEED} FMVM_DEBIAN_KILLS={kills}", flush=True)
        moments = random.Random(f"{SEED}/{work.name}/{cpus}")
        self.begin(work, cpus)
        follower = self.pair_.start_host("backup", other="primary")
        running = self.pair_.start_primary()
        stream = self.pair_.workload.earlier
        for number in range(kills):
            running.wait_log("protected by", timeout=RESYNC_LIMIT_S)
            running.wait_lines(self.lines_before_kill, timeout=120)
            moment = moments.uniform(0, LATEST_S)
            time.sleep(moment)
            running.signal(signal.SIGKILL)
            check_status(running, -signal.SIGKILL)
            stream = join(stream, running.console, work.judge).stream
            follower.wait_log("took over: the guest runs here")
            follower.wait_lines(3, timeout=120)
            self.look_at_takeover(running, follower, stream)
            back = self.pair_.start_host(running.name, other=follower.name)
            back.wait_log("in step with", timeout=RESYNC_LIMIT_S)
            print(f"  {number} {work.name} after {moment * 1000:.0f} ms", flush=True)
            running, follower = follower, back
        running.wait_lines(3, timeout=120)
        self.end_in_turn(work, running, follower, stream)

    def look_at_takeover(self, old, new, stream):
        """For tests that look closer. `stream`: what was shown until `old` died."""

    def end_in_turn(self, work, running, follower, stream):
        self.assertEqual(running.stop(), STOPPED, running.description())
        check_status(follower, OK)
        self.pair_.check()
        disks = [self.pair_.disk_of(side) for side in ("primary", "backup")]
        run("cmp", *disks)
        if not work.check:
            return
        stream = join(stream, running.console, work.judge).stream
        shown, found = debian_guest.last_shown(stream, work), debian_guest.found_on(disks[0], work)
        print(f"  {work.name}: {shown} shown, {found} found", flush=True)
        self.assertGreaterEqual(found, shown)
