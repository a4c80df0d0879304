# SPDX-License-Identifier: Apache-2.0
"""Too few descriptors (`ulimit -n`), at whatever place they run out: a sentence and a documented status."""

import pathlib
import resource
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from fmvm_process import FAILURE, OK, TIME_FACTOR, USAGE, main, run, settings  # noqa: E402

MIB = 1 << 20


class FewDescriptors(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="fmvm-few-")
        self.addCleanup(directory.cleanup)
        self.directory = pathlib.Path(directory.name)

    def ended(self, count, *arguments):
        """Its status, when it may have so many descriptors; what it says is checked."""
        done = subprocess.run(
            [settings.fmvm, *map(str, arguments)], cwd=self.directory, timeout=60 * TIME_FACTOR,
            stdin=subprocess.DEVNULL, capture_output=True, text=True,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (count, count)))
        self.assertIn(done.returncode, (OK, FAILURE, USAGE), done.stderr)
        if done.returncode != OK:
            self.assertRegex(done.stderr, r"(?m)^fmvm: .*\n\Z")
            self.assertNotIn("internal error", done.stderr)
        return done.returncode

    def ends(self, counts, *arguments):
        ended = []
        for count in counts:
            with self.subTest(descriptors=count):
                ended.append(self.ended(count, *arguments))
        return ended

    def test_replay(self):
        run(settings.fmvm.parent / "tests" / "make_log", self.directory / "r.log", MIB)
        (self.directory / "disk.img").write_bytes(bytes(MIB))
        ended = self.ends(range(4, 30), "replay", "r.log", "--disk", "path=disk.img")
        self.assertEqual(ended[-1], OK)
        self.assertNotEqual(ended[0], OK)

    def test_commands_to_a_running_fmvm(self):
        ended = self.ends(range(4, 8), "switchover", "--control", "missing")
        self.assertEqual(set(ended), {FAILURE})


if __name__ == "__main__":
    main()
