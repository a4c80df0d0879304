# SPDX-License-Identifier: Apache-2.0
"""The Linux guest of guests/linux, built when it is not in the cache yet."""

import functools
import os
import pathlib
import re
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from fmvm_process import REPOSITORY, run  # noqa: E402

GUEST = REPOSITORY / "guests/linux"
CMDLINE = "console=ttyS0 reboot=k panic=-1 quiet"
# Emulated ring 0 boots in 15 to 30 seconds, more on a busy machine.
BOOT_LIMIT_S = 240


PROGRAMS = (("build-kernel",), ("build-initramfs",), ("build-initramfs", "--variant", "redis"),
            ("fetch-kernel", "cloud-amd64"))


def variable(*program):
    return "FMVM_" + re.sub(r"\W+", "_", " ".join(program)).upper()


def build(program, *arguments):
    """The path that a program of guests/linux prints; what it builds may lie ready (tests/hosts)."""
    if ready := os.environ.get(variable(program, *arguments)):
        return pathlib.Path(ready)
    done = subprocess.run([GUEST / program, *arguments], stdout=subprocess.PIPE, text=True, check=True,
                          timeout=3000)
    return pathlib.Path(done.stdout.strip())


def stock_kernel():
    """The vmlinuz of Debian's current cloud kernel."""
    return next(build("fetch-kernel", "cloud-amd64").glob("boot/vmlinuz-*"))


def built():
    """An environment for where nothing can be built: all of this is ready."""
    return {variable(*program): str(build(*program)) for program in PROGRAMS}


@functools.cache
def kernel():
    return build("build-kernel") / "vmlinux"


@functools.cache
def initramfs(work=""):
    """Of the workloads that need more than most."""
    return build("build-initramfs", *(("--variant", "redis") if work == "redis" else ()))


def make_disk(path, mib=64):
    run(GUEST / "make-disk", path, mib)


def boot(cmdline, memory="256M", work=""):
    """Options that start it, apart from its disk. `work`: for its initramfs, if it has one of its own."""
    return ["--kernel", kernel(), "--initrd", initramfs(work), "--memory", memory, "--cmdline", f"{CMDLINE} {cmdline}"]


def arguments(cmdline, disk, memory="256M", work=""):
    return [*boot(cmdline, memory, work), "--disk", f"path={disk}"]
