# SPDX-License-Identifier: Apache-2.0
"""The Linux guest of guests/linux, built when it is not in the cache yet."""

import functools
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from fmvm_process import REPOSITORY, run  # noqa: E402

GUEST = REPOSITORY / "guests/linux"
CMDLINE = "console=ttyS0 reboot=k panic=-1 quiet"
# Emulated ring 0 boots in 15 to 30 seconds, more on a busy machine.
BOOT_LIMIT_S = 240


def variable(program):
    return "FMVM_" + program.upper().replace("-", "_")


def build(program, *arguments):
    """The path that a program of guests/linux prints; what it builds may lie ready (tests/hosts)."""
    if ready := os.environ.get(variable(program)):
        return pathlib.Path(ready)
    done = subprocess.run([GUEST / program, *arguments], stdout=subprocess.PIPE, text=True, check=True,
                          timeout=3000)
    return pathlib.Path(done.stdout.strip())


def stock_kernel():
    """The vmlinuz of Debian's current cloud kernel."""
    return next(build("fetch-kernel", "cloud-amd64").glob("boot/vmlinuz-*"))


def built():
    """An environment for where nothing can be built: all of this is ready."""
    programs = ("build-kernel",), ("build-initramfs",), ("fetch-kernel", "cloud-amd64")
    return {variable(program[0]): str(build(*program)) for program in programs}


@functools.cache
def kernel():
    return build("build-kernel") / "vmlinux"


@functools.cache
def initramfs():
    return build("build-initramfs")


def make_disk(path, mib=64):
    run(GUEST / "make-disk", path, mib)


def arguments(cmdline, disk, memory="256M"):
    return ["--kernel", kernel(), "--initrd", initramfs(), "--memory", memory,
            "--cmdline", f"{CMDLINE} {cmdline}", "--disk", f"path={disk}"]
