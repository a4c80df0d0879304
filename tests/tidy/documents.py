#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the documents name exists: the targets of their links, and the files of the sources and tests that
they mention in backticks. documents.py REPOSITORY"""

import pathlib
import re
import subprocess
import sys

LAYERS = ("base", "vmm", "devices", "replay", "lockstep", "node", "cli")
OTHERS = ("bench", "docs", "guests", "scripts", "src", "tests")
# The record of what was done names files as they were then.
HISTORY = ("docs/evidence/", "CHANGELOG.md")
# These do not exist yet: a device that a document says is not there, and what the redesign of the rooms
# brings. A name that exists is told, so that it is taken out here.
TO_COME = set()


def anchors(text):
    """The names that a web site gives to the headings of a document."""
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def without_listings(text):
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def link_errors(root, path, text):
    for target in re.findall(r"\]\(([^)\s]+)\)", without_listings(text)):
        if target.startswith("http"):
            continue
        name, _, anchor = target.partition("#")
        file = (path.parent / name).resolve() if name else path
        if not file.exists():
            yield f"the link {target} leads nowhere"
        elif anchor and anchor not in anchors(file.read_text()):
            yield f"{file.relative_to(root)} has no heading for the link {target}"


def exists(root, name):
    """A folder, a file, or a source without its suffix."""
    return any(root.glob(name)) or any(root.glob(f"{name}.*"))


def name_errors(root, text):
    for name in re.findall(r"`([\w./*+-]+/[\w./*+-]*)`", without_listings(text)):
        first = name.split("/")[0]
        if first in LAYERS:
            name = f"src/{name}"
        elif first not in OTHERS:
            continue
        if name.removeprefix("src/") not in TO_COME and not exists(root, name.rstrip("/")):
            yield f"there is no {name}"


def main():
    root = pathlib.Path(sys.argv[1]).resolve()
    listing = subprocess.run(["git", "-C", root, "ls-files", "-z", "*.md"], capture_output=True, check=True)
    documents = [name for name in listing.stdout.decode().split("\0") if name]
    failures = []
    for name in documents:
        text = (root / name).read_text()
        errors = list(link_errors(root, root / name, text))
        if not name.startswith(HISTORY):
            errors += name_errors(root, text)
        failures += [f"{name}: {error}" for error in errors]
    for name in sorted(name for name in TO_COME if exists(root, f"src/{name}")):
        print(f"tests/tidy/documents.py: {name} exists, and need not be among those to come")
    print("\n".join(failures) or f"{len(documents)} documents are in order")
    sys.exit(bool(failures) or not documents)


if __name__ == "__main__":
    main()
