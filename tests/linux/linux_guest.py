# SPDX-License-Identifier: Apache-2.0
"""The Linux guest of guests/linux, built when it is not in the cache yet."""

import functools
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from fmvm_process import REPOSITORY, run  # noqa: E402

GUEST = REPOSITORY / "guests/linux"
CMDLINE = "console=ttyS0 reboot=k panic=-1 quiet"
# Emulated ring 0 boots in 15 to 30 seconds, more on a busy machine.
BOOT_LIMIT_S = 240


def build(program):
    done = subprocess.run([GUEST / program], stdout=subprocess.PIPE, text=True, check=True,
                          timeout=3000)
    return pathlib.Path(done.stdout.strip())


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
