# SPDX-License-Identifier: Apache-2.0
"""`fmvm key create`: what it makes, and what it leaves as it is. Key files that `--tls` refuses, and addresses
that need one."""

import os
import pathlib
import stat
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from fmvm_process import FAILURE, OK, USAGE, main, settings  # noqa: E402


class KeyTestCase(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = pathlib.Path(directory.name)
        self.key = self.directory / "vm.key"

    def fmvm(self, *arguments):
        return subprocess.run([settings.fmvm, *map(str, arguments)], timeout=60, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, preexec_fn=lambda: os.umask(0))


class Keys(KeyTestCase):
    def test_a_key_is_made_for_its_owner_only(self):
        done = self.fmvm("key", "create", self.key)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (OK, "", ""))
        self.assertEqual(stat.S_IMODE(self.key.stat().st_mode), 0o600)
        self.assertRegex(self.key.read_text(), r"\A[0-9a-f]{64}\n\Z")
        self.assertEqual(os.listdir(self.directory), ["vm.key"])

    def test_a_file_that_is_there_stays(self):
        self.key.write_text("something else")
        link = self.directory / "link"
        link.symlink_to(self.directory / "nowhere")
        for name in (self.key, link):
            done = self.fmvm("key", "create", name)
            self.assertEqual(done.returncode, USAGE)
            self.assertRegex(done.stderr, r"\Afmvm: key .* is there already, and stays; .*\n\Z")
        self.assertEqual(self.key.read_text(), "something else")
        self.assertFalse((self.directory / "nowhere").exists())

    def test_what_cannot_be_made_is_told_in_one_line(self):
        for arguments, status in (((), USAGE), (("create",), USAGE), (("destroy", self.key), USAGE),
                                  (("create", self.key, "more"), USAGE), (("create", ""), USAGE),
                                  (("create", self.directory / "none" / "vm.key"), FAILURE)):
            done = self.fmvm("key", *arguments)
            self.assertEqual(done.returncode, status, done.stderr)
            self.assertRegex(done.stderr, r"\Afmvm: [^\n]+\n\Z")
        self.assertEqual(os.listdir(self.directory), [])


class Uses(KeyTestCase):
    """Neither needs KVM: keys come before it."""
    ARBITER = ("--arbiter", "none")

    def sides(self, host="127.0.0.1"):
        return (("primary", "--backup", f"{host}:9", "--kernel", "/nowhere/kernel", *self.ARBITER),
                ("backup", "--listen", f"{host}:9", "--dir", self.directory / "b", *self.ARBITER))

    def refused(self, *arguments):
        done = self.fmvm(*arguments)
        self.assertEqual(done.returncode, USAGE, done.stderr)
        self.assertRegex(done.stderr, r"\Afmvm: [^\n]+\n\Z")
        return done.stderr

    def test_a_bad_key_file_is_refused_and_not_shown(self):
        self.fmvm("key", "create", self.key)
        good = self.key.read_text()
        for content, mode, why in ((good, 0o644, "others may reach"), (good[:-2], 0o600, "line 1 is no key"),
                                   ("", 0o600, "is empty"), (good * 2, 0o600, "the same key twice"),
                                   ("\0" * 64, 0o600, "line 1 is no key")):
            self.key.write_text(content)
            self.key.chmod(mode)
            for side in self.sides():
                with self.subTest(why=why, side=side[0]):
                    error = self.refused(*side, "--tls", f"psk:{self.key}")
                    self.assertIn(why, error)
                    self.assertIn(str(self.key), error)
                    self.assertNotIn(good[:16], error)
        self.key.unlink()
        for side in self.sides():
            self.assertIn(str(self.key), self.refused(*side, "--tls", f"psk:{self.key}"))

    def test_another_host_needs_a_key_or_a_word_that_says_what_that_means(self):
        for side in self.sides("192.0.2.1"):
            error = self.refused(*side)
            self.assertIn("--tls", error)
            self.assertIn("--insecure-plaintext", error)
            both = self.refused(*side, "--tls", f"psk:{self.key}", "--insecure-plaintext")
            self.assertIn("--insecure-plaintext", both)
            # It is let through as far as the key file, which is not there.
            self.assertIn(str(self.key), self.refused(*side, "--tls", f"psk:{self.key}"))


if __name__ == "__main__":
    main()
