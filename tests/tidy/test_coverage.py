#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""coverage.py puts together what several objects say of one file."""

import unittest

import coverage


def report(path, lines, functions=()):
    return {"file": str(coverage.ROOT / path),
            "lines": [{"line_number": number, "count": count} for number, count in lines],
            "functions": [{"start_line": line, "demangled_name": name, "execution_count": count}
                          for line, name, count in functions]}


class Coverages(unittest.TestCase):
    def setUp(self):
        self.coverage = coverage.Coverage()

    def add(self, *arguments):
        self.coverage.add(report(*arguments), coverage.ROOT)

    def test_a_line_ran_if_it_ran_in_one_object(self):
        self.add("src/base/check.h", [(1, 0), (2, 0), (3, 0)])
        self.add("src/base/check.h", [(1, 0), (2, 7)])
        self.assertEqual(self.coverage.rooms(), [("base", 3, 1)])

    def test_rooms_are_counted_apart_and_other_files_not_at_all(self):
        self.add("src/vmm/cpu/vcpu.cpp", [(1, 1)])
        self.add("src/vmm/cpu/vcpu.h", [(1, 0)])
        self.add("src/vmm/kvm/vm.cpp", [(1, 1)])
        self.add("tests/unit/a_test.cpp", [(1, 1)])
        self.assertEqual(self.coverage.rooms(), [("vmm/cpu", 2, 1), ("vmm/kvm", 1, 1)])

    def test_a_function_was_reached_if_one_of_its_instances_was(self):
        self.add("src/base/a.h", [], [(3, "int fmvm::twice<int>(int)", 0), (9, "fmvm::never(char)", 0)])
        self.add("src/base/a.h", [], [(3, "long fmvm::twice<long>(long)", 2)])
        self.assertEqual(self.coverage.unreached(), [("src/base/a.h", 9, "fmvm::never")])


if __name__ == "__main__":
    unittest.main()
