# SPDX-License-Identifier: Apache-2.0
"""What check-records and check-sqlite share: a guest's ext4 image, read without mounting it."""
import os
import re
import shutil
import subprocess
import sys


class CheckFailed(Exception):
    """The one sentence that says what is wrong."""


def run_check(check):
    """Runs check(), which returns a summary; ends the program with 0, or 1 and a sentence."""
    program = os.path.basename(sys.argv[0])
    try:
        print(check())
    except CheckFailed as failure:
        sys.exit(f"{program}: {failure}")
    except OSError as error:
        sys.exit(f"{program}: {error.filename}: {error.strerror}")


def e2fsprogs(tool, *arguments):
    path = shutil.which(tool, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if path is None:
        raise CheckFailed(f"{tool} is missing: apt-get install e2fsprogs")
    return subprocess.run([path, *arguments], capture_output=True, check=False)


def check_file_system(image):
    """Fails unless `e2fsck -fn` finds a clean file system, whose journal needs no recovery."""
    with open(image, "rb"):
        pass  # a clear message where e2fsck would ask for a superblock
    result = e2fsprogs("e2fsck", "-fn", image)
    output = (result.stdout + result.stderr).decode(errors="replace").strip()
    if "skipping journal recovery" in output:
        raise CheckFailed(
            f"{image}: the guest did not unmount it; recover a copy with e2fsck -fp, check that"
        )
    if result.returncode != 0:
        raise CheckFailed(f"{image}: the file system is not clean; e2fsck -fn says:\n{output}")


def extract(image, path, target):
    """Copies the file `path` of the image to `target`; False if there is none."""
    if b"Inode:" not in e2fsprogs("debugfs", "-R", f"stat {path}", image).stdout:
        return False
    result = e2fsprogs("debugfs", "-R", f"dump {path} {target}", image)
    if result.returncode != 0 or not os.path.exists(target):
        raise CheckFailed(f"{image}: debugfs cannot read {path}: {result.stderr.decode().strip()}")
    return True


def console_lines(log, word, pattern):
    """The matches of `pattern` on the lines of the log that start with `word` and a space.

    Such a line that does not match is an error, except for the last one if it has no end: the
    machine may have stopped there.
    """
    with open(log, encoding="utf-8", errors="replace", newline="") as file:
        text = file.read()
    lines = text.split("\n")
    for number, line in enumerate(lines, 1):
        line = line.rstrip("\r")
        if not line.startswith(word + " "):
            continue
        match = re.fullmatch(pattern, line)
        if match is not None:
            yield match
        elif number < len(lines):
            raise CheckFailed(f"{log}:{number}: not a whole line: {line!r}")
