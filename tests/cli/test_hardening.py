# SPDX-License-Identifier: Apache-2.0
"""How the program was built, read from its file: what makes a bug in it harder to use."""

import pathlib
import re
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from fmvm_process import main, settings  # noqa: E402


def readelf(*options):
    return subprocess.run(["readelf", "--wide", *options, settings.fmvm], stdout=subprocess.PIPE, text=True,
                          check=True, timeout=60).stdout


class Hardening(unittest.TestCase):
    def assert_says(self, text, pattern):
        """Without the text, which is long."""
        self.assertTrue(re.search(pattern, text), f"there is no {pattern}")

    def test_it_is_loaded_at_any_address(self):
        self.assert_says(readelf("--file-header"), r"Type: +DYN")
        self.assert_says(readelf("--dynamic"), r"FLAGS_1\).*\bPIE\b")

    def test_no_table_of_functions_can_be_written(self):
        self.assert_says(readelf("--program-headers"), "GNU_RELRO")
        self.assert_says(readelf("--dynamic"), r"FLAGS_1\).*\bNOW\b")

    def test_nothing_that_can_be_written_can_be_executed(self):
        segments = [line.split() for line in readelf("--program-headers").splitlines()
                    if line.strip().startswith(("LOAD", "GNU_STACK"))]
        self.assertGreater(len(segments), 3)
        for segment in segments:
            flags = "".join(segment[6:-1])
            self.assertFalse("W" in flags and "E" in flags, segment)

    def test_stacks_and_copies_are_guarded(self):
        symbols = readelf("--dyn-syms")
        self.assert_says(symbols, r"\b__stack_chk_fail\b")
        # That of memcpy shows that FORTIFY is on at all.
        self.assert_says(symbols, r"\b__memcpy_chk\b")

    def test_jumps_are_guarded(self):
        # The linker would say so of the whole program if Debian's C library was built alike.
        main_code = subprocess.run(["objdump", "--disassemble=main", settings.fmvm], stdout=subprocess.PIPE,
                                   text=True, check=True, timeout=60).stdout
        self.assert_says(main_code, r"<main>:\n[^\n]*\bendbr64\b")


if __name__ == "__main__":
    main()
