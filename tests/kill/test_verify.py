# SPDX-License-Identifier: Apache-2.0
"""`fmvm verify`: the two sides of a running pair are compared. What differs is found, named, told by
both sides, never taken over with, and made equal again."""

import os
import pathlib
import re
import signal
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from fmvm_process import BACKUP_LOST, DIFFERENT, FAILURE, OK, STOPPED, TIME_FACTOR, main, settings  # noqa: E402
from killing import check_status  # noqa: E402
from pair import COUNTER, DIRTY_4, JOURNAL, PairTestCase, Workload  # noqa: E402

# Sixteen blocks, of which some have a write in flight at each cut.
BUSY = Workload("blkload", "blkload", "op=write depth=4 span_mib=1 fresh=1 seconds=600", None)
UNWRITTEN = 12 << 20  # the journal does not get there within a test
BLOCK = 64 << 10


def flip_byte(path, offset):
    """Past fmvm, as rot or somebody else would."""
    with open(path, "r+b", buffering=0) as file:
        old = os.pread(file.fileno(), 1, offset)
        os.pwrite(file.fileno(), bytes([old[0] ^ 0x40]), offset)


def flip_ram_byte(process, offset):
    """In the guest's RAM, `offset` from its start."""
    maps = pathlib.Path(f"/proc/{process.pid}/maps").read_text()
    start = max((int(end, 16) - int(start, 16), int(start, 16))
                for start, end in re.findall(r"^([0-9a-f]+)-([0-9a-f]+) rw", maps, re.M))[1]
    with open(f"/proc/{process.pid}/mem", "r+b", buffering=0) as memory:
        memory.seek(start + offset)
        old = memory.read(1)
        memory.seek(start + offset)
        memory.write(bytes([old[0] ^ 0x40]))


class VerifyTestCase(PairTestCase):
    def protected(self, workload, *more, **options):
        pair = self.pair(workload, verify=0, **options)
        backup = pair.start_backup("--control", pair.directory / "backup.control")
        primary = pair.start_primary("--control", pair.directory / "primary.control", *more)
        primary.wait_log("protected by")
        primary.wait_lines(10)
        return pair, primary, backup

    def journal_pair(self, block="replay", *more):
        return self.protected(JOURNAL, *more, disk=self.new_disk(), block=block)

    def begin(self, pair, *options, side="primary"):
        return subprocess.Popen(
            [str(settings.fmvm), "verify", "--control", pair.directory / f"{side}.control",
             *options], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True)

    def ask(self, pair, *options, side="primary"):
        """Its exit status, and what it printed on either stream."""
        asked = self.begin(pair, *options, side=side)
        out, err = asked.communicate(timeout=60 * TIME_FACTOR)
        return asked.returncode, out, err

    def verify(self, pair, *options, expected=OK, side="primary"):
        """What it prints on the stream where it belongs."""
        status, out, err = self.ask(pair, *options, side=side)
        self.assertEqual(status, expected, out + err + pair.description())
        self.assertEqual(out if expected else err, "")
        return out + err

    def assert_made_equal_again(self, pair, primary, backup):
        pair.may_be_unequal = True
        primary.wait_log("is not equal any more")
        primary.wait_log("running unprotected generation=2")
        primary.wait_log("protected by", 2)
        self.assertNotIn("took over", backup.log())
        self.verify(pair)


class Equal(VerifyTestCase):
    def test_under_load(self):
        for block in ("replay", "copy"):
            with self.subTest(block=block):
                pair, primary, backup = self.journal_pair(block)
                said = self.verify(pair)
                self.assertRegex(said, r"^equal: memory and 16\.0 MiB of disks \([\d.]+ s\)\n$")
                self.assertRegex(self.verify(pair, "--only", "disks", "--rate", "1G"),
                                 r"^equal: 16\.0 MiB of disks")
                self.assertRegex(self.verify(pair, "--only", "memory"), r"^equal: memory \(")
                self.assertEqual(primary.stop(), STOPPED, primary.description())
                check_status(backup, OK)
                pair.verdict(primary, backup)

    def test_blocks_that_are_written_all_the_time(self):
        pair = self.pair(BUSY, verify=0, disk=self.new_disk(), block="replay")
        backup = pair.start_backup()
        primary = pair.start_primary("--control", pair.directory / "primary.control")
        primary.wait_log("protected by")
        for _ in range(5):
            self.verify(pair)
        self.assertEqual(primary.stop(), STOPPED, primary.description())
        check_status(backup, OK)
        self.assertEqual(pair.disk_of("primary").read_bytes(), pair.disk_of("backup").read_bytes())

    def test_memory_that_is_written_all_the_time(self):
        pair, primary, backup = self.protected(DIRTY_4)
        for _ in range(5):
            self.assertIn("no disks were compared", self.verify(pair))
        self.end(pair, primary, backup)

    def test_not_faster_than_asked(self):
        pair, primary, backup = self.journal_pair()
        seconds = float(re.search(r"\(([\d.]+) s\)", self.verify(pair, "--rate", "8M"))[1])
        self.assertGreater(seconds, 1.8)
        self.end(pair, primary, backup)


class Different(VerifyTestCase):
    def test_a_byte_of_the_backups_disk(self):
        pair, primary, backup = self.journal_pair()
        self.verify(pair)
        flip_byte(pair.disk_of("backup"), UNWRITTEN + 3 * BLOCK + 77)
        said = self.verify(pair, expected=DIFFERENT)
        self.assertIn(f"disk {pair.disk_of('backup')} differs from the primary's within the 65536 "
                      f"bytes from {UNWRITTEN + 3 * BLOCK} on", said)
        for side in (backup, primary):
            side.wait_log(said.removeprefix("fmvm: ").strip())
        self.assert_made_equal_again(pair, primary, backup)
        self.assertEqual(primary.stop(), STOPPED, primary.description())
        check_status(backup, OK)
        self.assertEqual(pair.disk_of("primary").read_bytes(), pair.disk_of("backup").read_bytes())
        pair.verdict(primary, backup)

    def test_a_byte_of_the_backups_memory(self):
        pair, primary, backup = self.protected(COUNTER)
        flip_ram_byte(backup.process, 20 << 20)
        self.assertIn("RAM differs from the primary's", self.verify(pair, expected=DIFFERENT))
        self.assert_made_equal_again(pair, primary, backup)
        self.assertEqual(primary.stop(), STOPPED, primary.description())
        check_status(backup, OK)

    def test_nobody_goes_on_with_a_copy_that_differs(self):
        pair, primary, backup = self.journal_pair("replay", "--on-backup-lost", "stop")
        flip_byte(pair.disk_of("backup"), UNWRITTEN)
        self.verify(pair, expected=DIFFERENT)
        check_status(primary, BACKUP_LOST)
        self.assertEqual(backup.stop(), STOPPED)
        self.assertNotIn("took over", backup.log())
        self.assertEqual(bytes(backup.console), b"")


class Refused(VerifyTestCase):
    def test_without_a_backup(self):
        pair = self.pair(COUNTER)
        primary = pair.start_primary("--control", pair.directory / "primary.control")
        primary.wait_lines(10)
        self.assertIn("no backup is in step", self.verify(pair, expected=FAILURE))
        self.end(pair, primary)

    def test_at_the_backup(self):
        pair, primary, backup = self.protected(COUNTER)
        self.assertIn("ask its primary", self.verify(pair, expected=FAILURE, side="backup"))
        self.end(pair, primary, backup)

    def test_shared_disks(self):
        pair, primary, backup = self.protected(JOURNAL, disk=self.new_disk())
        self.assertIn("no disks were compared", self.verify(pair))
        self.assertIn("there are no disks to compare",
                      self.verify(pair, "--only", "disks", expected=FAILURE))
        self.end(pair, primary, backup)

    def test_twice_at_a_time_and_given_up(self):
        pair, primary, backup = self.journal_pair()
        slow = self.begin(pair, "--rate", "1M")
        self.addCleanup(slow.kill)
        status, err = OK, ""
        while status == OK:  # it came before the slow one
            self.assertIsNone(slow.poll(), "the slow one has ended and kept nobody out")
            status, _, err = self.ask(pair)
        self.assertIn("under way", err)
        slow.kill()
        slow.communicate(timeout=60 * TIME_FACTOR)
        primary.wait_lines(200)  # it notices
        self.verify(pair)
        self.end(pair, primary, backup)

    def test_backup_dies_meanwhile(self):
        pair, primary, backup = self.journal_pair()
        asked = self.begin(pair, "--rate", "1M")
        primary.wait_lines(50)
        self.assertIsNone(asked.poll())
        backup.signal(signal.SIGKILL)
        _, said = asked.communicate(timeout=60 * TIME_FACTOR)
        self.assertEqual(asked.returncode, FAILURE)
        self.assertIn("the backup was lost meanwhile", said)
        self.assert_goes_on_alone(pair, primary, backup)
        self.end(pair, primary)


if __name__ == "__main__":
    main()
