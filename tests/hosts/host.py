# SPDX-License-Identifier: Apache-2.0
"""A virtual host: a machine of QEMU's with a small Debian, /dev/kvm by (emulated) AMD SVM, and this
checkout under its own path. Commands run in it; its power fails, its cables are pulled, it reboots.

    with Host("a") as host:
        host.run(settings.fmvm, "check")

Everything in a host but its disks and its shared directories is new after a boot.
"""

import functools
import os
import pathlib
import shlex
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from fmvm_process import REPOSITORY  # noqa: E402
from agent_link import AgentLink, LostHost  # noqa: E402
from qemu import Hardware, Qemu  # noqa: E402

BOOT_LIMIT_S = 180
# An emulated CPU is slow, and slower beside others: all limits are so many times as long.
TIME_FACTOR = float(os.environ.get("FMVM_HOST_TIME_FACTOR", "3"))


hosts_that_locked_up = []


def once_more_after_a_lock_up(test):
    """Decorates a test: the emulation's hang says nothing about fmvm (docs/testing.md)."""
    @functools.wraps(test)
    def repeated(*arguments):
        before = len(hosts_that_locked_up)
        try:
            test(*arguments)
        except AssertionError:
            if len(hosts_that_locked_up) == before:
                raise
            print(f"{hosts_that_locked_up[-1]} locked up; {test.__name__} begins anew", file=sys.stderr)
            test(*arguments)
    return repeated


@functools.cache
def boot_files():
    """Builds what a host boots, when it is not in the cache yet: the directory."""
    done = subprocess.run([REPOSITORY / "tests/hosts/build-host"], stdout=subprocess.PIPE, text=True,
                          check=True, timeout=1800)
    return pathlib.Path(done.stdout.strip())


class Host:
    """`shared`: a directory that this host writes to, too, under the same path (of its own when None).
    `kvm`: parameters of the module kvm_amd. `setup`: shell commands after each boot."""

    def __init__(self, name, hardware=Hardware(), shared=None, kvm="", setup="", read_only=()):
        self.name = name
        self.hardware = hardware
        self.kvm, self.setup = kvm, setup
        self._directory = pathlib.Path(tempfile.mkdtemp(prefix=f"fmvm-host-{name}-"))
        self.shared = shared or self._directory / "shared"
        self.shared.mkdir(exist_ok=True)
        self.shares = [("checkout", REPOSITORY, True), ("shared", self.shared, False)]
        self.shares += [(f"share{number}", path, True) for number, path in enumerate(read_only)]
        self.console = self._directory / "console"  # of its kernel, all boots
        self._console_before = 0  # what it held when the host was started
        self._qemu = self._link = None
        self._stood_still = False  # when it ended

    def __enter__(self):
        try:
            self.boot()
        except BaseException:
            self.close(keep=True)
            raise
        return self

    def __exit__(self, kind, _error, _trace):
        self.close(keep=kind is not None)

    def boot(self):
        """Starts it, and waits until it takes commands. Once more when it locks up."""
        try:
            self._boot()
        except LostHost:
            if not self.locked_up():
                raise
            print(f"{self.name} locked up while it booted; it boots again", file=sys.stderr)
            self.kill()
            self._boot()

    def locked_up(self):
        """Its own kernel hung, as QEMU's emulation lets it now and then (testing.md)."""
        if self._stood_still or self._qemu is not None and self._qemu.stood_still:
            return True
        console = self.console.read_text(errors="replace") if self.console.exists() else ""
        return "soft lockup" in console[self._console_before:]

    def _boot(self):
        self._console_before = len(self.console.read_text(errors="replace")) if self.console.exists() else 0
        self._qemu = Qemu(self.name, self.hardware, boot_files(), self.shares, self.console,
                          self._directory / "qemu.log")
        self._stood_still = False
        self._link = AgentLink(self._qemu.agent, self.name, TIME_FACTOR, self._qemu.stands_still)
        self._link.wait(lambda: self._link.ready or self._link.closed, BOOT_LIMIT_S,
                        lambda: f"{self.name} boots\n{self.description()}")
        if not self._link.ready:
            raise LostHost(f"{self.name} ended while it booted\n{self.description()}")
        mounts = [f"mkdir -p {disk.mount} && mount /dev/vd{chr(ord('b') + number)} {disk.mount}"
                  for number, disk in enumerate(self.hardware.disks) if disk.mount]
        self.run("sh", "-exc", "\n".join([f"echo {self.name} >/proc/sys/kernel/hostname", *mounts,
                                          f"modprobe kvm_amd {self.kvm}", self.setup]))
        keeper = self.start("python3", REPOSITORY / "tests/hosts/keep_kvm.py", name=f"{self.name}: keep_kvm")
        keeper.wait(lambda: b"kept" in keeper.output, "it keeps no machine")

    def start(self, *argv, environment=None, directory="/", stdin=b"", name=None, console_file=None):
        """Starts a program; a RemoteProcess."""
        return self._link.start(argv, environment or {}, directory, stdin,
                                name or f"{self.name}: {shlex.join(map(str, argv))[:60]}", console_file)

    def run(self, *argv, timeout=60, expected=0, **options):
        """A program that must end with this status; what it wrote to its standard output."""
        process = self.start(*argv, **options)
        status = process.finish(timeout)
        if status != expected:
            raise AssertionError(f"{process.name}: status {status}, not {expected}\n"
                                 f"{process.description()}")
        return process.console.decode(errors="replace")

    def put(self, path, data):
        self.run("sh", "-c", 'cat >"$1"', "sh", path, stdin=data)

    def get(self, path):
        process = self.start("cat", path)
        if process.finish() != 0:
            raise AssertionError(process.description())
        return bytes(process.console)

    def kill(self):
        """Its power fails."""
        self._qemu.kill()
        self._ended()

    def cut_off(self):
        """Its power fails under whoever uses it on another thread, and finds it lost."""
        if (qemu := self._qemu) is not None:
            qemu.kill()

    def stop(self, timeout=60):
        """An orderly shutdown."""
        self._end("poweroff", timeout)

    def reboot(self, timeout=60):
        """An orderly shutdown, and a boot."""
        self._end("reboot", timeout)
        self.boot()

    def set_link(self, nic, up):
        """Plugs a cable in, or pulls it."""
        self._qemu.qmp("set_link", name=nic, up=up)

    def is_up(self):
        return self._link is not None and not self._link.closed

    def close(self, keep=False):
        """Ends it at once. `keep`: something failed, and its console may tell why."""
        if self.locked_up():
            hosts_that_locked_up.append(self.name)
        if self._qemu is not None:
            self.kill()
        if keep:
            print(f"{self.name}: console and QEMU's log are kept in {self._directory}", file=sys.stderr)
        else:
            shutil.rmtree(self._directory, ignore_errors=True)

    def description(self):
        console = self.console.read_text(errors="replace") if self.console.exists() else ""
        log = (self._directory / "qemu.log").read_text(errors="replace")
        return f"--- console of {self.name} ends:\n{console[-3000:]}\n--- QEMU's log:\n{log[-1000:]}"

    def _end(self, how, timeout):
        self._link.send({"do": "end", "how": how})
        self._link.wait(lambda: self._link.closed, timeout,
                        lambda: f"{self.name}: {how}\n{self.description()}")
        self._ended()

    def _ended(self):
        self._link.join()
        self._qemu.close()
        self._stood_still = self._qemu.stood_still
        self._qemu = None
