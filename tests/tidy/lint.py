#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs clang over src. What passed is remembered by content, so that what did not change costs nothing,
in any checkout, and a run that was interrupted goes on where it stopped.

    tidy      each source: the checks of .clang-tidy, and the thread-safety analysis (4 s of CPU)
    analyze   each source: clang's static analyzer, also by .clang-tidy (5 to 25 s)
    parse     each file: whether a header compiles alone; how many members a class has (1 s)

lint.py BUILD [--changed | --long]     BUILD: configured with the preset lint

By default all is tidied and parsed, but only what changed is analyzed. --changed leaves all else out;
--long analyzes all. What changed is what differs from main (on main: from the commit before), and one
source for each header that does."""

import argparse
import concurrent.futures
import json
import os
import pathlib
import shlex
import subprocess
import sys
import time

import content

ROOT = pathlib.Path(__file__).resolve().parents[2]


def git(*arguments):
    done = subprocess.run(["git", "-C", ROOT, *arguments], capture_output=True, text=True)
    return done.stdout.split() if done.returncode == 0 else None


def base_commit():
    """What this work began with; None if there is no such commit here, as in a shallow clone."""
    head = git("rev-parse", "HEAD")
    for branch in ("main", "origin/main"):
        base = git("merge-base", "HEAD", branch)
        if base and base != head:
            return base[0]
    parent = git("rev-parse", "--verify", "HEAD^")
    return parent[0] if parent else None


def changed_files():
    """Paths in the repository, what is not committed included; None: all."""
    base = base_commit()
    if base is None:
        return None
    return set(git("diff", "--name-only", base)) | set(git("ls-files", "--others", "--exclude-standard"))


def sources_for(changed, tree, sources):
    """The sources to look at when `changed` files did: themselves, and of a header its own source, or
    else one that includes it."""
    chosen = changed & sources
    for header in (name for name in changed if name.endswith(".h")):
        own = header.removesuffix(".h") + ".cpp"
        users = [own] if own in sources else [
            source for source in sorted(sources) if header in tree.closure(source)]
        if not chosen & set(users):
            chosen |= set(users[:1])
    return chosen


def arguments_of(command):
    """Those of a compilation but the compiler, the file and the output."""
    words = shlex.split(command)[1:]
    dropped = {"-c", "-o"}
    return [word for before, word in zip(["", *words], words)
            if word not in dropped and before not in dropped]


class Compilations:
    """How each source is compiled, by its path in the repository."""

    def __init__(self, build):
        entries = json.loads((build / "compile_commands.json").read_text())
        self.arguments = {}
        for entry in entries:
            path = pathlib.Path(entry["file"])
            if path.is_relative_to(ROOT / "src"):
                self.arguments[str(path.relative_to(ROOT))] = arguments_of(entry["command"])

    def of(self, path):
        """A header is compiled as the sources of its layer are."""
        layer = "/".join(path.split("/")[:2]) + "/"
        return self.arguments.get(path) or next(
            arguments for source, arguments in self.arguments.items() if source.startswith(layer))


class Checks:
    """The checks of a file. Each has a digest of what it depends on, and gives what is wrong."""

    def __init__(self, build, tree, compilations):
        self.build = build
        self.tree = tree
        self.compilations = compilations
        self.version = subprocess.run(["clang-tidy", "--version"], capture_output=True, text=True,
                                      check=True).stdout
        self.config = (ROOT / ".clang-tidy").read_text()
        self.parser = (ROOT / "tests/tidy/parse.py").read_text()

    def digest(self, path, *settings):
        arguments = " ".join(self.compilations.of(path)).replace(str(ROOT), "")
        return self.tree.digest(path, self.version, arguments, *settings)

    def run_clang_tidy(self, path, checks):
        done = subprocess.run(["clang-tidy", "-p", self.build, "--quiet", f"--checks={checks}", ROOT / path],
                              capture_output=True, text=True)
        return [] if done.returncode == 0 else [done.stdout.strip() or done.stderr.strip()]

    def tidy_digest(self, path):
        return self.digest(path, "tidy", self.config)

    def tidy(self, path):
        return self.run_clang_tidy(path, "-clang-analyzer-*")

    def analyze_digest(self, path):
        return self.digest(path, "analyze", self.config)

    def analyze(self, path):
        return self.run_clang_tidy(path, "-*,clang-analyzer-*")

    def parse_digest(self, path):
        return self.digest(path, "parse", self.parser)

    def parse(self, path):
        import parse  # it needs python3-clang, which the tests of this file do not
        return list(parse.errors_in_file(path, self.compilations.of(path), self.tree.read(path).decode()))


def run(tasks, memory):
    """tasks: (digest, check, path). Returns what is wrong, and how many were looked
    at anew."""
    new = [task for task in tasks if not memory.knows(task[0])]
    errors = []

    def look(task):
        digest, check, path = task
        found = check(path)
        if not found:
            memory.learn(digest)
        return found

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for found in pool.map(look, new):
            for error in found:
                print(error, flush=True)
            errors += found
    return errors, len(new)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build", type=pathlib.Path)
    extent = parser.add_mutually_exclusive_group()
    extent.add_argument("--changed", action="store_true")
    extent.add_argument("--long", action="store_true")
    options = parser.parse_args()

    begun = time.monotonic()
    os.chdir(ROOT)  # which clang and the paths here are relative to
    tree = content.Tree(ROOT)
    compilations = Compilations(options.build.resolve())
    sources = set(compilations.arguments)
    files = sources | {str(path.relative_to(ROOT)) for path in (ROOT / "src").rglob("*.h")}
    changed = changed_files()
    changed = files if changed is None else changed & files
    changed_sources = sources_for(changed, tree, sources)

    checks = Checks(options.build.resolve(), tree, compilations)
    memory = content.Memory()
    tasks = []  # what finds most first
    for path in sorted(changed_sources if options.changed else sources):
        tasks.append((checks.tidy_digest(path), checks.tidy, path))
    for path in sorted(changed if options.changed else files):
        tasks.append((checks.parse_digest(path), checks.parse, path))
    for path in sorted(sources if options.long else changed_sources):
        tasks.append((checks.analyze_digest(path), checks.analyze, path))
    errors, new = run(tasks, memory)
    memory.forget_old()
    print(f"lint: {len(tasks)} checks, {new} of them anew in {time.monotonic() - begun:.0f} s, "
          f"{len(errors)} failed")
    sys.exit(bool(errors))


if __name__ == "__main__":
    main()
