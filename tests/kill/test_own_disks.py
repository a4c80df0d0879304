# SPDX-License-Identifier: Apache-2.0
"""Each side has its own disk: the backup replays what the primary's guest does to it. Whatever dies,
every record that the reader saw is on the survivor's disk, intact and without a gap; and after an
orderly end both disks are the same to the byte.

FMVM_KILL_ROUNDS: how many kills of the primary (a third as many of the backup). FMVM_KILL_SEED
repeats the moments of a run.
"""

import os
import pathlib
import random
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from fmvm_process import OK, STOPPED, main, settings  # noqa: E402
from killing import LATEST_S, check_status, kill_backup, kill_primary  # noqa: E402
from pair import JOURNAL, PairTestCase  # noqa: E402

ROUNDS = int(os.environ.get("FMVM_KILL_ROUNDS", "10"))
SEED = int(os.environ.get("FMVM_KILL_SEED", time.time_ns() % 1000000))
KILLED = -signal.SIGKILL
MODES = ("replay", "copy")


class OwnDisksTestCase(PairTestCase):
    def journal_pair(self, **options):
        return self.pair(JOURNAL, disk=self.new_disk(), **{"block": "replay", **options})

    def assert_well_to_the_end(self, pair, primary, backup):
        """The backup runs the guest, and goes on; then it is stopped, and its disk examined."""
        self.assert_took_over(pair, primary, backup)
        self.assertEqual(backup.stop(), STOPPED, backup.description())
        return pair.verdict(primary, backup)

    def assert_same_disks(self, pair, *names):
        images = [pair.disk_of(name).read_bytes() for name in names]
        for name, image in zip(names[1:], images[1:]):
            if image != images[0]:
                first = next(at for at in range(0, len(image), 512)
                             if image[at:at + 512] != images[0][at:at + 512])
                self.fail(f"the disks of {names[0]} and {name} differ from sector {first // 512} on"
                          f"\n{pair.description()}")


class OrderlyEnd(OwnDisksTestCase):
    def test_the_disks_are_the_same(self):
        for mode in MODES:
            with self.subTest(mode=mode):
                pair = self.journal_pair(block=mode)
                primary, backup = pair.start()
                primary.wait_lines(50)
                self.assertEqual(primary.stop(), STOPPED, primary.description())
                check_status(backup, OK)
                self.assert_same_disks(pair, "primary", "backup")
                pair.verdict(primary, backup)


class RandomKills(OwnDisksTestCase):
    def rounds(self, kill, count, seed):
        print(f"FMVM_KILL_SEED={SEED}", flush=True)
        moments = random.Random(seed)
        for number in range(count):
            moment = moments.uniform(0, LATEST_S)
            mode = MODES[number % 4 == 3]
            with self.subTest(seed=SEED, number=number, moment=moment, mode=mode):
                done = kill(JOURNAL, moment, disk=self.new_disk(), block=mode)
                print(f"  {kill.__name__} {number} {mode} after {moment * 1000:.0f} ms: silence "
                      f"{done.silence_s * 1000:.0f} ms, {done.repeated} bytes repeated", flush=True)

    def test_of_the_primary(self):
        self.rounds(kill_primary, ROUNDS, SEED)

    def test_of_the_backup(self):
        self.rounds(kill_backup, (ROUNDS + 2) // 3, SEED + 1)


class CrashPoints(OwnDisksTestCase):
    def test_of_the_primary(self):
        for point in ("before-commit:8", "after-commit:8", "after-ack:8", "mid-pages:40"):
            with self.subTest(point=point):
                pair = self.journal_pair()
                backup = pair.start_backup()
                primary = pair.start_primary(crash_at=point)
                check_status(primary, KILLED)
                self.assert_well_to_the_end(pair, primary, backup)

    def test_of_the_backup(self):
        """The primary goes on alone; the next backup has the same disk in the end."""
        for point in ("backup-committed:8", "backup-acknowledged:8", "mid-replay:200"):
            with self.subTest(point=point):
                pair = self.journal_pair()
                backup = pair.start_backup(crash_at=point)
                primary = pair.start_primary()
                check_status(backup, KILLED)
                self.assert_goes_on_alone(pair, primary, backup)
                again = pair.start_backup()
                again.wait_log("in step with")
                primary.wait_lines(20)
                self.assertEqual(primary.stop(), STOPPED, primary.description())
                check_status(again, OK)
                self.assert_same_disks(pair, "primary", "backup")


class Moved(OwnDisksTestCase):
    def test_by_a_switchover(self):
        pair = self.journal_pair()
        primary, backup = pair.start("--control", pair.directory / "control")
        primary.wait_lines(20)
        asked = subprocess.run([settings.fmvm, "switchover", "--control",
                                pair.directory / "control"], capture_output=True, timeout=60)
        self.assertEqual(asked.returncode, OK, asked.stderr)
        check_status(primary, OK)
        joined = self.assert_well_to_the_end(pair, primary, backup)
        self.assertEqual(joined.repeated, 0, pair.description())


if __name__ == "__main__":
    main()
