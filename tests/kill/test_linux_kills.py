# SPDX-License-Identifier: Apache-2.0
"""Linux on ext4 writes fsynced records, or runs SQLite transactions, on a disk that both sides share
or of which each has its own. Its primary is killed at a random moment, and the backup carries on:
to the guest's end; or, in every second round, until it is stopped in the middle. Then the file
system is clean (once its journal is recovered), all that was shown is in it, and the consoles
together show all, in order.

Linux boots once for each workload; every kill starts a pair from a snapshot and a copy of its disk.
FMVM_LINUX_KILLS: how many kills of each kind. FMVM_KILL_SEED repeats the moments of a run.
"""

import dataclasses
import itertools
import os
import pathlib
import random
import re
import shutil
import signal
import sys
import tempfile
import time
import typing

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "support"), str(HERE.parent / "linux")]
from fmvm_process import OK, STOPPED, TIME_FACTOR, VmTestCase, main, run, settings  # noqa: E402
from killing import SEED, check_status  # noqa: E402
from observer import judge_records, judge_transactions  # noqa: E402
from pair import Pair, Restored  # noqa: E402
import linux_guest  # noqa: E402

sys.path.append(str(linux_guest.GUEST))
from disk_image import e2fsprogs  # noqa: E402

KILLS = int(os.environ.get("FMVM_LINUX_KILLS", "2"))
LATEST_S = 3.0  # after the guest is protected; its work takes longer


@dataclasses.dataclass(frozen=True)
class Work:
    name: str
    word: str  # that begins the line which stands for one piece of it
    count: int
    judge: typing.Callable
    check: str  # program of guests/linux


# The work must last until the kill, however fast the guest is, and however slow its protection begins.
SLOWER = max(1, round(TIME_FACTOR))
PAUSE_MS = 100 * SLOWER
RECORDS = Work("records", "record", 60 * SLOWER, judge_records, "check-records")
TRANSACTIONS = Work("sqlite", "txn", 40 * SLOWER, judge_transactions, "check-sqlite")


def recover(image):
    """As the next mount would: what the journal holds is carried out."""
    done = e2fsprogs("e2fsck", "-y", "-E", "journal_only", image)
    if done.returncode not in (0, 1):
        raise AssertionError(f"e2fsck: {done.stdout}{done.stderr}")


class LinuxKills(VmTestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="fmvm-linux-")
        self.addCleanup(directory.cleanup)
        self.directory = pathlib.Path(directory.name)

    def boot_once(self, work):
        """A snapshot of Linux at its work, and its disk as it is then."""
        disk, control, saved = (self.directory / name for name in ("disk.img", "control", "saved"))
        linux_guest.make_disk(disk)
        cmdline = f"fmvm.work={work.name} fmvm.count={work.count} fmvm.interval_ms={PAUSE_MS} " \
                  "fmvm.end=poweroff"
        vm = self.start(*linux_guest.arguments(cmdline, disk, memory="128M"), "--control", control)
        vm.wait_for(f"{work.word} 2", timeout=linux_guest.BOOT_LIMIT_S)
        run(settings.fmvm, "snapshot", "--control", control, "--to", saved, "--stop")
        self.assert_status(vm, STOPPED)
        return disk, Restored("linux", saved, bytes(vm.console), work.judge,
                              linux_guest.GUEST / work.check)

    def kill(self, pair, moment):
        """(primary, backup), and the backup has taken over."""
        primary, backup = pair.start()
        time.sleep(moment)
        primary.signal(signal.SIGKILL)
        backup.wait_log("took over: the guest runs here generation=2")
        check_status(primary, -signal.SIGKILL)
        return primary, backup

    def to_the_end(self, work, pair, primary, backup):
        self.assertEqual(backup.finish(2 * linux_guest.BOOT_LIMIT_S), OK, pair.description())
        joined = pair.verdict(primary, backup)
        shown = re.findall(rb"^%s (\d+)" % work.word.encode(), joined.stream, re.M)
        self.assertEqual(len(shown), work.count, pair.description())
        return joined

    def cut_off(self, _work, pair, primary, backup):
        pair.wait_fresh(primary, backup, lines=1)
        # It may be at its end just then.
        self.assertIn(backup.stop(), (STOPPED, OK), backup.description())
        recover(pair.disk_of("backup"))
        return pair.verdict(primary, backup)

    def rounds(self, work, blocks):
        print(f"FMVM_KILL_SEED={SEED}", flush=True)
        image, linux = self.boot_once(work)
        for number, block in itertools.product(range(KILLS), blocks):
            moment = random.Random(f"{SEED}/{number}").uniform(0, LATEST_S)
            with self.subTest(seed=SEED, number=number, block=block, moment=moment):
                disk = self.directory / f"{number}-{block}.img"
                shutil.copyfile(image, disk)
                pair = Pair(linux, disk=disk, block=block)
                self.addCleanup(pair.close)
                sides = self.kill(pair, moment)
                end = self.cut_off if number % 2 else self.to_the_end
                joined = end(work, pair, *sides)
                print(f"  {number} {work.name} {block} after {moment * 1000:.0f} ms: "
                      f"{end.__name__}, {joined.repeated} bytes repeated", flush=True)
                disk.unlink()

    def test_of_records(self):
        self.rounds(RECORDS, ("shared", "replay"))

    def test_of_a_database(self):
        self.rounds(TRANSACTIONS, ("replay",))


if __name__ == "__main__":
    main()
