# SPDX-License-Identifier: Apache-2.0
"""Two virtual hosts and a cable between them: one runs a guest, the other keeps it in step and takes
over. Each has a disk of its own, with a file system, where the guest's disk and fmvm's directory lie;
both see the directory of the arbiter and of the consoles.

Words: a host's fmvm runs the guest (the runner) or follows (the follower); what befalls them is done by
the test. settle() waits until one of them runs the guest, and makes the other one follow it.
"""

import dataclasses
import pathlib
import shutil
import signal
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from fmvm_process import OK, REPOSITORY, STOPPED, run, settings  # noqa: E402
from observer import join  # noqa: E402
from pair import DISK_BYTES, make_key  # noqa: E402
from watch import is_wrong  # noqa: E402
from host import Host  # noqa: E402
from qemu import Disk, Hardware, Nic  # noqa: E402

PORT = 7000
DATA_MIB = 256  # of a host, beside the guest's disk
PAIRED = {"a": "b", "b": "a"}
ADDRESSES = {"a": "10.0.0.1", "b": "10.0.0.2"}
GUEST_DISK = "/data/disk.img"
LOST_AFTER = "5s"  # an emulated host stands still for longer than a real one


class HostPair:
    """`hardware`: of each host by its name, for what is different from the usual. `disk`: the guest's, as
    host a has it at first; an empty one when None. `read_only`: directories that both hosts see."""

    def __init__(self, workload, hardware=None, options=(), disk=None, read_only=()):
        self.workload, self.options = workload, options
        self.disk, self.read_only = disk, read_only
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="fmvm-hosts-"))
        self.shared = self.directory / "shared"
        self.shared.mkdir()
        self.key = make_key(self.shared)
        self.hosts = {name: self._host(name, (hardware or {}).get(name, Hardware())) for name in PAIRED}
        self.runner = self.follower = None  # RemoteProcess
        self.at = None  # the name of the runner's host
        self.stream = workload.earlier  # what all former runners have shown, as one
        self._sides = []

    def _host(self, name, hardware):
        image = self.directory / f"{name}.img"
        disk_bytes = self.disk.stat().st_size if self.disk else DISK_BYTES
        run(REPOSITORY / "guests/linux/make-disk", image, DATA_MIB + (disk_bytes >> 20))
        begin = f"truncate -s {disk_bytes} {GUEST_DISK}"
        if self.disk and name == "a":
            begin = f"cp --sparse=always {self.disk} {GUEST_DISK}"
        nic = Nic("link", self.directory / f"{name}.socket", self.directory / f"{PAIRED[name]}.socket",
                  f"52:54:00:00:00:0{1 + (name == 'b')}")
        hardware = dataclasses.replace(hardware, nics=(nic,), disks=(Disk(image, mount="/data"),))
        return Host(name, hardware, shared=self.shared, read_only=self.read_only, setup=(
            f"ip addr add {ADDRESSES[name]}/24 dev eth0\nip link set eth0 up\n"
            f"[ -e {GUEST_DISK} ] || {begin}"))

    def __enter__(self):
        try:
            for host in self.hosts.values():
                host.boot()
        except BaseException:
            self.close(keep=True)
            raise
        return self

    def __exit__(self, kind, _error, _trace):
        self.close(keep=kind is not None)

    def close(self, keep=False):
        for host in self.hosts.values():
            host.close(keep)
        if keep:
            for side in self._sides:
                (self.shared / f"{side.name}.log").write_bytes(side.errors)
            print(f"consoles and logs of the guest's sides are kept in {self.shared}", file=sys.stderr)
        else:
            shutil.rmtree(self.directory, ignore_errors=True)

    # Sides of the guest.

    def start(self):
        """The guest, in step: run by host a, followed by host b."""
        self.start_sides()
        self._wait_in_step()

    def start_sides(self):
        self.at = "a"
        self.follower = self._start_follower("b")
        self.runner = self._start("a", "primary", "--backup", f"{ADDRESSES['b']}:{PORT}",
                                  *self.workload.start("32M"))

    def runner_host(self):
        return self.hosts[self.at]

    def follower_host(self):
        return self.hosts[PAIRED[self.at]]

    def switch_over(self):
        self.runner_host().run(settings.fmvm, "switchover", "--control",
                               self._control(self.runner.name))

    def _control(self, name):
        return f"/run/{name}.control"

    def settle(self, lost=True):
        """After an event: whoever goes on is the runner, and the other host follows it again. `lost`: one
        of the two must have lost sight of the other."""
        if lost:
            self.wait_decided()
        if self.runner.over() or alone(self.follower) or protected(self.follower):
            self._take_over()
        if not protected(self.runner):
            self._follow_again()

    def wait_decided(self):
        """One of the two runs the guest alone, or will do so."""
        self._wait(lambda: self.runner.over() or alone(self.runner) or alone(self.follower),
                   "neither side notices what befell the other")

    def _take_over(self):
        self.follower.wait_log("took over: the guest runs here")
        old, self.runner = self.runner, self.follower
        self.at = PAIRED[self.at]
        if not old.lost:
            old.finish()
        self.stream = self.joined(old).stream
        self.follower = old

    def _follow_again(self):
        """A follower that was lost for a moment only is a process still."""
        host = self.follower_host()
        if not host.is_up():
            host.boot()
        elif not self.follower.over():
            self.follower.signal(signal.SIGKILL)
            self.follower.finish()
        self.follower = self._start_follower(PAIRED[self.at])
        self._wait_in_step()

    def _wait_in_step(self):
        self.follower.wait_log("in step with", timeout=180)
        self._wait(lambda: protected(self.runner), "the guest is not protected")
        self.runner.wait_lines(10)

    def _start_follower(self, name):
        follower = self._start(name, "backup", "--listen", f"{ADDRESSES[name]}:{PORT}", "--backup",
                               f"{ADDRESSES[PAIRED[name]]}:{PORT}", "--dir", "/data/vm")
        follower.wait_log("listening on")
        return follower

    def _start(self, host, command, *arguments):
        name = f"{host}-{len(self._sides)}"
        console = self.shared / f"{name}.console"
        side = self.hosts[host].start(
            settings.fmvm, command, *arguments, "--arbiter", f"file:{self.shared}/arbiter",
            "--disk", f"path={GUEST_DISK}", "--console", f"file:{console}", "--control",
            self._control(name), "--tls", f"psk:{self.key}",
            "--lost-after", LOST_AFTER, "--verify", 5, "-v", *self.options,
            name=name, console_file=console)
        self._sides.append(side)
        return side

    def _wait(self, condition, what, timeout=60):
        self.runner.link.wait(condition, timeout, lambda: f"{what}\n{self.description()}")

    # What is true in the end.

    def end(self):
        """The guest is stopped; everything that it showed is on both disks, which are equal."""
        status = self.runner.stop(), self.follower.finish()
        if status != (STOPPED, OK):
            raise AssertionError(f"the sides end with {status}\n{self.description()}")
        stream = self.shared / "stream"
        stream.write_bytes(self.joined(self.runner).stream)
        disks = set()
        for host in self.hosts.values():
            if self.workload.check_disk:
                host.run(self.workload.check_disk, GUEST_DISK, stream)
            disks.add(host.run("sha256sum", GUEST_DISK, timeout=180))
        if len(disks) != 1:
            raise AssertionError(f"the disks of the hosts differ\n{self.description()}")
        self.check_logs()

    def joined(self, runner=None):
        """What `runner` shows goes on with the stream."""
        return join(self.stream, (runner or self.runner).console, self.workload.judge)

    def logs(self):
        return "\n".join(side.log() for side in self._sides)

    def check_logs(self):
        for side in self._sides:
            for line in side.log().splitlines():
                if is_wrong(line):
                    raise AssertionError(f"{side.name}: {line}\n{self.description()}")

    def description(self):
        return "\n".join(side.description() for side in self._sides[-4:])


# What the log of a side that runs the guest said last.
def says_last(side, *words):
    log = side.log()
    last = max(("took over: the guest runs here", "running unprotected", "protected by"), key=log.rfind)
    return last in log and last in words


def alone(side):
    return says_last(side, "took over: the guest runs here", "running unprotected")


def protected(side):
    return says_last(side, "protected by")
