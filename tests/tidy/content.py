# SPDX-License-Identifier: Apache-2.0
"""What a check of a source depends on, as one digest, and a memory of the digests that were in order."""

import functools
import hashlib
import os
import pathlib
import re
import time

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]+"([^"]+)"', re.MULTILINE)


class Tree:
    """The sources below `root`/src. Paths are relative to `root`, so that two checkouts agree."""

    def __init__(self, root):
        self.root = pathlib.Path(root)

    @functools.cache
    def read(self, path):
        return (self.root / path).read_bytes()

    @functools.cache
    def includes(self, path):
        """The files of ours that `path` includes itself. System headers count as unchanging."""
        found = (f"src/{name}" for name in INCLUDE.findall(self.read(path).decode()))
        return tuple(name for name in found if (self.root / name).is_file())

    def closure(self, path):
        """`path` and all that it includes, ascending."""
        known = {path}
        waiting = [path]
        while waiting:
            new = set(self.includes(waiting.pop())) - known
            known |= new
            waiting.extend(new)
        return sorted(known)

    def digest(self, path, *settings):
        """Of `path`, all that it includes, and `settings`: texts that the check depends on."""
        digest = hashlib.sha256()
        parts = [text.encode() for text in settings]
        for name in self.closure(path):
            parts += [name.encode(), self.read(name)]
        for part in parts:
            digest.update(len(part).to_bytes(8, "little") + part)
        return digest.hexdigest()


class Memory:
    """Digests of checks that passed: an empty file each. Safe for several processes at once."""

    DAYS_MAX = 60

    def __init__(self, directory=None):
        cache = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
        self.directory = pathlib.Path(directory or pathlib.Path(cache) / "fmvm" / "lint")
        self.directory.mkdir(parents=True, exist_ok=True)

    def knows(self, digest):
        try:
            os.utime(self.directory / digest)
        except FileNotFoundError:
            return False
        return True

    def learn(self, digest):
        (self.directory / digest).touch()

    def forget_old(self):
        oldest = time.time() - self.DAYS_MAX * 24 * 3600
        for entry in self.directory.iterdir():
            if entry.stat().st_mtime < oldest:
                entry.unlink(missing_ok=True)
