# SPDX-License-Identifier: Apache-2.0
"""The bare guests on the real /dev/kvm: each checks itself, and the disk is checked from outside."""

import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from fmvm_process import OK, REPOSITORY, RESET, CRASHED, VmTestCase, main, run  # noqa: E402


class BareGuests(VmTestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.disk = pathlib.Path(directory.name) / "disk.img"

    def make_disk(self, mib):
        with open(self.disk, "wb") as image:
            image.truncate(mib << 20)

    def test_counter_counts_without_a_gap(self):
        vm = self.check_bare("counter", "count=2000")
        numbers = [int(line.split()[1]) for line in vm.lines() if line.startswith("counter ")]
        self.assertEqual(numbers, list(range(1, 2001)))

    def test_dirty_keeps_its_checksum(self):
        self.check_bare("dirty", "mib=32 passes=50")

    def test_smp_loses_no_interrupt(self):
        for cpus in (1, 2, 4):
            with self.subTest(cpus=cpus):
                self.check_bare("smp", f"cpus={cpus} rounds=30", "--cpus", cpus, timeout=180)

    def test_journal_is_on_the_disk(self):
        for options in ("", ",direct"):
            with self.subTest(options=options):
                self.make_disk(16)
                vm = self.check_bare("journal", "count=100", "--disk", f"path={self.disk}{options}")
                log = self.disk.with_suffix(".log")
                log.write_bytes(vm.console)
                run(REPOSITORY / "guests/bare/check-journal", self.disk, log)

    def test_journal_goes_on_after_a_reset(self):
        self.make_disk(16)
        disk = ("--disk", f"path={self.disk}")
        self.check_bare("journal", "count=20 end=reset", *disk, expected=RESET)
        vm = self.check_bare("journal", "count=20 resume=1", *disk)
        numbers = [int(line.split()[1]) for line in vm.lines() if line.startswith("journal ")]
        self.assertEqual(numbers[0], 21)
        self.assertEqual(numbers[-1], 40)

    def test_block_device_under_load_returns_what_was_written(self):
        for options in ("", ",direct"):
            for depth in (1, 32, 128):
                for wait in ("poll", "irq"):
                    with self.subTest(depth=depth, wait=wait, options=options):
                        self.make_disk(64)
                        self.check_bare(
                            "blkload",
                            f"op=mixed verify=1 depth={depth} wait={wait} requests=2000 seed={depth}",
                            "--disk", f"path={self.disk}{options}")

    def test_two_disks_do_not_mix(self):
        self.make_disk(8)
        other = self.disk.with_name("other.img")
        with open(other, "wb") as image:
            image.truncate(8 << 20)
        self.check_bare("journal", "count=10", "--disk", f"path={self.disk}",
                        "--disk", f"path={other}")
        self.assertFalse(any(other.read_bytes()), "the second disk was written")

    def test_ways_to_end(self):
        for end, status in (("poweroff", OK), ("reset", RESET), ("crash", CRASHED)):
            with self.subTest(end=end):
                self.check_bare("counter", f"count=1 end={end}", expected=status)


if __name__ == "__main__":
    main()
