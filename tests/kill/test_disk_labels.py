# SPDX-License-Identifier: Apache-2.0
"""What the labels of a guest's disks keep from being run, or overwritten, by mistake."""

import pathlib
import signal
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from fmvm_process import OK, STOPPED, USAGE, main, run_fmvm  # noqa: E402
from killing import check_status  # noqa: E402
from pair import COUNTER, JOURNAL, PairTestCase, make_image  # noqa: E402


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


class Overrides(Labels):
    """None of them destroys the only good copy."""

    def test_a_side_that_starts_with_an_empty_disk(self):
        """While the other one runs the guest, it is refused whatever it is given; and when it is not asked
        any more, its disk overwrites none but by a word on that side."""
        pair = self.pair(JOURNAL, disk=self.new_disk(), block="replay")
        primary, backup = pair.start()
        primary.wait_lines(20)
        primary.signal(signal.SIGKILL)
        backup.wait_log("took over: the guest runs here")
        backup.wait_lines(5)
        claims = self.claims(pair)
        for number, options in enumerate(((), ("--restart",), ("--force-stale",),
                                          ("--restart", "--force-stale"))):
            said = self.start_refused(pair, *options, name=f"refused-{number}")
            self.assertIn("this guest runs on", said)
            self.assertNotIn("give --", said)
        self.assertEqual(self.claims(pair), claims)
        backup.wait_lines(20)  # it goes on
        backup.signal(signal.SIGKILL)
        check_status(backup, -signal.SIGKILL)
        said = self.start_refused(pair, "--restart", name="unlabelled")
        self.assertIn("has no label", said)
        survivor = pair.disk_of("backup").read_bytes()
        anew = pair.start_primary("--restart", "--force-stale", name="anew")
        anew.wait_lines(5)
        for word in ("--restart: generation 2 is given up", "--force-stale: disk"):
            self.assertIn(word, anew.log())
        old = pair.start_backup()
        for side in (old, anew):
            side.wait_log("from which the primary's disk does not descend")
        old.stop()
        self.assertEqual(pair.disk_of("backup").read_bytes(), survivor)
        discarding = pair.start_backup("--discard-disk")
        discarding.wait_log("in step with")
        self.assertIn("will be overwritten", discarding.log())
        self.assertEqual(anew.stop(), STOPPED)
        check_status(discarding, OK)

    def test_a_backup_takes_no_disk_that_nobody_knows(self):
        pair = self.pair(JOURNAL, disk=self.new_disk(), block="replay")
        unknown = pair.disk_of("backup")
        unknown.write_bytes(b"precious" + bytes(unknown.stat().st_size - 8))
        arguments = ("backup", "--listen", f"127.0.0.1:{pair.port}", "--dir", pair.directory / "b",
                     "--arbiter", f"file:{pair.directory}/arbiter", "--disk", f"path={unknown}")
        refused = run_fmvm(*arguments)
        self.assertEqual(refused.returncode, USAGE, refused.stderr)
        self.assertIn("is not empty", refused.stderr)
        self.assertEqual(unknown.read_bytes()[:8], b"precious")


class PutBack(Labels):
    """Image and label as they were some time ago."""

    def copies_of(self, pair, name):
        """What puts the side's image, label and directory back."""
        image = pair.disk_of(name)
        kept = {path: path.read_bytes() for path in (image, pathlib.Path(f"{image}.fmvm"))}
        kept |= {path: path.read_bytes() for path in (pair.directory / name).glob("*")}

        def put_back():
            for path, content in kept.items():
                path.write_bytes(content)
        return put_back

    def assert_found(self, pair, primary, backup, whose):
        for side in (primary, backup):
            side.wait_log(f"the {whose}'s image is older")
        backup.wait_log("in step with")
        primary.wait_lines(20)
        self.assertEqual(primary.stop(), STOPPED, primary.description())
        check_status(backup, OK)
        pair.check()
        self.assertEqual(pair.disk_of("primary").read_bytes(), pair.disk_of("backup").read_bytes())

    def test_of_a_backup(self):
        pair = self.pair(JOURNAL, disk=self.new_disk(), block="replay")
        primary, backup = pair.start()
        primary.wait_lines(20)
        put_back = self.copies_of(pair, "backup")
        primary.wait_lines(60)
        backup.signal(signal.SIGKILL)
        check_status(backup, -signal.SIGKILL)
        put_back()
        self.assert_found(pair, primary, pair.start_backup(), "backup")

    def test_of_a_primary_whose_backup_has_taken_over(self):
        pair = self.pair(JOURNAL, disk=self.new_disk(), block="replay")
        backup = pair.start_host("backup", other="primary")
        primary = pair.start_primary()
        primary.wait_log("protected by")
        primary.wait_lines(20)
        put_back = self.copies_of(pair, "primary")
        primary.wait_lines(60)
        primary.signal(signal.SIGKILL)
        check_status(primary, -signal.SIGKILL)
        put_back()
        self.assert_found(pair, backup, pair.start_host("primary", other="backup"), "backup")

    def test_of_a_primary_that_runs_on_it(self):
        """Its guest has lost what only the backup has: that is not overwritten."""
        pair = self.pair(JOURNAL, disk=self.new_disk(), block="replay")
        primary, backup = pair.start()
        primary.wait_lines(20)
        put_back = self.copies_of(pair, "primary")
        primary.wait_lines(60)
        self.assertEqual(primary.stop(), STOPPED)
        check_status(backup, OK)
        kept = pair.disk_of("backup").read_bytes()
        put_back()
        backup = pair.start_backup()
        primary = pair.start_primary("--restart", name="primary")
        for side in (primary, backup):
            side.wait_log("the primary's image is older than the backup's")
        backup.stop()
        self.assertEqual(pair.disk_of("backup").read_bytes(), kept)
        discarding = pair.start_backup("--discard-disk")
        discarding.wait_log("in step with")
        primary.wait_lines(20)
        self.assertEqual(primary.stop(), STOPPED)
        check_status(discarding, OK)

    def test_to_before_an_orderly_end(self):
        pair = self.pair(JOURNAL, disk=self.new_disk(), block="replay")
        primary, backup = pair.start()
        primary.wait_lines(20)
        put_back = self.copies_of(pair, "backup")
        primary.wait_lines(60)
        self.assertEqual(primary.stop(), STOPPED)
        check_status(backup, OK)
        put_back()
        backup = pair.start_backup()
        self.assert_found(pair, pair.start_primary(name="primary"), backup, "backup")


if __name__ == "__main__":
    main()
