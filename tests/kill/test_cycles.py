# SPDX-License-Identifier: Apache-2.0
"""Two hosts in turn: whoever runs the guest is killed at a random moment, the other takes over and
protects itself with the killed host, which comes back on its old image with one command.

FMVM_CYCLES: how many kills. FMVM_KILL_SEED repeats the moments of a run. FMVM_OUTAGE_S: for how long
a backup is away.
"""

import dataclasses
import os
import pathlib
import random
import re
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from fmvm_process import OK, STOPPED, SUPERSEDED, USAGE, guest, main, run_fmvm  # noqa: E402
from killing import LATEST_S, SEED, check_status, fewer  # noqa: E402
from observer import join  # noqa: E402
from pair import DISK_BYTES, JOURNAL, PairTestCase, free_port  # noqa: E402

CYCLES = int(os.environ.get("FMVM_CYCLES", fewer(4)))
OUTAGE_S = float(os.environ.get("FMVM_OUTAGE_S", "2"))
BLOCK_BYTES = 64 << 10  # in which disks are compared
DISK_BLOCKS = DISK_BYTES // BLOCK_BYTES
RECORD_BYTES = 4096  # of the guest journal
SLACK_BYTES = 16 * BLOCK_BYTES  # blocks that were written in part, or twice
BUSY_JOURNAL = dataclasses.replace(JOURNAL, cmdline="rate=1000")


class Cycles(PairTestCase):
    def setUp(self):
        self.pair_ = self.pair(BUSY_JOURNAL, disk=self.new_disk(), block="replay")

    def assert_delta(self, running, count):
        """Its newest resynchronisation looked at a part of the disk only."""
        found = re.findall(r"disks are equal: compared=(\d+)", running.log())
        self.assertEqual(len(found), count, running.description())
        self.assertLess(int(found[-1]), DISK_BLOCKS, running.description())

    def cycle(self, running, follower, stream, moment):
        """The running side is killed and comes back; (running, follower, stream, repeated)."""
        running.wait_log("protected by")
        follower.wait_log("in step with")
        time.sleep(moment)
        running.signal(signal.SIGKILL)
        check_status(running, -signal.SIGKILL)
        joined = join(stream, running.console, BUSY_JOURNAL.judge)
        follower.wait_log("took over: the guest runs here")
        follower.wait_lines(5)
        back = self.pair_.start_host(running.name, other=follower.name)
        back.wait_log("in step with")
        self.assert_delta(follower, 1)
        return follower, back, joined.stream, joined.repeated

    def test_in_turn(self):
        print(f"FMVM_KILL_SEED={SEED}", flush=True)
        moments = random.Random(SEED)
        pair = self.pair_
        follower = self.pair_.start_host("backup", other="primary")
        running = pair.start_primary()
        stream = b""
        for number in range(CYCLES):
            moment = moments.uniform(0, LATEST_S)
            name = running.name
            running, follower, stream, repeated = self.cycle(running, follower, stream, moment)
            print(f"  {number} {name} after {moment * 1000:.0f} ms: {repeated} bytes repeated",
                  flush=True)
        running.wait_lines(20)
        self.assertEqual(running.stop(), STOPPED, running.description())
        check_status(follower, OK)
        pair.check()
        stream = join(stream, running.console, BUSY_JOURNAL.judge).stream
        for side in (running, follower):
            pair.check_disk(stream, side)
        self.assertEqual(pair.disk_of("primary").read_bytes(), pair.disk_of("backup").read_bytes(),
                         pair.description())

    def test_an_outage_of_the_backup(self):
        """What the guest wrote meanwhile is copied, and not much more."""
        pair = self.pair_
        backup = pair.start_backup()
        primary = pair.start_primary()
        primary.wait_log("protected by")
        backup.signal(signal.SIGKILL)
        primary.wait_log("running unprotected")
        time.sleep(OUTAGE_S)
        again = pair.start_backup()
        again.wait_log("in step with")
        written = primary.console.count(b"\n") * RECORD_BYTES
        copied = [int(found) for found in re.findall(r"copied=(\d+)", primary.log())]
        self.assertEqual(len(copied), 2, primary.description())
        self.assertLessEqual(copied[1], min(written, DISK_BYTES) + SLACK_BYTES)
        print(f"  outage of {OUTAGE_S} s: {written >> 10} KiB written since the start, "
              f"{copied[1] >> 10} KiB copied", flush=True)
        self.assertEqual(primary.stop(), STOPPED, primary.description())
        check_status(again, OK)
        pair.check_disk(bytes(primary.console), again)


class DuringResync(PairTestCase):
    """Disks full of something else, so that there is something to copy."""

    def setUp(self):
        self.pair_ = self.pair(JOURNAL, disk=self.new_disk(), block="replay")
        self.pair_.disk_of("backup").write_bytes(random.Random(SEED).randbytes(DISK_BYTES))

    def test_the_primary_dies(self):
        """There is nothing to take over, and nobody takes that image for a disk."""
        pair = self.pair_
        backup = pair.start_backup("--new-disk")
        primary = pair.start_primary(crash_at="resync-wanted:2")
        check_status(primary, -signal.SIGKILL)
        backup.wait_log("nothing to take over")
        backup.stop()
        self.assertEqual(bytes(backup.console), b"")
        self.assert_runs_nothing(pair.disk_of("backup"))

    def test_the_backup_dies(self):
        """The next one goes on with what is left."""
        pair = self.pair_
        backup = pair.start_backup("--new-disk", crash_at="backup-resync:3")
        primary = pair.start_primary()
        check_status(backup, -signal.SIGKILL)
        again = pair.start_backup()
        again.wait_log("in step with")
        compared = re.findall(r"disks are equal: compared=(\d+)", primary.log())
        self.assertEqual(len(compared), 1, primary.description())
        self.assertLess(int(compared[0]), DISK_BLOCKS)
        primary.wait_lines(10)
        self.assertEqual(primary.stop(), STOPPED, primary.description())
        check_status(again, OK)
        self.assertEqual(pair.disk_of("primary").read_bytes(), pair.disk_of("backup").read_bytes())


class Superseded(PairTestCase):
    def test_a_frozen_primary_comes_back_as_backup(self):
        """It halts when it wakes up; its image runs nothing until it was made equal."""
        pair = self.pair(JOURNAL, disk=self.new_disk(), block="replay", lost_after="400ms")
        other = free_port()
        backup = pair.start_backup("--backup", f"127.0.0.1:{other}")
        primary = pair.start_primary()
        primary.wait_log("protected by")
        primary.wait_lines(20)
        primary.signal(signal.SIGSTOP)
        backup.wait_log("took over: the guest runs here")
        primary.signal(signal.SIGCONT)
        check_status(primary, SUPERSEDED)
        for start in (["run"], ["primary", "--restart", "--backup", f"127.0.0.1:{other}",
                                "--arbiter", f"file:{pair.directory}/arbiter"]):
            refused = run_fmvm(*start, "--kernel", guest("journal"), "--disk", f"path={pair.disk}")
            self.assertEqual(refused.returncode, USAGE, refused.stderr)
            self.assertIn("may have gone on elsewhere", refused.stderr)
        back = pair.start_backup(name="primary", port=other)
        back.wait_log("in step with")
        backup.wait_lines(10)
        self.assertEqual(backup.stop(), STOPPED, backup.description())
        check_status(back, OK)
        pair.check_disk(pair.joined(primary, backup).stream, back)


if __name__ == "__main__":
    main()
