#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The rules of the house, checked: layers point one way, files stay small, every source names its
licence, every header is guarded. tidy.py REPOSITORY"""

import pathlib
import re
import subprocess
import sys

LAYERS = ["base", "vmm", "devices", "replay", "lockstep", "node", "cli"]
LINES_MAX = 500
SOURCES = {".cpp", ".h", ".c", ".S", ".py", ".sh"}


def tracked_files(root):
    listing = subprocess.run(["git", "-C", root, "ls-files", "-z"], capture_output=True, check=True)
    return [root / name for name in listing.stdout.decode().split("\0") if name]


def layer_errors(path, root, text):
    parts = path.relative_to(root).parts
    if parts[0] != "src" or len(parts) < 3:
        return
    rank = LAYERS.index(parts[1])
    for number, line in enumerate(text.splitlines(), 1):
        found = re.match(r'#include "([a-z]+)/', line)
        if found and found[1] in LAYERS and LAYERS.index(found[1]) > rank:
            yield f"line {number}: {parts[1]} includes {found[1]}, which is above it"


def errors_in(path, root):
    text = path.read_text()
    yield from layer_errors(path, root, text)
    if text.count("\n") > LINES_MAX:
        yield f"{text.count(chr(10))} lines, at most {LINES_MAX} are allowed"
    if "SPDX-License-Identifier:" not in text[:300]:
        yield "no SPDX-License-Identifier in its first lines"
    if path.suffix == ".h" and "#pragma once" not in text and path.parts[-3:-1] != ("linux", "init"):
        yield "no #pragma once"


def main():
    root = pathlib.Path(sys.argv[1]).resolve()
    files = [path for path in tracked_files(root) if path.suffix in SOURCES and path.is_file()]
    failures = [f"{path.relative_to(root)}: {error}" for path in files
                for error in errors_in(path, root)]
    print("\n".join(failures) or f"{len(files)} files are in order")
    sys.exit(bool(failures) or not files)


if __name__ == "__main__":
    main()
