# SPDX-License-Identifier: Apache-2.0
"""fmvm started with its standard descriptors closed: no file of its own takes their numbers."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from fmvm_process import FAILURE, OK, USAGE, main, run, settings  # noqa: E402

MIB = 1 << 20


class ClosedDescriptors(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="fmvm-closed-")
        self.addCleanup(directory.cleanup)
        self.directory = pathlib.Path(directory.name)
        run(settings.fmvm.parent / "tests" / "make_log", self.directory / "r.log", MIB)

    def image(self, size=MIB):
        path = self.directory / "disk.img"
        path.write_bytes(bytes(size))
        return path

    def fmvm(self, redirections, *arguments):
        return subprocess.run(["sh", "-c", f'exec "$0" "$@" {redirections}', settings.fmvm, *arguments],
                              cwd=self.directory, timeout=60, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True)

    def test_a_message_is_not_written_into_an_image(self):
        for redirections in ("2>&-", "0<&- 2>&-", "1>&- 2>&-", "0<&- 1>&- 2>&-"):
            with self.subTest(redirections):
                image = self.image(2 * MIB)  # not as large as the log says
                done = self.fmvm(redirections, "replay", "r.log", "--disk", image)
                self.assertEqual(done.returncode, USAGE)
                self.assertEqual(image.read_bytes(), bytes(2 * MIB))

    def test_a_message_that_comes_while_images_are_open_is_not_written_into_one(self):
        run(settings.fmvm.parent / "tests" / "make_log", self.directory / "other.log", MIB, "mismatch")
        for redirections in ("2>&-", "0<&- 2>&-", "1>&- 2>&-", "0<&- 1>&- 2>&-"):
            with self.subTest(redirections):
                image = self.image()
                done = self.fmvm(redirections, "replay", "other.log", "--disk", image)
                self.assertEqual(image.read_bytes(), bytes(MIB))
                self.assertEqual(done.returncode, FAILURE)

    def test_a_report_is_not_written_into_an_image(self):
        for redirections in ("1>&-", "0<&- 1>&-"):
            with self.subTest(redirections):
                image = self.image()
                self.fmvm(redirections, "replay", "r.log", "--disk", image)
                self.assertEqual(image.read_bytes(), bytes(MIB))

    def test_an_image_is_not_read_as_standard_input(self):
        done = self.fmvm("0<&-", "replay", "r.log", "--disk", self.image())
        self.assertEqual(done.returncode, OK, done.stderr)

    def test_a_report_to_a_closed_standard_output_is_not_taken_for_written(self):
        for arguments in (["check"], ["replay", "r.log", "--dump"]):
            with self.subTest(arguments):
                done = self.fmvm("1>&-", *arguments)
                self.assertEqual(done.returncode, FAILURE)
                self.assertIn("standard output", done.stderr)


if __name__ == "__main__":
    main()
