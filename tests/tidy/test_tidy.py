#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tidy.py finds each fault that it is there for, and calls nothing else a fault."""

import pathlib
import unittest
from unittest import mock

import tidy

LICENCE = "// SPDX-License-Identifier: Apache-2.0\n"


def errors_in(files, **exceptions):
    """`files`: texts by path, to which the licence is added. Exceptions of the real tree do not hold."""
    none = {"LONG": set(), "UNCHECKED_LOCKS": set()}
    with mock.patch.multiple(tidy, **(none | exceptions)):
        return list(tidy.errors_in({pathlib.Path(path): LICENCE + text for path, text in files.items()}))


class Places(unittest.TestCase):
    def test_a_source_in_its_room_is_in_order(self):
        self.assertEqual(errors_in({"src/base/check.cpp": "", "src/vmm/cpu/vcpu.cpp": "",
                                    "src/devices/power.cpp": "", "src/main.cpp": ""}), [])

    def test_a_source_lies_in_no_room_that_does_not_exist(self):
        for path in ("src/attic/a.cpp", "src/vmm/attic/a.cpp", "src/vmm/cpu/attic/a.cpp"):
            self.assertEqual(len(errors_in({path: ""})), 1, path)

    def test_a_source_does_not_lie_loose_in_a_layer_with_rooms(self):
        self.assertIn("lies loose in vmm", errors_in({"src/vmm/vcpu.cpp": ""})[0])

    def test_a_unit_test_mirrors_a_source(self):
        source = {"src/vmm/cpu/vcpu.h": "#pragma once\n"}
        self.assertEqual(errors_in(source | {"tests/unit/vmm/cpu/vcpu_test.cpp": ""}), [])
        self.assertEqual(errors_in(source | {"tests/unit/vmm/cpu/vcpu_exits_test.cpp": ""}), [])
        self.assertIn("no src/vmm/vcpu", errors_in(source | {"tests/unit/vmm/vcpu_test.cpp": ""})[0])
        self.assertIn("no src/vmm/cpu/tsc", errors_in(source | {"tests/unit/vmm/cpu/tsc_test.cpp": ""})[0])
        self.assertIn("does not end", errors_in(source | {"tests/unit/vmm/cpu/vcpu.cpp": ""})[0])


class Includes(unittest.TestCase):
    def includes(self, path, included, **exceptions):
        return errors_in({path: f'#include "{included}"\n'}, **exceptions)

    def test_what_is_below_may_be_included(self):
        for path, included in (("src/vmm/cpu/a.cpp", "base/check.h"),   # a lower layer
                               ("src/vmm/cpu/a.cpp", "vmm/kvm/vm.h"),    # a lower room
                               ("src/vmm/cpu/a.cpp", "vmm/cpu/b.h"),     # its own room
                               ("src/devices/power.cpp", "devices/block/b.h")):  # loose: above all rooms
            self.assertEqual(self.includes(path, included), [], (path, included))

    def test_what_is_above_may_not_be_included(self):
        for path, included in (("src/base/a.cpp", "vmm/cpu/b.h"), ("src/vmm/kvm/a.cpp", "vmm/cpu/b.h"),
                               ("src/devices/block/a.cpp", "devices/power.h")):
            self.assertIn("which is above it", self.includes(path, included)[0])

    def test_the_line_of_an_include_is_named(self):
        text = '\n#include "vmm/cpu/b.h"\n'
        self.assertIn("line 3:", errors_in({"src/base/a.cpp": text})[0])


class Texts(unittest.TestCase):
    def test_a_file_has_few_lines(self):
        full = "\n" * (tidy.LINES_MAX - 1)
        self.assertEqual(errors_in({"src/base/a.cpp": full}), [])
        self.assertIn("401 lines", errors_in({"src/base/a.cpp": full + "\n"})[0])
        self.assertEqual(errors_in({"src/base/a.cpp": full + "\n"}, LONG={"src/base/a.cpp"}), [])

    def test_a_file_names_its_licence(self):
        self.assertIn("SPDX", next(tidy.text_errors(pathlib.Path("a.py"), "print()\n")))

    def test_a_header_is_guarded(self):
        self.assertIn("#pragma once", errors_in({"src/base/a.h": ""})[0])

    def test_locks_are_those_that_clang_checks(self):
        for lock in ("mutex", "shared_mutex", "lock_guard", "unique_lock", "condition_variable"):
            self.assertIn("base/mutex.h", errors_in({"src/base/a.cpp": f"std::{lock} it;\n"})[0])
        self.assertEqual(errors_in({"tests/unit/a.h": "#pragma once\nstd::mutex it;\n"},)[1:], [])


class Exceptions(unittest.TestCase):
    def test_an_exception_that_is_not_needed_is_an_error(self):
        files = {"src/base/a.cpp": ""}
        for exceptions in ({"LONG": {"src/base/a.cpp"}}, {"LONG": {"src/base/gone.cpp"}},
                           {"UNCHECKED_LOCKS": {"base/a.cpp"}}):
            self.assertEqual(len(errors_in(files, **exceptions)), 1, exceptions)


if __name__ == "__main__":
    unittest.main()
