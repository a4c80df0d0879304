# SPDX-License-Identifier: Apache-2.0
"""The disk of one side fails, is slow, writes in parts, became shorter, or is full.

On the primary the guest sees it, and the pair stays in step. On the backup, that one says so, is no
backup any more, and is one again, with an equal disk, when its own works again; the guest never
stops for it.
"""

import errno
import os
import pathlib
import signal
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import private_mounts  # noqa: E402
from faulty_disk import FaultyDisk  # noqa: E402
from fmvm_process import OK, RESET, main  # noqa: E402
from journal_test import JournalTestCase  # noqa: E402
from killing import KILLED, check_status  # noqa: E402
from pair import DISK_BYTES, JOURNAL, Workload, make_image  # noqa: E402

TIRELESS = Workload("tireless", "journal", "rate=200 retry=1", JOURNAL.judge,
                    check_disk=JOURNAL.check_disk)
READER = Workload("reader", "blkload", "op=read depth=4 settle_ms=1000", judge=None)
UNPROTECTED = "running unprotected"
FULL_BYTES = 4 << 20  # of a file system that is filled
# Longer than a replayer waits for a disk's answer (src/replay/apply/replayer.h).
NO_ANSWER_S = 15


@unittest.skipUnless(os.access("/dev/fuse", os.R_OK | os.W_OK), "SKIPPED: needs /dev/fuse")
class DiskFaultsTestCase(JournalTestCase):
    modes = ("replay",)

    def directory(self):
        directory = tempfile.TemporaryDirectory(prefix="fmvm-disk-")
        self.addCleanup(directory.cleanup)
        return directory.name

    def faulty_disk(self):
        disk = FaultyDisk(self.directory(), DISK_BYTES)
        self.addCleanup(disk.close)
        return disk

    def faulty_pair(self, name):
        """The side of that name has a disk that can fail: (pair, disk)."""
        disk = self.faulty_disk()
        return self.journal_pair(TIRELESS, images={name: disk.path}), disk

    def wait_hits(self, side, disk, more=3):
        wanted = disk.hits + more
        side.wait(lambda: disk.hits >= wanted, "no request met with the fault")

    def wait_records(self, side, more=20):
        """New ones, from now on."""
        wanted = side.console.count(b"\njournal ") + more
        side.wait(lambda: side.console.count(b"\njournal ") >= wanted, f"no {more} more records")


class OfThePrimary(DiskFaultsTestCase):
    def wait_told(self, primary, request):
        told = b"the %s ended with status 1, tried again" % request
        count = primary.console.count(told)
        primary.wait(lambda: primary.console.count(told) > count, f"the guest does not say {told!r}")

    def test_that_fails(self):
        """The guest is told each time; the backup stays."""
        pair, disk = self.faulty_pair("primary")
        primary, backup = pair.start()
        for error, request in ((errno.EIO, "write"), (errno.ENOSPC, "write"), (errno.EIO, "flush"),
                               (errno.EIO, "read")):
            with self.subTest(error=errno.errorcode[error], request=request):
                self.wait_records(primary)
                disk.fail(error, request)
                for _ in range(3):
                    self.wait_told(primary, request.encode())
                disk.heal()
        self.wait_records(primary)
        self.assertIn(f"a write fails: {os.strerror(errno.EIO)}", primary.log())
        self.assertNotIn(UNPROTECTED, primary.log())
        self.assert_same_in_the_end(pair, primary, backup)

    def test_that_fails_until_the_primary_dies(self):
        """The backup's own disk works."""
        for request in ("write", "flush", "read"):
            with self.subTest(request=request):
                pair, disk = self.faulty_pair("primary")
                primary, backup = pair.start()
                self.wait_records(primary)
                disk.fail(errno.EIO, request)
                self.wait_told(primary, request.encode())
                primary.signal(signal.SIGKILL)
                check_status(primary, KILLED)
                backup.wait_log("took over: the guest runs here")
                self.wait_records(backup)
                backup.stop()
                pair.verdict(primary, backup)

    def test_that_cannot_be_compared(self):
        """No protection, but a guest; and protection as soon as it can be read again."""
        pair, disk = self.faulty_pair("primary")
        primary = pair.start_primary()
        self.wait_records(primary)
        disk.fail(errno.EIO, "read")
        backup = pair.start_backup()
        primary.wait_log("cannot be read at byte")
        self.wait_told(primary, b"read")
        disk.heal()
        primary.wait_log("protected by")
        self.wait_records(primary)
        self.assert_same_in_the_end(pair, primary, backup)

    def test_that_is_slow(self):
        """Killed with requests in flight for long: they are carried out over there."""
        pair, disk = self.faulty_pair("primary")
        primary, backup = pair.start()
        self.wait_records(primary)
        disk.delay(0.4)
        self.wait_hits(primary, disk, more=6)
        self.assertNotIn(UNPROTECTED, primary.log())
        primary.signal(signal.SIGKILL)
        self.assert_well_to_the_end(pair, primary, backup)

    def test_that_writes_in_parts(self):
        pair, disk = self.faulty_pair("primary")
        primary, backup = pair.start()
        disk.shorten()
        self.wait_hits(primary, disk)
        self.wait_records(primary)
        self.assertNotIn(UNPROTECTED, primary.log())
        self.assert_same_in_the_end(pair, primary, backup)

    def test_that_became_shorter(self):
        """The guest cannot read what is gone, and says so; then it is at its end, on both sides."""
        pair = self.journal_pair(READER)
        primary, backup = pair.start()
        os.truncate(pair.disk, DISK_BYTES // 2)
        check_status(primary, RESET)
        check_status(backup, OK)
        self.assertIn(b"blkload: FAILED a request ended with status 1", primary.console)
        self.assertIn("became shorter", primary.log())
        self.assertNotIn(UNPROTECTED, primary.log())
        pair.check()


class OfTheBackup(DiskFaultsTestCase):
    def assert_unfit(self, pair, primary, backup, why):
        """Both say so, and the guest goes on."""
        pair.may_be_unequal = True
        backup.wait_log(why)
        primary.wait_log(UNPROTECTED)
        self.assertIn(why, primary.log(), primary.description())
        self.wait_records(primary)
        self.assertNotIn("took over", backup.log())

    def assert_backup_again(self, pair, primary, backup):
        backup.wait_log("in step with", backup.log().count("in step with") + 1)
        self.wait_records(primary)
        self.assert_same_in_the_end(pair, primary, backup)

    def test_that_fails(self):
        for error, request in ((errno.EIO, "write"), (errno.ENOSPC, "write"), (errno.EIO, "flush"),
                               (errno.EIO, "read")):
            with self.subTest(error=errno.errorcode[error], request=request):
                pair, disk = self.faulty_pair("backup")
                primary, backup = pair.start()
                self.wait_records(primary)
                disk.fail(error, request)
                self.assert_unfit(pair, primary, backup, "cannot carry out what the primary's did")
                self.assertIn(f"a {request} fails: {os.strerror(error)}", backup.log())
                # It tries again meanwhile, with the same result, and ever more rarely.
                primary.wait_log("it is tried again in 1 s")
                disk.heal()
                self.assert_backup_again(pair, primary, backup)

    def test_that_fails_before_the_primary_dies(self):
        """There is nothing that could take over; and nobody takes that image for a disk."""
        pair, disk = self.faulty_pair("backup")
        primary, backup = pair.start()
        self.wait_records(primary)
        disk.fail(errno.EIO, "write")
        self.assert_unfit(pair, primary, backup, "cannot carry out what the primary's did")
        primary.signal(signal.SIGKILL)
        check_status(primary, KILLED)
        time.sleep(1)
        self.assertNotIn("took over", backup.log())
        self.assertEqual(bytes(backup.console), b"")
        backup.stop()
        pair.check_disk(bytes(primary.console), primary)

    def test_that_is_slow(self):
        """Acknowledgements come later, and that is all."""
        pair, disk = self.faulty_pair("backup")
        primary, backup = pair.start()
        self.wait_records(primary)
        disk.delay(0.4)
        self.wait_hits(backup, disk, more=6)
        self.assertNotIn(UNPROTECTED, primary.log())
        disk.heal()
        self.wait_records(primary)
        self.assertNotIn(UNPROTECTED, primary.log())
        self.assert_same_in_the_end(pair, primary, backup)

    def test_that_does_not_answer(self):
        """The primary waits for no such disk; the backup does not take over with it."""
        pair, disk = self.faulty_pair("backup")
        primary, backup = pair.start()
        self.wait_records(primary)
        disk.delay(NO_ANSWER_S)
        pair.may_be_unequal = True
        primary.wait_log(UNPROTECTED)
        self.assertIn("it gives signs of life and gets no further", primary.log())
        self.wait_records(primary)
        backup.wait_log("does not answer")
        self.assertNotIn("took over", backup.log())
        disk.heal()
        self.assert_backup_again(pair, primary, backup)

    def test_that_writes_in_parts(self):
        pair, disk = self.faulty_pair("backup")
        disk.shorten()
        primary, backup = pair.start()
        self.wait_hits(backup, disk)
        self.assertNotIn(UNPROTECTED, primary.log())
        self.assert_same_in_the_end(pair, primary, backup)

    def test_that_became_shorter(self):
        pair = self.journal_pair(TIRELESS)
        primary, backup = pair.start()
        self.wait_records(primary)
        os.truncate(pair.disk_of("backup"), DISK_BYTES // 2)
        self.assert_unfit(pair, primary, backup, "became shorter")
        os.truncate(pair.disk_of("backup"), DISK_BYTES)
        self.assert_backup_again(pair, primary, backup)

    def test_whose_file_system_is_full(self):
        """A sparse image, beside it its label, and something else that grows."""
        directory = self.directory()
        private_mounts.mount("tmpfs", directory, "tmpfs", f"size={FULL_BYTES}")
        self.addCleanup(private_mounts.unmount, directory)
        image, other = (pathlib.Path(directory) / name for name in ("disk.img", "other"))
        make_image(image)
        pair = self.journal_pair(TIRELESS)
        (pair.directory / "backup.img").symlink_to(image)
        primary, backup = pair.start()
        self.wait_records(primary)
        with open(other, "wb", buffering=0) as file, self.assertRaises(OSError) as full:
            for _ in range(0, 2 * FULL_BYTES, 4096):  # that much only, wherever it goes
                file.write(bytes(4096))
        self.assertEqual(full.exception.errno, errno.ENOSPC)
        self.assert_unfit(pair, primary, backup, "cannot carry out what the primary's did")
        other.unlink()
        self.assert_backup_again(pair, primary, backup)


if __name__ == "__main__":
    private_mounts.begin()
    main()
