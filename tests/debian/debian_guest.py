# SPDX-License-Identifier: Apache-2.0
"""The guest of guests/debian: an unmodified Debian, driven through its serial console. It needs a
hardware-virtualised KVM. As a program, for a test outside a virtual host:

debian_guest.py FMVM boot WORK DIRECTORY CPUS    boot_at_work() of works.py's WORK
debian_guest.py FMVM found WORK DISK             prints found_on()
"""

import base64
import functools
import os
import pathlib
import re
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from fmvm_process import OK, REPOSITORY, STOPPED, Vm, run, settings  # noqa: E402

VARIABLE = "FMVM_DEBIAN_IMAGE"
CMDLINE = "console=ttyS0 root=/dev/vda quiet systemd.show_status=0 panic=-1"
PROMPT = "root@"
BOOT_LIMIT_S = 400  # in an emulated host, beside others
MEMORY = "400M"


@functools.cache
def image():
    """The directory of root.img, vmlinuz and initrd; built when it is not in the cache yet."""
    if ready := os.environ.get(VARIABLE):
        return pathlib.Path(ready)
    done = subprocess.run([REPOSITORY / "guests/debian/build-image"], stdout=subprocess.PIPE, text=True,
                          check=True, timeout=3000)
    return pathlib.Path(done.stdout.strip())


def built():
    """An environment for where nothing can be built."""
    return {VARIABLE: str(image())}


def copy_disk(source, target):
    run("cp", "--sparse=always", source, target)
    return target


class Debian(Vm):
    """`fmvm run` of it, to whose shell one can type."""

    def __init__(self, disk, *arguments, cpus=1):
        super().__init__(["--kernel", image() / "vmlinuz", "--initrd", image() / "initrd", "--memory", MEMORY,
                          "--cpus", cpus, "--disk", f"path={disk}", "--cmdline", CMDLINE, *arguments],
                         stdin=subprocess.PIPE)
        self.wait_for(PROMPT, timeout=BOOT_LIMIT_S)

    def type(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def put(self, path, script):
        """A script in the guest. The console takes no longer lines than 4 KiB (n_tty)."""
        text = base64.b64encode(script.encode()).decode()
        assert len(text) < 4000, f"{path} is too long to be typed"
        self.type(f"echo {text} | base64 -d >{path}")

    def call(self, script, timeout=BOOT_LIMIT_S):
        """Runs a script in the guest; what it showed."""
        self.put("/run/script", script)
        start = len(self.console)
        self.type("bash /run/script 2>&1; echo do''ne")
        self._wait(lambda: b"\ndone" in self.console[start:], "the end of a script", timeout)
        return bytes(self.console[start:]).decode(errors="replace").replace("\r", "")

    def power_off(self):
        self.type("poweroff")
        status = self.finish(BOOT_LIMIT_S)
        if status != OK:
            raise AssertionError(f"status {status} at power off\n{self.description()}")


def booted_variable(work, cpus):
    """Names the directory of a guest that boot_at_work() has booted before (tests/hosts/booted_debian)."""
    return f"FMVM_DEBIAN_AT_{work.name.upper()}_{cpus}"


def at_work(work, disk, scratch, cpus=1):
    """A guest at its work, with this as its disk: the directory of its snapshot (saved) and of what its
    console has shown (console). Booted before, or in `scratch`."""
    ready = os.environ.get(booted_variable(work, cpus))
    if not ready:
        boot_at_work(work, scratch, cpus)
    directory = pathlib.Path(ready or scratch)
    copy_disk(directory / "disk.img", disk)
    return directory


def boot_at_work(work, directory, cpus=1):
    """Boots once; leaves in the directory a snapshot (saved) of the guest at its work, its disk as it is
    then (disk.img), and what its console has shown (console)."""
    disk, control = directory / "disk.img", directory / "control"
    copy_disk(image() / "root.img", disk)
    guest = Debian(disk, "--control", control, cpus=cpus)
    try:
        guest.call(work.prepare)
        guest.put("/run/work", work.work)
        guest.type("setsid bash /run/work </dev/null &")
        guest.wait_for(f"\n{work.word} 3", timeout=BOOT_LIMIT_S)
        run(settings.fmvm, "snapshot", "--control", control, "--to", directory / "saved", "--stop")
        if guest.finish() != STOPPED:
            raise AssertionError(guest.description())
    finally:
        guest.kill()
    # Of what came before only the numbered lines mean something.
    lines = re.findall(rb"%s \d+%s\r\n" % (work.word.encode(), work.rest.encode()), bytes(guest.console))
    tail = bytes(guest.console).rpartition(b"\n")[2]
    (directory / "console").write_bytes(b"".join(lines) + tail)


def found_on(disk, work):
    """Boots the disk as a crash left it: the number of the last piece of work on it."""
    guest = Debian(disk, "--force-stale")
    try:
        shown = guest.call(work.check)
        if "FAILED" in shown:
            raise AssertionError(f"the disk's guest finds an error\n{shown}")
        found = re.findall(r"^found (\d+)$", shown, re.M)
        if len(found) != 1:
            raise AssertionError(f"something is missing on the disk\n{shown}")
        guest.power_off()
        return int(found[0])
    finally:
        guest.kill()


def last_shown(stream, work):
    return int(re.findall(rb"^%s (\d+)%s\r?\n" % (work.word.encode(), work.rest.encode()), stream,
                          re.M)[-1])


if __name__ == "__main__":
    from works import WORKS
    fmvm, verb, name, path, *cpus = sys.argv[1:]
    settings.fmvm = pathlib.Path(fmvm)
    if verb == "boot":
        boot_at_work(WORKS[name], pathlib.Path(path), int(cpus[0]))
    else:
        print(found_on(path, WORKS[name]))
