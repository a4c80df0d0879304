# SPDX-License-Identifier: Apache-2.0
"""The QEMU process of one virtual host: its command line, its life, and QMP.

Software emulation, SVM included, so that it runs on every machine. QEMU dies with the thread that
started it.
"""

import contextlib
import ctypes
import dataclasses
import functools
import json
import mmap
import pathlib
import re
import signal
import socket
import subprocess
import time

PR_SET_PDEATHSIG = 1
LOCKUP_S = 40  # CPUs of a host that get nowhere for so long end it
STILL_S = 30  # a kernel that lives has a timer more often
libc = ctypes.CDLL(None, use_errno=True)


@dataclasses.dataclass(frozen=True)
class Disk:
    """A raw image. `mount`: where the host mounts it; it is an ext4 file system then."""
    path: pathlib.Path
    mount: str | None = None
    cache: str = "writeback"  # of QEMU: none, writethrough, unsafe, ...


@dataclasses.dataclass(frozen=True)
class Nic:
    """One end of a cable: packets go from the Unix socket `here` to `there`."""
    name: str
    here: pathlib.Path
    there: pathlib.Path
    mac: str

    def options(self):
        return ("-netdev", f"dgram,id={self.name},local.type=unix,local.path={self.here},"
                           f"remote.type=unix,remote.path={self.there}",
                "-device", f"virtio-net-pci,netdev={self.name},id={self.name}-card,mac={self.mac},romfile=")


@dataclasses.dataclass(frozen=True)
class Hardware:
    """What a host is made of. `tsc`: what its kernel takes its TSC for, "unstable" or "reliable". One CPU
    unless more are asked for: QEMU's emulation of several is where it goes wrong (testing.md)."""
    cpu: str = "max,+svm"
    cpus: int = 1
    memory: str = "3G"
    tsc: str = "unstable"
    cmdline: str = ""
    disks: tuple = ()
    nics: tuple = ()


@functools.cache
def tsc_khz():
    """The frequency of this machine's TSC, which is an emulated one's, too. A kernel that measures it
    in a busy emulation is wrong by more than what KVM bears between two hosts: it is told instead."""
    code = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(bytes.fromhex("0f31 48c1e220 4809d0 c3"))  # rdtsc; shl rdx, 32; or rax, rdx; ret
    address = ctypes.addressof(ctypes.c_char.from_buffer(code))
    rdtsc = ctypes.CFUNCTYPE(ctypes.c_uint64)(address)

    def moment():
        """TSC and nanoseconds, read close together."""
        tries = []
        for _ in range(100):
            before, tsc, after = time.monotonic_ns(), rdtsc(), time.monotonic_ns()
            tries.append((after - before, tsc, before))
        return min(tries)[1:]

    first_tsc, first_ns = moment()
    time.sleep(0.3)
    last_tsc, last_ns = moment()
    return round((last_tsc - first_tsc) * 1e6 / (last_ns - first_ns))


def clock_options(tsc):
    """Without HPET and PM timer nothing is left to measure a reliable TSC with once more."""
    more = {"unstable": "tsc=unstable clocksource=hpet", "reliable": "tsc=reliable hpet=disable pmtmr=0"}
    return f"tsc_early_khz={tsc_khz()} {more[tsc]}"


def die_with_parent():
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def command_line(name, hardware, files, shares, console, agent, monitor):
    """`shares`: (tag, directory, is it only read?); `agent`, `monitor`: descriptors of sockets."""
    command = [
        "qemu-system-x86_64", "-name", name, "-accel", "tcg,thread=multi", "-cpu", hardware.cpu,
        "-smp", str(hardware.cpus), "-m", hardware.memory, "-nodefaults", "-no-user-config",
        "-display", "none", "-no-reboot", "-serial", f"file:{console}",
        "-chardev", f"socket,id=monitor,fd={monitor}", "-mon", "chardev=monitor,mode=control",
        "-device", "virtio-serial-pci", "-chardev", f"socket,id=agent,fd={agent}",
        "-device", "virtserialport,chardev=agent,name=fmvm.agent", "-device", "virtio-rng-pci",
        "-drive", f"if=none,id=root,file={files}/root.squashfs,format=raw,read-only=on,file.locking=off",
        "-device", "virtio-blk-pci,drive=root"]
    for number, disk in enumerate(hardware.disks):
        command += ["-drive", f"if=none,id=disk{number},file={disk.path},format=raw,cache={disk.cache}",
                    "-device", f"virtio-blk-pci,drive=disk{number}"]
    for tag, directory, only_read in shares:
        command += ["-virtfs", f"local,path={directory},mount_tag={tag},security_model=none,multidevs=remap"
                               f"{',readonly=on' if only_read else ''}"]
    for nic in hardware.nics:
        command += nic.options()
    checkout, *others = shares
    # A busy machine is late with the ticks by which a kernel would find its timer broken, and panic.
    cmdline = (f"console=ttyS0 quiet mitigations=off no_timer_check {clock_options(hardware.tsc)} "
               f"panic=-1 softlockup_panic=1 watchdog_thresh={LOCKUP_S // 2} "
               f"fmvm.checkout={checkout[1]} "
               f"fmvm.shares={','.join(f'{tag}:{path}' for tag, path, _ in others)} {hardware.cmdline}")
    return command + ["-kernel", f"{files}/vmlinuz", "-initrd", f"{files}/initramfs.cpio",
                      "-append", cmdline]


class Qemu:
    """`agent`: our end of the channel to the agent."""

    def __init__(self, name, hardware, files, shares, console, log):
        self.console = console
        self.agent, agent = socket.socketpair()
        self._monitor, monitor = socket.socketpair()
        command = command_line(name, hardware, files, shares, console, agent.fileno(), monitor.fileno())
        with open(log, "ab") as errors:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors,
                pass_fds=(agent.fileno(), monitor.fileno()), preexec_fn=die_with_parent)
        agent.close()
        monitor.close()
        self._monitor.settimeout(60)
        self._replies = self._monitor.makefile("rb")
        self.stood_still = False
        self._switches, self._ran_at = None, 0
        self.qmp("qmp_capabilities")

    def qmp(self, command, **arguments):
        """One command; its result."""
        self._monitor.sendall(json.dumps({"execute": command, "arguments": arguments}).encode())
        while line := self._replies.readline():
            reply = json.loads(line)  # or an event, or the greeting
            if "return" in reply:
                return reply["return"]
            if "error" in reply:
                raise AssertionError(f"QEMU refuses {command}: {reply['error']['desc']}")
        raise AssertionError(f"QEMU ended before it did {command}")

    def stands_still(self):
        """Whether nothing has run in it for a while, as of the calls before. All of its CPUs sleep then, and
        no timer is set that would wake one."""
        switches = self._context_switches()
        if switches != self._switches:
            self._switches, self._ran_at = switches, time.monotonic()
        self.stood_still = self.process.poll() is None and time.monotonic() - self._ran_at > STILL_S
        return self.stood_still

    def _context_switches(self):
        """Of all its threads: more often than not a CPU that wakes up takes too little time to be counted."""
        total = 0
        for status in pathlib.Path(f"/proc/{self.process.pid}/task").glob("*/status"):
            with contextlib.suppress(OSError):  # a thread that has just ended
                total += sum(map(int, re.findall(r"ctxt_switches:\s+(\d+)", status.read_text())))
        return total

    def kill(self):
        """As if its power failed."""
        self.process.kill()
        self.process.wait()

    def close(self):
        self.kill()
        self._replies.close()
        self._monitor.close()
        self.agent.close()
