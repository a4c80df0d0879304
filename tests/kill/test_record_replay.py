# SPDX-License-Identifier: Apache-2.0
"""What --record writes is the guest's history of its disk: `fmvm replay` makes from a copy of the
starting image what the disk was at any epoch; whoever dies, and whether a backup follows or not.

FMVM_KILL_ROUNDS: how many primaries are killed. FMVM_KILL_SEED repeats the moments of a run.
"""

import dataclasses
import json
import pathlib
import random
import resource
import shutil
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from fmvm_process import FAILURE, OK, STOPPED, USAGE, guest, main, run, run_fmvm  # noqa: E402
from killing import LATEST_S, SEED, check_status, rounds  # noqa: E402
from pair import DISK_BYTES, JOURNAL, PairTestCase  # noqa: E402

ROUNDS = rounds(5)
RECORD_BYTES = 4096  # of the guest journal
BUSY_JOURNAL = dataclasses.replace(JOURNAL, cmdline="rate=1000")
MODES = ("replay", "copy")


def fmvm_replay(log, *arguments):
    return run_fmvm("replay", log, *arguments, timeout=120)


def dump(log):
    """Its lines, as far as the log is whole."""
    done = fmvm_replay(log, "--dump", "--json")
    return [json.loads(line) for line in done.stdout.splitlines()]


def epochs_of(lines):
    return [line for line in lines if line["kind"] == "epoch"]


def writes_of(lines):
    return [line for line in lines if line["kind"] == "record" and line["op"] == "write"]


class RecordTestCase(PairTestCase):
    def setUp(self):
        """A disk that holds something before the guest starts, and a copy of it."""
        self.disk = self.new_disk()
        with self.disk.open("r+b") as image:
            image.seek(DISK_BYTES // 2)
            image.write(random.Random(SEED).randbytes(DISK_BYTES // 2))
        self.start_image = self.disk.with_suffix(".start")
        shutil.copyfile(self.disk, self.start_image)
        self.log = self.disk.with_suffix(".log")

    def recorded_pair(self, **options):
        return self.pair(BUSY_JOURNAL, disk=self.disk, more=("--record", self.log),
                         **{"block": "replay", **options})

    def fresh_copy(self):
        copy = self.disk.with_suffix(".copy")
        shutil.copyfile(self.start_image, copy)
        return copy

    def replayed(self, *options, onto=None):
        """The image that replaying makes."""
        image = onto or self.fresh_copy()
        done = fmvm_replay(self.log, "--disk", image, *options)
        self.assertEqual(done.returncode, OK, done.stderr)
        return image

    def assert_holds_writes(self, image, writes):
        """All records of the journal that the log speaks of, intact, and no other."""
        told = run(JOURNAL.check_disk, image)
        last = max(write["offset"] for write in writes) // RECORD_BYTES + 1
        self.assertIn(f"image=1..{last}", told)

    def assert_history_of(self, disk):
        self.assertEqual(self.replayed().read_bytes(), disk.read_bytes())


class OrderlyEnd(RecordTestCase):
    def test_the_replayed_image_is_the_disk(self):
        for mode in MODES:
            with self.subTest(mode=mode):
                self.log.unlink(missing_ok=True)
                shutil.copyfile(self.start_image, self.disk)
                pair = self.recorded_pair(block=mode)
                primary, backup = pair.start()
                primary.wait_lines(300)
                self.assertEqual(primary.stop(), STOPPED, primary.description())
                check_status(backup, OK)
                self.assert_history_of(self.disk)
                lines = dump(self.log)
                self.assertGreater(sum(line["shipped"] > 0 for line in epochs_of(lines)), 3)
                image = self.replayed()
                self.replayed(onto=image)  # again changes nothing
                self.assertEqual(image.read_bytes(), self.disk.read_bytes())

    def test_a_backup_that_comes_and_goes(self):
        """One log of a guest with a backup, alone, and with the next."""
        pair = self.recorded_pair()
        primary, backup = pair.start()
        primary.wait_lines(50)
        backup.signal(signal.SIGKILL)
        primary.wait_log("running unprotected")
        primary.wait_lines(200)
        again = pair.start_backup(name="again")
        again.wait_log("in step with")
        primary.wait_lines(100)
        self.assertEqual(primary.stop(), STOPPED, primary.description())
        check_status(again, OK)
        self.assert_history_of(self.disk)
        stamps = [(line["generation"], line["shipped"] > 0) for line in epochs_of(dump(self.log))]
        phases = [stamp for number, stamp in enumerate(stamps)
                  if number == 0 or stamp != stamps[number - 1]]
        self.assertEqual(phases, [(1, False), (1, True), (2, False), (2, True)])


class Until(RecordTestCase):
    def test_any_epoch(self):
        print(f"FMVM_KILL_SEED={SEED}", flush=True)
        pair = self.recorded_pair()
        primary, backup = pair.start()
        primary.wait_lines(300)
        self.assertEqual(primary.stop(), STOPPED, primary.description())
        check_status(backup, OK)
        lines = dump(self.log)
        last = epochs_of(lines)[-1]["epoch"]
        first = writes_of(lines)[0]["epoch"]
        for until in sorted(random.Random(SEED).sample(range(first, last), 5)):
            with self.subTest(seed=SEED, until=until):
                image = self.replayed("--until", until)
                writes = [write for write in writes_of(lines) if write["epoch"] <= until]
                self.assert_holds_writes(image, writes)
                self.replayed(onto=image)  # on from there
                self.assertEqual(image.read_bytes(), self.disk.read_bytes())
        later = fmvm_replay(self.log, "--disk", self.disk, "--until", first)
        self.assertEqual(later.returncode, USAGE)  # its label says that it is no copy
        self.assertIn("has a label", later.stderr)
        beyond = fmvm_replay(self.log, "--disk", self.fresh_copy(), "--until", last + 1)
        self.assertEqual(beyond.returncode, USAGE)
        self.assertIn(f"ends with epoch {last}", beyond.stderr)
        image = self.replayed()
        earlier = fmvm_replay(self.log, "--disk", image, "--until", first)
        self.assertEqual(earlier.returncode, FAILURE, "what was replayed further is noticed")
        self.assertIn("a copy of what the log starts from", earlier.stderr)


class RandomKills(RecordTestCase):
    def test_of_the_primary(self):
        print(f"FMVM_KILL_SEED={SEED}", flush=True)
        moments = random.Random(SEED)
        for number in range(ROUNDS):
            moment = moments.uniform(0, LATEST_S)
            with self.subTest(seed=SEED, number=number, moment=moment):
                self.log.unlink(missing_ok=True)
                shutil.copyfile(self.start_image, self.disk)
                self.disk.with_name(self.disk.name + ".fmvm").unlink(missing_ok=True)
                self.kill_once(number, moment)

    def kill_once(self, number, moment):
        pair = self.recorded_pair()
        primary, backup = pair.start()
        time.sleep(moment)
        primary.signal(signal.SIGKILL)
        check_status(primary, -signal.SIGKILL)
        backup.wait_log("took over: the guest runs here")
        backup.wait_lines(5)
        self.assertEqual(backup.stop(), STOPPED, backup.description())
        image = self.replayed()
        lines = dump(self.log)
        writes = writes_of(lines)
        self.assert_holds_writes(image, writes)
        survivor = pair.disk_of("backup").read_bytes()
        replayed = image.read_bytes()
        for write in writes:  # only what was committed is in the log
            where = slice(write["offset"], write["offset"] + write["bytes"])
            self.assertEqual(replayed[where], survivor[where], write)
        print(f"  {number} after {moment * 1000:.0f} ms: {len(epochs_of(lines))} epochs, "
              f"{len(writes)} of {primary.console.count(b'journal ')} records", flush=True)


class WithoutProtection(RecordTestCase):
    def run_guest(self, cmdline, **options):
        return run_fmvm("run", "--kernel", guest("journal"), "--cmdline", cmdline, "--disk", f"path={self.disk}",
                       "--record", self.log, "--console", "null", "--host-quirks", "off", timeout=120, **options)

    def test_fmvm_run(self):
        done = self.run_guest("count=500")
        self.assertEqual(done.returncode, OK, done.stderr)
        self.assert_history_of(self.disk)

    def test_a_file_that_cannot_grow(self):
        """The guest goes on, and the log ends with a whole epoch."""
        limit = DISK_BYTES  # no file may be larger; the disk never grows
        rounds = limit // RECORD_BYTES + 1000
        done = self.run_guest(f"count={rounds} readback=0", preexec_fn=lambda: resource.setrlimit(
            resource.RLIMIT_FSIZE, (limit, limit)))
        self.assertEqual(done.returncode, OK, done.stderr)
        self.assertEqual(done.stderr.count("recording has ended"), 1, done.stderr)
        image = self.replayed()
        self.assert_holds_writes(image, writes_of(dump(self.log)))
        self.assertNotEqual(image.read_bytes(), self.disk.read_bytes())

    def test_what_is_wrong(self):
        self.assertEqual(self.run_guest("count=100").returncode, OK)
        self.assertEqual(self.run_guest("count=1").returncode, USAGE, "an old log is not replaced")
        whole = self.log.read_bytes()
        damaged = bytearray(whole)
        damaged[-100] ^= 1
        other = self.fresh_copy()
        with other.open("r+b") as image:
            image.seek(DISK_BYTES - 1)
            image.write(b"\0")
        short = self.disk.with_suffix(".short")
        short.write_bytes(bytes(4096))
        for name, log, image, status, said in (
                ("damage", damaged, self.start_image, USAGE, "is damaged at epoch"),
                ("not a log", b"#!/bin/sh", self.start_image, USAGE, "is not a log of fmvm"),
                ("another image", whole, other, FAILURE, "a copy of what the log starts from"),
                ("another size", whole, short, USAGE, "has 4096 bytes")):
            with self.subTest(name):
                self.log.write_bytes(log)
                before = image.read_bytes()
                done = fmvm_replay(self.log, "--disk", image)
                self.assertEqual((done.returncode, len(done.stderr.splitlines())), (status, 1), done)
                self.assertIn(said, done.stderr)
                self.assertEqual(image.read_bytes(), before, "it was written to all the same")
        with self.subTest("torn"):
            self.log.write_bytes(whole[:-100])
            image = self.fresh_copy()
            done = fmvm_replay(self.log, "--disk", image)
            self.assertEqual(done.returncode, OK, done.stderr)
            self.assertIn("in the middle of epoch", done.stderr)


if __name__ == "__main__":
    main()
