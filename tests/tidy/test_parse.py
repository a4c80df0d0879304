#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""parse.py finds headers that do not compile alone, and classes with too many members."""

import os
import pathlib
import tempfile
import unittest
from unittest import mock

try:
    import parse
except ImportError:
    parse = None  # this Python is not Debian's, which python3-clang is for


def members(count):
    return "".join(f"int a{number}_;\n" for number in range(count))


@unittest.skipIf(parse is None, "there is no clang for this Python; /usr/bin/python3 has it")
class Parse(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(directory.name)
        pathlib.Path("src").mkdir()

    def errors_in(self, text, name="a.h", waiting=frozenset()):
        path = pathlib.Path("src") / name
        path.write_text(text)
        with mock.patch.object(parse, "WAITING", waiting):
            return list(parse.errors_in_file(str(path), ["-Isrc", "-std=c++20"], text))

    def test_a_header_brings_what_it_needs(self):
        self.assertEqual(self.errors_in("#pragma once\n#include <cstdint>\nstd::uint8_t f();\n"), [])
        self.assertIn("src/a.h alone:", self.errors_in("#pragma once\nstd::string f();\n")[0])

    def test_a_class_has_few_members(self):
        for name in ("a.h", "a.cpp"):
            text = "namespace fmvm { namespace {\nclass A { public: void f(); private: %s}; } }\n"
            self.assertEqual(self.errors_in("#pragma once\n" + text % members(20), name), [])
            self.assertIn("A has 21 data members",
                          self.errors_in("#pragma once\n" + text % members(21), name)[0])

    def test_members_of_a_class_inside_are_its_own(self):
        inner = f"class Inner {{ public: void f(); {members(15)} }};\n"
        text = f"class Outer {{ public: void f(); {inner} {members(15)} }};\n"
        self.assertEqual(self.errors_in(text), [])
        self.assertIn("Inner has 25", self.errors_in(text.replace("a14_;", "a14_, %s;" % ", ".join(
            f"b{number}" for number in range(10)), 1))[0])

    def test_a_plain_struct_may_have_many(self):
        self.assertEqual(self.errors_in(f"struct Options {{ {members(40)} }};\n"), [])
        self.assertEqual(self.errors_in(
            f"struct Options {{ {members(40)} bool operator==(const Options&) const = default; }};\n"), [])

    def test_a_class_may_have_many_for_a_reason(self):
        text = f"class A {{ public: void f(); {members(30)} }};\n"
        self.assertEqual(self.errors_in("// A chip.\n// Many members: its registers.\n" + text), [])
        self.assertEqual(len(self.errors_in("// Many members: far above.\n\n" + text)), 1)

    def test_an_exception_that_is_not_needed_is_an_error(self):
        text = "class A { public: void f(); %s };\n"
        self.assertEqual(self.errors_in(text % members(30), waiting={"A"}), [])
        self.assertIn("need not be", self.errors_in(text % members(3), waiting={"A"})[0])


if __name__ == "__main__":
    unittest.main()
