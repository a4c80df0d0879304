# SPDX-License-Identifier: Apache-2.0
"""Debians that are at their work already: booted once, in a host of their own, and kept in the cache, so
that a test begins where its load is. A cached one is good for the same fmvm, image and scripts, and for
the same processor: its guest knows that one's features and the rate of its TSC."""

import concurrent.futures
import contextlib
import fcntl
import hashlib
import os
import pathlib
import re
import shutil
import sys
import tempfile

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / "support"), str(TESTS / "linux"), str(TESTS / "debian")]
from fmvm_process import settings  # noqa: E402
from host import Host, boot_files  # noqa: E402
from qemu import Disk, Hardware  # noqa: E402
import debian_guest  # noqa: E402
import linux_guest  # noqa: E402

BOOT_LIMIT_S = 900  # of the guest, with all that it prepares
SCRATCH_MIB = 4096
CACHE = boot_files().parent
# Each copy has the size of a disk: of each kind only the newest few are kept.
KEPT = 2


def processor():
    text = pathlib.Path("/proc/cpuinfo").read_text()
    return re.search(r"^model name.*$", text, re.M).group()


def key(work, cpus):
    content = hashlib.sha256(settings.fmvm.read_bytes())
    for part in (debian_guest.image().name, boot_files().name, work.prepare, work.work, str(cpus), processor()):
        content.update(part.encode() + b"\0")
    return content.hexdigest()[:16]


@contextlib.contextmanager
def locked(name):
    with open(CACHE / f"{name}.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def booted(work, cpus=1):
    """The directory of a Debian at this work: saved, disk.img and console, see boot_at_work()."""
    kind = f"debian-booted-{work.name}-{cpus}"
    ready = CACHE / f"{kind}-{key(work, cpus)}"
    with locked(kind):
        if not ready.exists():
            print(f"booting a Debian for {work.name} on {cpus} CPUs", file=sys.stderr, flush=True)
            boot_into(ready, work, cpus)
        os.utime(ready)
        kept = sorted(CACHE.glob(f"{kind}-*"), key=lambda path: path.stat().st_mtime)
        for old in [path for path in kept if path.is_dir()][:-KEPT]:
            shutil.rmtree(old)
    return ready


def boot_into(ready, work, cpus):
    with tempfile.TemporaryDirectory(prefix="fmvm-booted-") as directory:
        directory = pathlib.Path(directory)
        scratch = directory / "scratch.img"
        linux_guest.make_disk(scratch, SCRATCH_MIB)
        hardware = Hardware(disks=(Disk(scratch, mount="/data", cache="unsafe"),))
        with Host("maker", hardware, shared=directory / "shared", read_only=(CACHE,)) as host:
            host.run("python3", debian_guest.__file__, settings.fmvm, "boot", work.name, "/data", cpus,
                     environment=debian_guest.built(), timeout=BOOT_LIMIT_S)
            host.run("sh", "-ec", "rm -f /data/control; cp -r --sparse=always /data/disk.img /data/saved "
                     f"/data/console {host.shared}", timeout=300)
        shutil.copytree(directory / "shared", CACHE / f"{ready.name}.new", dirs_exist_ok=True,
                        copy_function=debian_guest.copy_disk)
        os.rename(CACHE / f"{ready.name}.new", ready)


def environment(wanted):
    """For where tests of debian/test_servers.py run, so that they find these (work, CPUs)."""
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as threads:
        directories = threads.map(lambda run: booted(*run), wanted)
        return {debian_guest.booted_variable(*run): str(directory) for run, directory in zip(wanted, directories)}
