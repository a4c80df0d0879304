#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""lint.py looks at what has changed since it was in order, and at nothing else."""

import pathlib
import tempfile
import unittest
from unittest import mock

import content
import lint

FILES = {
    "src/base/check.h": "#pragma once\n",
    "src/base/check.cpp": '#include "base/check.h"\n#include <vector>\n',
    "src/vmm/user.h": '#include "base/check.h"\n',
    "src/vmm/user.cpp": '#include "vmm/user.h"\n',
}


class InATree(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.root = pathlib.Path(directory.name)
        for path, text in FILES.items():
            self.write(path, text)

    def write(self, path, text):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def tree(self):
        return content.Tree(self.root)


class Digests(InATree):
    def test_a_closure_has_what_is_included_by_what_is_included(self):
        self.assertEqual(self.tree().closure("src/vmm/user.cpp"),
                         ["src/base/check.h", "src/vmm/user.cpp", "src/vmm/user.h"])

    def test_headers_that_include_each_other_end(self):
        self.write("src/base/check.h", '#include "vmm/user.h"\n')
        self.assertEqual(self.tree().closure("src/base/check.h"), ["src/base/check.h", "src/vmm/user.h"])

    def test_a_digest_changes_with_what_a_file_includes(self):
        before = self.tree().digest("src/vmm/user.cpp", "checks")
        self.write("src/base/check.h", "#pragma once\nint x;\n")
        self.assertNotEqual(self.tree().digest("src/vmm/user.cpp", "checks"), before)

    def test_a_digest_does_not_change_with_other_files(self):
        before = self.tree().digest("src/base/check.cpp", "checks")
        self.write("src/vmm/user.h", "")
        self.assertEqual(self.tree().digest("src/base/check.cpp", "checks"), before)

    def test_a_digest_changes_with_each_setting(self):
        digests = {self.tree().digest("src/base/check.h", *settings)
                   for settings in (("ab", "c"), ("a", "bc"), ("abc",), ())}
        self.assertEqual(len(digests), 4)

    def test_a_checkout_elsewhere_has_the_same_digests(self):
        before = self.tree().digest("src/vmm/user.cpp")
        with tempfile.TemporaryDirectory() as other:
            self.root = pathlib.Path(other)
            for path, text in FILES.items():
                self.write(path, text)
            self.assertEqual(self.tree().digest("src/vmm/user.cpp"), before)


class Runs(InATree):
    def setUp(self):
        super().setUp()
        self.memory = content.Memory(self.root / "memory")
        self.looked = []

    def run_with(self, *found, digest="d"):
        def check(path):
            self.looked.append(path)
            return list(found)
        with mock.patch("builtins.print"):
            return lint.run([(digest, check, "a.cpp")], self.memory)

    def test_what_passed_is_not_looked_at_again(self):
        self.assertEqual(self.run_with(), ([], 1))
        self.assertEqual(self.run_with(), ([], 0))
        self.assertEqual(self.looked, ["a.cpp"])

    def test_what_failed_is_looked_at_again(self):
        self.assertEqual(self.run_with("wrong"), (["wrong"], 1))
        self.assertEqual(self.run_with("wrong"), (["wrong"], 1))

    def test_what_changed_is_looked_at_again(self):
        self.run_with()
        self.assertEqual(self.run_with(digest="e"), ([], 1))


class Choices(InATree):
    SOURCES = {path for path in FILES if path.endswith(".cpp")}

    def chosen(self, *changed):
        return lint.sources_for(set(changed), self.tree(), self.SOURCES)

    def test_a_source_that_changed_is_chosen(self):
        self.assertEqual(self.chosen("src/vmm/user.cpp"), {"src/vmm/user.cpp"})

    def test_a_header_is_seen_through_its_own_source(self):
        self.assertEqual(self.chosen("src/base/check.h"), {"src/base/check.cpp"})

    def test_a_header_without_a_source_is_seen_through_one_that_includes_it(self):
        (self.root / "src/base/check.cpp").unlink()
        self.assertEqual(lint.sources_for({"src/base/check.h"}, self.tree(), {"src/vmm/user.cpp"}),
                         {"src/vmm/user.cpp"})

    def test_a_header_that_nobody_includes_needs_no_source(self):
        self.write("src/vmm/alone.h", "")
        self.assertEqual(self.chosen("src/vmm/alone.h"), set())


class Commands(unittest.TestCase):
    def test_a_file_is_parsed_with_the_arguments_of_its_compilation(self):
        command = "/usr/bin/clang++ -DX='a b' -I/root/src -std=c++20 -o a.o -c /root/src/a.cpp"
        self.assertEqual(lint.arguments_of(command), ["-DX=a b", "-I/root/src", "-std=c++20"])


if __name__ == "__main__":
    unittest.main()
