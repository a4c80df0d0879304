#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""fmvm's protection against QEMU's COLO: the same bare guest (dirty), turn by turn in the same run.

For each working set kept dirty: how much of its unprotected speed the guest keeps, how long an
epoch stops it (p50, p99), the longest silence it has seen while protection began (initial copy),
bytes on the wire; and the floor, a plain memcpy of the same number of pages in this process.

This machine's own speed changes by a factor of two from one second to the next (a neighbour's
doing), so speeds are compared in pairs: one guest, whose backup comes and is killed again; each
protected window is held against the unprotected ones just before and after it. COLO cannot lose
its secondary and get another one, so it is one pair for each round. A median of thirty pairs still
differs by 10 % from that of the next thirty, so many short ones are better than a few long ones;
beside it stand its 95 % bounds (by rank), and the ratio of the quick moments of both (tenths of a
second, the ninth of ten by speed), in which the neighbour does nothing.

bench/compare_colo.py [--fmvm PATH] [--guests DIR] [--seconds 0.5] [--pairs 50] [--rounds 2]
                      [--rows 0:20,4:20,64:100] [--memory 256] [--no-colo]
                      [-- OPTIONS OF fmvm primary]
"""

import contextlib
import ctypes
import dataclasses
import itertools
import json
import math
import pathlib
import re
import statistics
import subprocess
import tempfile
import time

from common import QEMU_BOOT_S, SETTLE_S, free_port, new_parser, percentile
from qemu_colo import Qemu, Relay, colo_stops_us, protect

QUICK = 0.9  # of the moments, nine in ten are slower than these
UNPROTECTED_S = 0.3  # after its backup has died: the guest goes on alone by then
SETTLE_EPOCHS = 25  # by then it is known which pages are hot
START_LIMIT_S = 30


def cmdline(mib):
    return f"mib={mib} report_ms=100"


class Console:
    """Reports of the guest `dirty`, from a file that fills."""

    def __init__(self, path):
        self.path = path
        path.unlink(missing_ok=True)  # an earlier guest's reports are not this one's

    def reports(self):
        text = self.path.read_text(errors="replace") if self.path.exists() else ""
        pattern = r"dirty pass=(\d+) tsc=(\d+) gap_us=(\d+) gap_max_us=(\d+) sum=\w+ laps=(\d+)\n"
        return [tuple(map(int, found)) for found in re.findall(pattern, text)]

    def tsc_khz(self):
        found = re.search(r"dirty: tsc_khz=(\d+)", self.path.read_text(errors="replace"))
        return int(found[1])

    def wait(self, count):
        deadline = time.monotonic() + START_LIMIT_S
        while len(self.reports()) < count:
            if time.monotonic() > deadline:
                raise SystemExit(f"the guest does not report: {self.path.read_text()[-500:]}")
            time.sleep(0.05)

    def speeds(self, seconds):
        """Laps per second by the guest's own clock, from now on: of all, and from report to report."""
        since = len(self.reports())
        time.sleep(seconds)
        reports = self.reports()[since:]
        steps = [self.speed_between(*pair) for pair in itertools.pairwise(reports)]
        return self.speed_between(reports[0], reports[-1]), steps

    def speed_between(self, first, last):
        return (last[4] - first[4]) / ((last[1] - first[1]) / self.tsc_khz() / 1000)

    def longest_gap_ms(self, since):
        return max(report[2] for report in self.reports()[since:]) / 1000


@dataclasses.dataclass
class Measurement:
    kept: list = dataclasses.field(default_factory=list)  # of the speed beside it, by pair
    protected: list = dataclasses.field(default_factory=list)  # speed, in a tenth of a second each
    alone: list = dataclasses.field(default_factory=list)
    stops_us: list = dataclasses.field(default_factory=list)
    bytes_per_s: list = dataclasses.field(default_factory=list)
    initial_ms: list = dataclasses.field(default_factory=list)

    def add(self, other):
        for field in dataclasses.fields(self):
            getattr(self, field.name).extend(getattr(other, field.name))


@contextlib.contextmanager
def running(command):
    """Until the end of the block, however it ends: these guests run for ever."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def with_fmvm(settings, mib, interval_ms, directory):
    console = Console(directory / "fmvm.txt")
    trace = directory / "trace"
    port = free_port()
    arbiter = ["--arbiter", f"file:{directory}/generation"]
    primary = [settings.fmvm, "primary", "--backup", f"127.0.0.1:{port}", *arbiter,
               "--memory", f"{settings.memory}M", "--kernel", settings.guests / "dirty.elf",
               "--cmdline", cmdline(mib), "--console", f"file:{console.path}", "--sync", "epoch",
               "--epoch", f"{interval_ms}ms", "--trace", trace, *settings.options]
    backup = [settings.fmvm, "backup", "--listen", f"127.0.0.1:{port}", *arbiter,
              "--console", "null"]
    measured = Measurement()

    def epochs():
        return trace.read_text().splitlines() if trace.exists() else []

    with running(primary):
        console.wait(15)
        alone, measured.alone = console.speeds(settings.seconds)
        for number in range(settings.pairs):
            before, skip = len(console.reports()), len(epochs())
            # The guest runs before there is a backup, so that the initial copy meets a busy one.
            with running([*backup, "--dir", f"{directory}/backup-{number}"]):
                deadline = time.monotonic() + START_LIMIT_S
                while len(epochs()) <= skip:
                    if time.monotonic() > deadline:
                        raise SystemExit("fmvm: no epoch")
                    time.sleep(0.02)
                time.sleep(interval_ms / 1000 * SETTLE_EPOCHS)
                measured.initial_ms.append(console.longest_gap_ms(before))
                skip = len(epochs())
                protected, steps = console.speeds(settings.seconds)
                measured.protected += steps
                lines = [json.loads(line) for line in epochs()[skip:-1]]
            time.sleep(UNPROTECTED_S)
            alone_after, steps = console.speeds(settings.seconds)
            measured.alone += steps
            measured.kept.append(protected / statistics.mean((alone, alone_after)))
            alone = alone_after
            measured.stops_us += [line["stood_us"] for line in lines]
            measured.bytes_per_s.append(sum(line["bytes"] for line in lines) / settings.seconds)
    return measured


def with_colo(settings, mib, interval_ms, directory):
    console = Console(directory / "colo.txt")
    guest = settings.memory, settings.guests / "dirty.elf", cmdline(mib)
    with contextlib.ExitStack() as stack:
        primary = Qemu(directory, "primary", *guest, f"file:{console.path}")
        stack.callback(primary.end)
        console.wait(15)
        secondary = Qemu(directory, "secondary", *guest, "null", "-incoming", "defer")
        stack.callback(secondary.end)
        (alone, alone_steps), before = console.speeds(settings.seconds), len(console.reports())
        protect(primary.qmp, secondary.qmp, directory, interval_ms)
        time.sleep(SETTLE_S)
        initial_ms = console.longest_gap_ms(before)
        skip = len(colo_stops_us(primary.log))
        protected, steps = console.speeds(settings.seconds)
        stops = colo_stops_us(primary.log)[skip:]
    wire = len(stops) / settings.seconds * colo_bytes_per_epoch(settings, guest, interval_ms)
    return Measurement([protected / alone], steps, alone_steps, stops, [wire], [initial_ms])


def colo_bytes_per_epoch(settings, guest, interval_ms):
    """From a run of its own, because counting takes a CPU that the other two need."""
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        directory = pathlib.Path(name)
        sides = []
        for side, more in (("primary", ()), ("secondary", ("-incoming", "defer"))):
            sides.append(Qemu(directory, side, *guest, "null", *more))
            stack.callback(sides[-1].end)
        time.sleep(QEMU_BOOT_S)
        relay = Relay(directory / "relay.sock", directory / "colo.sock")
        protect(*(side.qmp for side in sides), directory, interval_ms, directory / "relay.sock")
        time.sleep(SETTLE_S)
        passed, stops = relay.passed, len(colo_stops_us(sides[0].log))
        time.sleep(settings.seconds)
        return (relay.passed - passed) / max(1, len(colo_stops_us(sides[0].log)) - stops)


def memcpy_floor_us(pages):
    """Copying as many scattered pages as an epoch does, in this process; median of 9."""
    if pages == 0:
        return 0.0
    size = pages * 4096
    libc = ctypes.CDLL(None)
    source, target = (ctypes.create_string_buffer(2 * size) for _ in range(2))
    samples = []
    ctypes.memset(source, 1, 2 * size)  # never written, it would be one page of zeroes
    memcpy = libc.memcpy
    memcpy.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]
    addresses = [(ctypes.addressof(target) + 2 * i, ctypes.addressof(source) + 2 * i)
                 for i in range(0, size, size // min(64, pages))]
    chunk = size // len(addresses)
    for _ in range(9):
        began = time.perf_counter()
        for to, at in addresses:
            memcpy(to, at, chunk)
        samples.append((time.perf_counter() - began) * 1e6)
    return statistics.median(samples)


def run_row(settings, mib, interval_ms):
    sides = {"fmvm": with_fmvm, **({"COLO": with_colo} if settings.colo else {})}
    measured = {side: Measurement() for side in sides}
    for _ in range(settings.rounds):
        for side, measure in sides.items():
            with tempfile.TemporaryDirectory() as name:
                measured[side].add(measure(settings, mib, interval_ms, pathlib.Path(name)))
    floor = memcpy_floor_us(mib * 256)
    print(f"{mib} MiB kept dirty, {interval_ms} ms (memcpy floor {floor / 1000:.2f} ms)")
    for side, one in measured.items():
        report(side, one)
    if "COLO" in measured and measured["COLO"].stops_us:
        stops = [percentile(measured[side].stops_us, 0.5) for side in ("COLO", "fmvm")]
        print(f"  stop p50: COLO / fmvm = {stops[0] / stops[1]:.1f}", flush=True)


def median_bounds(ordered):
    """Between which values the median lies with 95 %, whatever the distribution."""
    half, margin = (len(ordered) - 1) / 2, 0.98 * len(ordered) ** 0.5
    lower, upper = math.floor(half - margin), math.ceil(half + margin)
    return ordered[max(0, lower)], ordered[min(len(ordered) - 1, upper)]


def report(side, one):
    kept = sorted(share * 100 for share in one.kept)
    lower, upper = median_bounds(kept)
    p50, p99 = (percentile(one.stops_us, share) / 1000 for share in (0.5, 0.99))
    wire = statistics.median(one.bytes_per_s) / 2**20
    quick = percentile(one.protected, QUICK) / percentile(one.alone, QUICK) * 100
    print(f"  {side:5} speed kept {statistics.median(kept):5.1f} % "
          f"[{lower:.1f} to {upper:.1f}], quick moments {quick:5.1f} %   "
          f"stop p50 {p50:7.2f} ms  p99 {p99:7.2f} ms   "
          f"longest silence as it began: median {statistics.median(one.initial_ms):.1f} ms, "
          f"of all {max(one.initial_ms):.1f} ms   "
          f"epochs {len(one.stops_us)}   wire {wire:.2f} MiB/s", flush=True)


def main():
    parser = new_parser(__doc__)
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--pairs", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--rows", default="0:20,4:20,64:100")
    parser.add_argument("--memory", type=int, default=256)
    parser.add_argument("--no-colo", dest="colo", action="store_false")
    parser.add_argument("options", nargs="*", help="more options of fmvm primary, after --")
    settings = parser.parse_args()
    for row in settings.rows.split(","):
        mib, interval_ms = map(int, row.split(":"))
        run_row(settings, mib, interval_ms)


if __name__ == "__main__":
    main()
