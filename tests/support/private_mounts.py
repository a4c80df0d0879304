# SPDX-License-Identifier: Apache-2.0
"""Mounts that only this process and its children see, and that end with them; without root too,
where user namespaces are allowed."""

import ctypes
import os

CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000
MS_REC, MS_PRIVATE = 0x4000, 0x40000
libc = ctypes.CDLL(None, use_errno=True)


def checked(result, what):
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def begin():
    """Once, while the process has one thread."""
    uid, gid = os.getuid(), os.getgid()
    checked(libc.unshare(CLONE_NEWNS | (CLONE_NEWUSER if uid else 0)), "unshare")
    if uid:
        for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)
    checked(libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None), "mount --make-rprivate /")


def mount(source, directory, kind, options):
    checked(libc.mount(source.encode(), os.fsencode(directory), kind.encode(), 0, options.encode()),
            f"mount -t {kind} -o {options} {directory}")


def unmount(directory):
    detach = 2
    checked(libc.umount2(os.fsencode(directory), detach), f"umount {directory}")
