#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""fmvm's protection against QEMU's COLO: the same bare guest (dirty), turn by turn in the same run.

For each working set kept dirty: how much of its unprotected speed the guest keeps (the quick windows
of both), how long an epoch stops it (p50, p99), the longest silence it has seen while protection
began (initial copy), bytes on the wire; and the floor, a plain memcpy of the same number of pages in
this process.

bench/compare_colo.py [--fmvm PATH] [--guests DIR] [--seconds 8] [--rounds 2] [--rows 0:20,4:20,64:100]
                      [--memory 256] [--no-colo] [-- OPTIONS OF fmvm primary]
"""

import argparse
import contextlib
import ctypes
import json
import pathlib
import re
import socket
import statistics
import subprocess
import tempfile
import time

from qemu_colo import Qmp, colo_stops_us, protect

SETTLE_S = 1.5
WINDOW_REPORTS = 5  # of 100 ms
# A neighbour of this machine can halve the CPU's speed for seconds (measured: 1.2 and 2.4 million laps/s,
# with the vCPU always running). That only ever slows, so the quick windows are compared.
QUICK = 0.9
START_LIMIT_S = 30


def percentile(values, share):
    values = sorted(values)
    return values[int(share * (len(values) - 1))] if values else float("nan")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def cmdline(mib, extra=""):
    return f"mib={mib} report_ms=100 {extra}".strip()


class Console:
    """Reports of the guest `dirty`, from a file that fills."""

    def __init__(self, path):
        self.path = path
        path.unlink(missing_ok=True)  # an earlier guest's reports are not this one's

    def reports(self):
        text = self.path.read_text(errors="replace") if self.path.exists() else ""
        pattern = r"dirty pass=(\d+) tsc=(\d+) gap_us=(\d+) gap_max_us=(\d+) sum=\w+ laps=(\d+)"
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

    def speeds(self, since):
        """Laps per second by the guest's own clock, in each window from report number `since` on."""
        reports = self.reports()[since::WINDOW_REPORTS]
        return [(last[4] - first[4]) / ((last[1] - first[1]) / self.tsc_khz() / 1000)
                for first, last in zip(reports, reports[1:])]


class Measurement:
    def __init__(self, speeds, stops_us, bytes_per_s, initial_ms):
        self.speeds = speeds
        self.stops_us = stops_us
        self.bytes_per_s = bytes_per_s
        self.initial_ms = initial_ms


@contextlib.contextmanager
def running(command):
    """Until the end of the block, however it ends: these guests run for ever."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def unprotected(settings, mib, directory):
    console = Console(directory / "alone.txt")
    with running([settings.fmvm, "run", "--memory", f"{settings.memory}M",
                  "--kernel", settings.guests / "dirty.elf", "--cmdline", cmdline(mib),
                  "--console", f"file:{console.path}"]):
        console.wait(15)
        since = len(console.reports())
        time.sleep(settings.seconds / 2)
        return console.speeds(since)


def with_fmvm(settings, mib, interval_ms, directory):
    console = Console(directory / "fmvm.txt")
    trace = directory / "trace"
    port = free_port()
    arbiter = ["--arbiter", f"file:{directory}/generation"]
    primary = [settings.fmvm, "primary", "--backup", f"127.0.0.1:{port}", *arbiter,
               "--memory", f"{settings.memory}M", "--kernel", settings.guests / "dirty.elf",
               "--cmdline", cmdline(mib), "--console", f"file:{console.path}", "--sync", "epoch",
               "--epoch", f"{interval_ms}ms", "--trace", trace, *settings.options]
    # The guest runs before there is a backup, so that the initial copy meets a busy one.
    backup = [settings.fmvm, "backup", "--listen", f"127.0.0.1:{port}", *arbiter,
              "--dir", f"{directory}/backup", "--console", "null"]
    with running(primary):
        console.wait(15)
        with running(backup):
            before = len(console.reports())
            deadline = time.monotonic() + START_LIMIT_S
            while not trace.exists() or trace.stat().st_size == 0:
                if time.monotonic() > deadline:
                    raise SystemExit("fmvm: no epoch")
                time.sleep(0.02)
            time.sleep(SETTLE_S)
            initial_ms = max(report[2] for report in console.reports()[before:]) / 1000
            since = len(console.reports())
            skip = len(trace.read_text().splitlines())
            began = time.monotonic()
            time.sleep(settings.seconds)
            took = time.monotonic() - began
            speeds = console.speeds(since)
            lines = [json.loads(line) for line in trace.read_text().splitlines()[skip:-1]]
    return Measurement(speeds, [line["stood_us"] for line in lines],
                       sum(line["bytes"] for line in lines) / took, initial_ms)


def with_colo(settings, mib, interval_ms, directory):
    console = Console(directory / "colo.txt")
    logs = {}
    vms = []

    def start(name, serial, *more):
        logs[name] = directory / f"{name}.log"
        command = ["qemu-system-x86_64", "-nodefaults", "-display", "none",
                   "-m", str(settings.memory), "-M", "pc", "-accel", "kvm", "-cpu", "qemu64",
                   "-serial", serial, "-kernel", str(settings.guests / "dirty.elf"),
                   "-append", cmdline(mib, "end=reset"), "-no-reboot",
                   "-qmp", f"unix:{directory}/{name}.qmp,server=on,wait=off",
                   "-trace", "colo*", "-D", str(logs[name]), "-msg", "timestamp=on", *more]
        vms.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                    stdout=subprocess.DEVNULL))
        return Qmp(f"{directory}/{name}.qmp")

    try:
        primary = start("primary", f"file:{console.path}")
        console.wait(15)
        secondary = start("secondary", "null", "-incoming", "defer")
        before = len(console.reports())
        protect(primary, secondary, directory, interval_ms)
        time.sleep(SETTLE_S)
        initial_ms = max(report[2] for report in console.reports()[before:]) / 1000
        since = len(console.reports())
        skip = len(colo_stops_us(logs["primary"]))
        time.sleep(settings.seconds)
        speeds = console.speeds(since) or [0.0]
        return Measurement(speeds, colo_stops_us(logs["primary"])[skip:], float("nan"), initial_ms)
    finally:
        for vm in vms:
            vm.kill()
            vm.wait()


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
    alone, speeds, stops, initial, wire = [], {}, {}, {}, []
    for _ in range(settings.rounds):
        with tempfile.TemporaryDirectory() as name:
            directory = pathlib.Path(name)
            # Before and after: the machine's own speed drifts from one minute to the next.
            alone += unprotected(settings, mib, directory)
            sides = {"fmvm": with_fmvm(settings, mib, interval_ms, directory)}
            alone += unprotected(settings, mib, directory)
            if settings.colo:
                sides["COLO"] = with_colo(settings, mib, interval_ms, directory)
            for side, measured in sides.items():
                speeds.setdefault(side, []).extend(measured.speeds)
                stops.setdefault(side, []).extend(measured.stops_us)
                initial.setdefault(side, []).append(measured.initial_ms)
            wire.append(sides["fmvm"].bytes_per_s)
    floor = memcpy_floor_us(mib * 256)
    print(f"{mib} MiB kept dirty, {interval_ms} ms (memcpy floor {floor / 1000:.2f} ms)")
    for side in speeds:
        kept = percentile(speeds[side], QUICK) / percentile(alone, QUICK)
        p50, p99 = percentile(stops[side], 0.5) / 1000, percentile(stops[side], 0.99) / 1000
        print(f"  {side:5} speed kept {kept * 100:5.1f} %   "
              f"stop p50 {p50:7.2f} ms  p99 {p99:7.2f} ms   "
              f"longest silence as it began {statistics.median(initial[side]):7.1f} ms   "
              f"epochs {len(stops[side])}"
              + (f"   wire {statistics.median(wire) / 2**20:.2f} MiB/s" if side == "fmvm" else ""))
    if "COLO" in speeds and stops["COLO"]:
        ratio = percentile(stops["COLO"], 0.5) / percentile(stops["fmvm"], 0.5)
        print(f"  stop p50: COLO / fmvm = {ratio:.1f}", flush=True)


def main():
    build = pathlib.Path(__file__).resolve().parents[1] / "build/release"
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fmvm", type=pathlib.Path, default=build / "fmvm")
    parser.add_argument("--guests", type=pathlib.Path, default=build / "guests/bare")
    parser.add_argument("--seconds", type=int, default=8)
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
