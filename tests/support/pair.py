# SPDX-License-Identifier: Apache-2.0
"""A primary and its backups as real processes, watched by one reader."""

import dataclasses
import os
import pathlib
import random
import signal
import socket
import tempfile
import time
import typing

import observer
from fmvm_process import REPOSITORY, STOPPED, TIME_FACTOR, USAGE, VmTestCase, guest, run, run_fmvm
from watch import Side, Watch, is_wrong


DISK_BYTES = 16 << 20
# FMVM_TLS=1: every pair that does not say otherwise is under TLS.
UNDER_TLS = os.environ.get("FMVM_TLS") == "1"


@dataclasses.dataclass(frozen=True)
class Workload:
    """A bare guest. `check_disk` holds the disk to what the console showed: PROGRAM IMAGE LOG."""
    name: str
    guest: str
    cmdline: str
    judge: typing.Callable
    options: tuple = ()
    check_disk: typing.Optional[pathlib.Path] = None
    earlier = b""

    def start(self, memory):
        """The options of a primary that starts it."""
        return ("--kernel", guest(self.guest), "--cmdline", self.cmdline, "--memory", memory,
                *self.options)


@dataclasses.dataclass(frozen=True)
class Restored:
    """A guest that a snapshot holds; `earlier` is what its console had shown before."""
    name: str
    snapshot: pathlib.Path
    earlier: bytes
    judge: typing.Callable
    check_disk: typing.Optional[pathlib.Path] = None

    def start(self, _memory):
        return ("--restore", self.snapshot)


COUNTER = Workload("counter", "counter", "rate=200", observer.judge_counter)
COUNTER_IRQ = Workload("counter-irq", "counter", "rate=200 tx=irq", observer.judge_counter)
DIRTY_4 = Workload("dirty-4", "dirty", "mib=4 report_ms=30", observer.judge_dirty)
DIRTY_1 = Workload("dirty-1", "dirty", "mib=1 bytes=64 report_ms=30", observer.judge_dirty)
SMP = Workload("smp", "smp", "cpus=2 rounds=0 report_ms=30", observer.judge_smp, ("--cpus", 2))
JOURNAL = Workload("journal", "journal", "rate=200", observer.judge_journal,
                   check_disk=REPOSITORY / "guests/bare/check-journal")
VECTOR_SSE = Workload("vector-sse", "vector", "avx=0", observer.judge_vector)
VECTOR = Workload("vector", "vector", "", observer.judge_vector)
WORKLOADS = (COUNTER, DIRTY_4, SMP, DIRTY_1, COUNTER_IRQ)


def make_image(path, size=DISK_BYTES):
    """An image full of zeroes."""
    path.touch()
    os.truncate(path, size)
    return path


def make_key(directory):
    """A key that two sides share."""
    key = directory / "vm.key"
    run_fmvm("key", "create", key).check_returncode()
    return key


def free_port():
    """A port that no outgoing connection of anybody is given."""
    while True:
        port = random.randrange(10000, 30000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


class Pair:
    """Starts the sides of one guest. `through`: the port that the primary connects to, when a
    proxy stands between. `disk`: an image, which both sides share (block="shared"), or the first
    primary's own, when every other side has an empty one at first. `images`: other images for sides
    of these names, whose labels are not beside them. `more`: options for every primary. `tls`: the sides
    know each other by a key."""

    def __init__(self, workload, verify=5, memory="32M", lost_after="2s", through=None, disk=None,
                 images=None, more=(), block="shared", tls=UNDER_TLS):
        self.workload = workload
        self.disk = disk
        self.images = images or {}
        self.block = block
        self.watch = Watch()
        self.port = free_port()
        self.ports = {"backup": self.port, "primary": free_port()}  # of hosts that take turns
        self.through = through or self.port
        self._temporary = tempfile.TemporaryDirectory(prefix="fmvm-kill-")
        self.directory = pathlib.Path(self._temporary.name)
        self.verify = ("--verify", verify)
        self.memory, self.lost_after = memory, lost_after
        self.more = more
        self.tls = ("--tls", f"psk:{make_key(self.directory)}") if tls else ()
        self.may_be_unequal = False

    def disk_of(self, name):
        """The image of the side with this name."""
        if name in self.images:
            return self.images[name]
        if self.block == "shared" or name == "primary":
            return self.disk
        own = self.directory / f"{name}.img"
        return own if own.exists() else make_image(own, self.disk.stat().st_size)

    def disk_options(self, name):
        if not self.disk:
            return ()
        label = f",label={self.directory}/{name}.fmvm" if name in self.images else ""
        return ("--disk", f"path={self.disk_of(name)}{label}", "--block", self.block)

    def start_backup(self, *options, name="backup", crash_at=None, claims=None, port=None,
                     environment=None):
        """`claims`: another path to the directory of the arbiter's claims."""
        backup = self._start(
            name, "backup", "--listen", f"127.0.0.1:{port or self.port}", "--dir",
            self.directory / name, *self.disk_options(name), *options, crash_at=crash_at, claims=claims,
            environment=environment)
        backup.wait_log("listening on")
        return backup

    def start_host(self, name, other, *options):
        """One of two that take turns: it follows, and after a takeover looks for the other as its backup.
        A host keeps the name of its first role, and with it image and directory."""
        return self.start_backup("--backup", f"127.0.0.1:{self.ports[other]}", *self.verify, "--lost-after",
                                 self.lost_after, *options, name=name, port=self.ports[name])

    def start_primary(self, *options, name="primary", crash_at=None, claims=None, environment=None):
        return self._start(
            name, "primary", "--backup", f"127.0.0.1:{self.through}",
            *self.workload.start(self.memory), *self.disk_options(name), *self.verify, "--lost-after",
            self.lost_after, "--trace", self.directory / f"{name}.trace", *self.more, *options,
            crash_at=crash_at, claims=claims, environment=environment)

    def start(self, *options):
        """Both, in step: (primary, backup)."""
        backup = self.start_backup()
        primary = self.start_primary(*options)
        primary.wait_log("protected by")
        return primary, backup

    def _start(self, name, command, *arguments, crash_at=None, environment=None, claims=None):
        crash = {"FMVM_CRASH_AT": crash_at} if crash_at else {}
        return Side(self.watch, name,
                    [command, "--arbiter", f"file:{claims or self.directory}/arbiter", "-v", *self.tls,
                     *arguments],
                    {**crash, **(environment or {})})

    def joined(self, first, second):
        return observer.join(self.workload.earlier + first.console, second.console,
                             self.workload.judge)

    def wait_fresh(self, first, second, lines=5, timeout=60):
        """Waits until `second` has shown lines that `first` had not; both as one stream."""
        deadline = time.monotonic() + timeout * TIME_FACTOR
        while True:
            joined = self.joined(first, second)
            if joined.fresh_lines(second.console) >= lines:
                return joined
            if time.monotonic() > deadline or second.ended():
                raise AssertionError(f"{second.name} does not go on\n{self.description()}")
            time.sleep(0.05)

    def verdict(self, first, second):
        """After the end: both consoles as one stream, which the survivor's disk bears out."""
        joined = self.joined(first, second)
        self.check()
        self.check_disk(joined.stream, second if second.console else first)
        return joined

    def check_disk(self, stream, survivor):
        """What was shown is on the survivor's disk; nobody runs the guest any more."""
        if not self.disk:
            return
        log = self.directory / "console.log"
        log.write_bytes(stream)
        try:
            run(self.workload.check_disk, self.disk_of(survivor.name), log)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.description()}") from None

    def check(self):
        """What holds whatever happened; with may_be_unequal, after a test made the two differ."""
        if self.watch.violations:
            raise AssertionError("\n".join(self.watch.violations) + self.description())
        for side in self.watch.sides:
            for line in side.log().splitlines():
                if is_wrong(line, self.may_be_unequal):
                    raise AssertionError(f"{side.name}: {line}\n{self.description()}")

    def description(self):
        return "\n".join(side.description() for side in self.watch.sides)

    def close(self):
        for side in self.watch.sides:
            if side.process.poll() is None:
                side.process.kill()
            side.process.wait()
        self.watch.close()
        self._temporary.cleanup()


class PairTestCase(VmTestCase):
    def pair(self, *arguments, **options):
        pair = Pair(*arguments, **options)
        self.addCleanup(pair.close)
        return pair

    def new_disk(self):
        directory = tempfile.TemporaryDirectory(prefix="fmvm-disk-")
        self.addCleanup(directory.cleanup)
        return make_image(pathlib.Path(directory.name) / "disk.img")

    def assert_took_over(self, pair, primary, backup):
        """The backup goes on with the guest, and nothing is missing; the joined stream."""
        backup.wait_log("took over: the guest runs here")
        # Each time that the primary went on alone was a generation of its own.
        generation = 2 + primary.log().count("running unprotected")
        self.assertIn(f"runs here generation={generation}", backup.log(), pair.description())
        return pair.wait_fresh(primary, backup)

    def assert_goes_on_alone(self, pair, primary, backup, count=1):
        """The primary runs, unprotected, and the backup shows nothing."""
        primary.wait_log("running unprotected", count)
        primary.wait_lines(5)
        self.assertEqual(bytes(backup.console), b"", pair.description())
        pair.workload.judge(bytes(primary.console))

    def kill_both(self, pair):
        """The primary under load, then the backup that has won its guest: (primary, backup)."""
        backup = pair.start_backup(crash_at="backup-taking-over")
        primary = pair.start_primary()
        primary.wait_log("protected by")
        primary.wait_lines(20)
        primary.signal(signal.SIGKILL)
        for side in (primary, backup):
            self.assertEqual(side.finish(), -signal.SIGKILL, pair.description())
        self.assertEqual(bytes(backup.console), b"", pair.description())
        return primary, backup

    def assert_runs_nothing(self, disk):
        """An image that is no state of any guest: `fmvm run` refuses it."""
        refused = run_fmvm("run", "--kernel", guest("journal"), "--disk", f"path={disk}")
        self.assertEqual(refused.returncode, USAGE, refused.stderr)
        self.assertIn("is only partly the disk of a protected guest", refused.stderr)

    def end(self, pair, running, *others):
        """Stops the side that runs the guest, then the others, and checks what always holds."""
        status = running.stop()
        self.assertEqual(status, STOPPED, running.description())
        for side in others:
            side.stop()
        pair.check()
