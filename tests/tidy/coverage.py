#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Line coverage of src by room, and the functions that were never called, of a build with --coverage
that has run. coverage.py BUILD"""

import collections
import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]


def reports_of(notes):
    """What gcov says of one object, file by file. An object that never ran has no counts beside it, and
    gcov says so of each of its lines."""
    done = subprocess.run(["gcov", "--json-format", "--stdout", "--demangled-names", notes.name],
                          cwd=notes.parent, capture_output=True, text=True, check=True)
    for line in done.stdout.splitlines():
        yield from json.loads(line)["files"]


class Coverage:
    """How often each line ran, and each function; what several objects have of a header, together."""

    def __init__(self):
        self.lines = collections.defaultdict(collections.Counter)  # by file, by line
        self.functions = collections.defaultdict(collections.Counter)  # by file, by (line, name)

    def add(self, report, directory):
        path = (directory / report["file"]).resolve()
        if not path.is_relative_to(ROOT / "src"):
            return
        name = str(path.relative_to(ROOT))
        for line in report["lines"]:
            self.lines[name][line["line_number"]] += line["count"]
        for function in report["functions"]:
            # A template's instances differ in what stands in brackets.
            shown = function["demangled_name"].split("(")[0].split("<")[0].split(" ")[-1]
            self.functions[name][function["start_line"], shown] += function["execution_count"]

    def rooms(self):
        """(room, lines, lines that ran), by room."""
        rooms = collections.defaultdict(lambda: [0, 0])
        for name, lines in self.lines.items():
            room = rooms[str(pathlib.Path(name).parent.relative_to("src"))]
            room[0] += len(lines)
            room[1] += sum(count > 0 for count in lines.values())
        return [(room, *counts) for room, counts in sorted(rooms.items())]

    def unreached(self):
        """(file, line, function), of those that were never called."""
        return [(name, line, shown) for name, functions in sorted(self.functions.items())
                for (line, shown), count in sorted(functions.items()) if count == 0]


def share(ran, lines):
    return f"{100 * ran / max(lines, 1):5.1f} %  {ran:6} of {lines:6} lines"


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    coverage = Coverage()
    objects = sorted(build.rglob("*.gcno"))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for notes, reports in zip(objects, pool.map(lambda notes: list(reports_of(notes)), objects)):
            for report in reports:
                coverage.add(report, notes.parent)
    rooms = coverage.rooms()
    print("Never called:")
    for name, line, function in coverage.unreached():
        print(f"  {name}:{line} {function}")
    print("Lines that ran:")
    for room, lines, ran in rooms:
        print(f"  {room:24} {share(ran, lines)}")
    print(f"  {'all':24} {share(sum(ran for _, _, ran in rooms), sum(lines for _, lines, _ in rooms))}")


if __name__ == "__main__":
    main()
