# SPDX-License-Identifier: Apache-2.0
"""What the guests of compare_blocks.py do, and how much of it they got done.

A row has the options of the fmvm that starts its guest, the disk that it starts from, and measure():
what a running fmvm's guest achieved, until its end.
"""

import dataclasses
import pathlib
import re
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests/linux"))
import linux_guest  # noqa: E402

SETTLE_S = 1.5  # before the measurement: protection begins in it
LIMIT_S = 120
DISK_MIB = 64
POOL_MIB = 32  # the bare guest's page cache, as it were
BARE = {
    "sequential write": "op=write seq=1 fresh=1 depth=8 block=65536",
    "random write": "op=write fresh=1 depth=8",
    "write+flush": "op=writeflush fresh=1 depth=1",
    "sequential read": "op=read seq=1 depth=8 block=65536",
    "random read": "op=read depth=8",
    "copy": "op=copy depth=8 block=65536",
}
SQLITE = "sqlite"
NAMES = (*BARE, SQLITE)


@dataclasses.dataclass
class Achieved:
    rate: float  # requests or transactions/s
    p50_us: float  # of a request's latency; for transactions, which follow one another, their mean time
    seconds: float  # that were measured; they end with the guest
    guest_bytes: float = 0.0  # read or written in them; 0: the trace of the epochs knows


class BareRow:
    """blkload.elf, which measures itself."""
    runs_on_qemu = True

    def __init__(self, settings, name, directory):
        self.disk = directory / "start.img"
        if not self.disk.exists():
            make_random_disk(self.disk)
        cmdline = (f"{BARE[name]} seconds={settings.seconds} settle_ms={int(SETTLE_S * 1000)} "
                   f"pool_mib={POOL_MIB} wait=irq")
        self.options = ["--memory", "128M", "--kernel", str(settings.guests / "blkload.elf"),
                        "--cmdline", cmdline]

    def measure(self, vm):
        vm.finish()
        text = vm.console()
        found = re.search(r"block=(\d+) requests=(\d+) .*seconds=([\d.]+) iops=(\d+) "
                          r"lat_us p50=([\d.]+)", text)
        if not found:
            sys.exit(f"no result: {text}{vm.log()}")
        return Achieved(float(found[4]), float(found[5]), float(found[3]),
                        int(found[1]) * int(found[2]))


class SqliteRow:
    """SQLite on ext4 on Linux: single-row transactions, each synchronous, from one snapshot."""
    runs_on_qemu = False  # it begins with a snapshot of fmvm's
    REPORT = 5  # a line for so many: a console byte is an output event of its own

    def __init__(self, settings, _name, directory):
        self.seconds = 3 * settings.seconds  # transactions are slow where ring 0 is emulated
        self.disk = directory / "linux.img"
        saved, control = directory / "linux.saved", directory / "linux.control"
        self.options = ["--restore", saved]
        linux_guest.make_disk(self.disk)
        cmdline = f"fmvm.work=sqlite fmvm.count=1000000 fmvm.report={self.REPORT}"
        vm = Vm([settings.fmvm, "run", "--control", control,
                 *linux_guest.arguments(cmdline, self.disk, memory="128M")])
        try:
            vm.wait_for_lines(1, linux_guest.BOOT_LIMIT_S)
            subprocess.run([settings.fmvm, "snapshot", "--control", control, "--to", saved,
                            "--stop"], check=True, stdout=subprocess.DEVNULL)
            vm.finish()
        finally:
            vm.end()

    def measure(self, vm):
        vm.wait_for_lines(1, LIMIT_S)
        time.sleep(SETTLE_S)
        began = time.monotonic()
        time.sleep(self.seconds)
        taken = [when for when in vm.txn_times() if when >= began]
        vm.process.terminate()
        vm.finish()
        if len(taken) < 3:
            sys.exit(f"too few transactions: {vm.console()}{vm.log()}")
        each = (taken[-1] - taken[0]) / (len(taken) - 1) / self.REPORT
        return Achieved(1 / each, each * 1e6, self.seconds)


class Vm:
    """An fmvm, its console and its log, line by line."""

    def __init__(self, command, cwd=None):
        self.process = subprocess.Popen([str(part) for part in command], cwd=cwd, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                        errors="replace")
        self._console, self._log = [], []  # (when, line)
        self._threads = [threading.Thread(target=self._read, args=pair, daemon=True) for pair in
                         ((self.process.stdout, self._console), (self.process.stderr, self._log))]
        for thread in self._threads:
            thread.start()

    @staticmethod
    def _read(stream, lines):
        for line in stream:
            lines.append((time.monotonic(), line))

    def console(self):
        return "".join(line for _, line in list(self._console))

    def log(self):
        return "".join(line for _, line in list(self._log))

    def txn_times(self):
        return [when for when, line in list(self._console) if line.startswith("txn ")]

    def wait_for_lines(self, more, limit_s):
        """Waits for so many transactions from now on."""
        wanted = len(self.txn_times()) + more
        self.wait_until(lambda: len(self.txn_times()) >= wanted, limit_s)

    def wait_until(self, condition, limit_s):
        deadline = time.monotonic() + limit_s
        while not condition():
            if time.monotonic() > deadline or self.process.poll() is not None:
                sys.exit(f"it takes too long, or has ended: {self.console()}{self.log()}")
            time.sleep(0.02)

    def cpu_by_thread(self):
        """Nanoseconds that its threads, by name, have run and have waited for a CPU."""
        threads = {}
        for task in pathlib.Path(f"/proc/{self.process.pid}/task").iterdir():
            try:
                name = (task / "comm").read_text().strip()
                ran, waited = map(int, (task / "schedstat").read_text().split()[:2])
            except OSError:  # it is gone
                continue
            name = "io_uring" if name.startswith("iou-wrk") else name
            before = threads.get(name, (0, 0))
            threads[name] = (before[0] + ran, before[1] + waited)
        return threads

    def finish(self):
        """Waits for its end, and for all that it said."""
        self.process.wait(LIMIT_S)
        for thread in self._threads:
            thread.join()

    def end(self):
        self.process.kill()
        self.finish()


def make_random_disk(path):
    """Full of bytes that no compression and no zero page makes smaller."""
    with open("/dev/urandom", "rb") as source, open(path, "wb") as disk:
        for _ in range(DISK_MIB):
            disk.write(source.read(1 << 20))


def make(settings, name, directory):
    return (SqliteRow if name == SQLITE else BareRow)(settings, name, directory)
