# SPDX-License-Identifier: Apache-2.0
"""What the labels of a guest's disks keep from being run, or overwritten, by mistake."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from fmvm_process import OK, STOPPED, USAGE, main  # noqa: E402
from killing import check_status  # noqa: E402
from pair import COUNTER, PairTestCase, make_image  # noqa: E402


class Labels(PairTestCase):
    def start_refused(self, pair, *options, name="refused"):
        """A primary that must not begin: what it says."""
        primary = pair.start_primary(*options, name=name)
        check_status(primary, USAGE)
        self.assertEqual(bytes(primary.console), b"")
        return primary.log()

    def claims(self, pair):
        return sorted(path.name for path in pair.directory.glob("arbiter*"))


class Places(Labels):
    """A label knows its guest and its number."""

    def setUp(self):
        self.two = self.pair(COUNTER)
        self.images = {name: make_image(self.two.directory / f"{name}.img")
                       for name in ("a0", "a1", "b0", "b1")}

    def disks(self, *names):
        return [word for name in names for word in ("--disk", f"path={self.images[name]}")]

    def run_to_an_orderly_end(self):
        backup = self.two.start_backup(*self.disks("b0", "b1"))
        primary = self.two.start_primary(*self.disks("a0", "a1"))
        primary.wait_log("protected by")
        self.assertEqual(primary.stop(), STOPPED)
        check_status(backup, OK)

    def test_disks_that_are_swapped_or_left_out_are_refused(self):
        pair = self.two
        self.run_to_an_orderly_end()
        labels = {name: path.with_suffix(".img.fmvm").read_bytes()
                  for name, path in self.images.items()}
        claims = self.claims(pair)
        self.assertIn("in their order", self.start_refused(pair, *self.disks("a1", "a0")))
        self.assertIn("2 disks, of which 1", self.start_refused(pair, *self.disks("a0")))
        self.assertEqual(self.claims(pair), claims)
        # A backup whose disks are swapped overwrites nothing; the guest goes on without it.
        backup = pair.start_backup(*self.disks("b1", "b0"))
        primary = pair.start_primary(*self.disks("a0", "a1"), name="again")
        for side in (backup, primary):
            side.wait_log("in their order")
        primary.wait_lines(10)
        self.end(pair, primary, backup)
        for name in ("b0", "b1"):
            label = self.images[name].with_suffix(".img.fmvm")
            self.assertEqual(label.read_bytes(), labels[name], name)


if __name__ == "__main__":
    main()
