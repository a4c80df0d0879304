#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The rules of the house, checked: layers and the rooms inside a layer point one way, each source has
a room, unit tests mirror the sources, files stay small, every source names its licence, every header
is guarded. tidy.py REPOSITORY"""

import pathlib
import re
import subprocess
import sys

# The layers and the rooms of each, lowest first. A file includes only what is not above it.
ROOMS = {
    "base": [],
    "vmm": ["memory", "board", "loop", "kvm", "emulation", "boot", "cpu", "firmware", "dirty_log",
            "host", "machine"],
    "devices": ["virtio", "block", "console", "net"],
    "replay": ["image", "resync", "scrub", "capture", "record", "apply", "archive"],
    "lockstep": ["arbiter", "wire", "channel", "output", "input", "sentinel", "disks", "checkpoint", "stats",
                 "primary", "backup", "service"],
    "node": ["config", "build", "import", "console", "control", "run"],
    "cli": ["report", "commands", "options"],
}
LAYERS = list(ROOMS)
# What stands above the rooms of its layer, in none of them.
LOOSE = {"devices": {"power", "rng_device"}, "cli": {"cli", "version"}}
# Unit tests of several sources at once.
TESTS_OF_MANY = {
    "devices/device_state",  # the state of each device, by one suite
    "vmm/firmware/iasl",     # all ACPI tables, by ACPICA's compiler
}
LINES_MAX = 400
STANDARD_LOCK = re.compile(r"std::(\w*mutex|\w+_lock|lock_guard|condition_variable)\b")
SOURCES = {".cpp", ".h", ".c", ".S", ".py", ".sh"}

# Exceptions, each until the change that is named beside it. One that is not needed any more is an error.
# They are longer than LINES_MAX.
LONG = set()
# They lock by the standard library's classes instead of base/mutex.h's.
UNCHECKED_LOCKS = {
    "base/mutex.h",  # it wraps them
    "vmm/loop/task_scope.h",  # recursive: a task may end its own scope
}


def files_in(root):
    """With those that are new, and not ignored."""
    listing = subprocess.run(["git", "-C", root, "ls-files", "-z", "--cached", "--others",
                              "--exclude-standard"], capture_output=True, check=True)
    return [root / name for name in listing.stdout.decode().split("\0") if name]


def without_suffix(name):
    return name.rsplit(".", 1)[0]


def room_error(name):
    """Of a source, by its path below src: what is wrong with the place where it is."""
    layer, *rooms, file = name.split("/")
    if layer not in ROOMS:
        return f"{layer} is no layer"
    if len(rooms) > 1 or (rooms and rooms[0] not in ROOMS[layer]):
        return f"{'/'.join(rooms)} is no room of {layer}"
    if not rooms and ROOMS[layer] and without_suffix(file) not in LOOSE.get(layer, ()):
        return f"it lies loose in {layer}, which has rooms"
    return None


def is_above(name, other):
    """Whether `name` stands above `other`; both are paths below src."""
    layer, *rooms, _ = name.split("/")
    other_layer, *other_rooms, _ = other.split("/")
    if layer != other_layer:
        return LAYERS.index(layer) > LAYERS.index(other_layer)
    order = ROOMS[layer]
    height, other_height = (order.index(at[0]) if at else len(order) for at in (rooms, other_rooms))
    return height > other_height


def includes(text):
    for number, line in enumerate(text.splitlines(), 1):
        found = re.match(r'#include "([a-z]+/.+)"', line)
        if found and found[1].split("/")[0] in ROOMS:
            yield number, found[1]


def source_errors(name, text):
    error = room_error(name)
    if error:
        yield error
        return
    if STANDARD_LOCK.search(text) and name not in UNCHECKED_LOCKS:
        yield f"it locks by std::{STANDARD_LOCK.search(text)[1]}, which clang cannot check; use base/mutex.h"
    for number, included in includes(text):
        if not room_error(included) and is_above(included, name):
            yield f"line {number}: it includes {included}, which is above it"


def unit_test_error(name, sources):
    """Of a unit test, by its path below tests/unit."""
    tested = name.removesuffix("_test.cpp")
    if tested == name:
        return "its name does not end in _test.cpp"
    if tested in TESTS_OF_MANY or any(word in sources for word in shortened(tested)):
        return None
    return f"there is no src/{tested} that it could test"


def shortened(tested):
    """A long test is divided by subject: virtqueue_events_test.cpp tests virtqueue, too."""
    while tested:
        yield tested
        tested = tested.rpartition("_")[0]


def exception_errors(files, sources):
    """`files`: the text of each file, by its path; `sources`: those below src, by their path there."""
    for name in sorted(LONG):
        if lines_in(files.get(pathlib.Path(name), "")) <= LINES_MAX:
            yield f"{name} may be long, but is not"
    for name in sorted(UNCHECKED_LOCKS):
        if not STANDARD_LOCK.search(sources.get(name, "")):
            yield f"{name} may lock by the standard library, but does not"


def lines_in(text):
    return text.count("\n")


def text_errors(path, text):
    if lines_in(text) > LINES_MAX and str(path) not in LONG:
        yield f"{lines_in(text)} lines, at most {LINES_MAX} are allowed"
    if "SPDX-License-Identifier:" not in text[:300]:
        yield "no SPDX-License-Identifier in its first lines"
    if path.suffix == ".h" and "#pragma once" not in text and path.parts[-3:-1] != ("linux", "init"):
        yield "no #pragma once"


def errors_in(files):
    """`files`: the text of each file, by its path in the repository."""
    sources = {str(path.relative_to("src")): text for path, text in files.items()
               if path.parts[0] == "src" and len(path.parts) > 2}
    stems = {without_suffix(name) for name in sources}
    for path, text in files.items():
        errors = list(text_errors(path, text))
        if path.parts[0] == "src" and len(path.parts) > 2:
            errors += source_errors(str(path.relative_to("src")), text)
        if path.parts[:2] == ("tests", "unit"):
            errors += filter(None, [unit_test_error(str(path.relative_to("tests/unit")), stems)])
        yield from (f"{path}: {error}" for error in errors)
    yield from (f"tests/tidy/tidy.py: {error}" for error in exception_errors(files, sources))


def main():
    root = pathlib.Path(sys.argv[1]).resolve()
    files = {path.relative_to(root): path.read_text() for path in files_in(root)
             if path.suffix in SOURCES and path.is_file()}
    failures = list(errors_in(files))
    print("\n".join(failures) or f"{len(files)} files are in order")
    sys.exit(bool(failures) or not files)


if __name__ == "__main__":
    main()
