#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What keeping two disks equal costs, from one binary: the comparison of the paper that fmvm
implements, all in turns in the same run.

Columns: unprotected; two unprotected guests side by side, each doing the same (what is left of this
machine for one of two sides that both do all the work on their own disk); Kemari without shared
storage (kemari+copy); Forever as published (kemari+replay); fmvm's epochs with copied data
(adaptive+copy); fmvm (adaptive+replay); QEMU's COLO with its block replication, on microvm
(COLO+NBD). Not usual: adaptive+replay with --record (`recorded`), and with less or more --compress than
usual (`no compression`, `delta+lz4`).
Rows: a bare guest's block requests, and SQLite on Linux (transactions, and the time of one).

For each: requests/s relative to the first column, added latency (p50), bytes on the wire for each byte
the guest wrote or read (of them, the block log's), stop time (p50); the best of the rounds.

bench/compare_blocks.py [--rounds 2] [--seconds 4] [--rows NAME,...] [--columns NAME,...]
                        [--threads] [--json FILE]
"""

import concurrent.futures
import contextlib
import dataclasses
import json
import pathlib
import shutil
import statistics
import sys
import tempfile
import threading
import time
import typing

import block_rows
import colo_blocks
from block_rows import Vm
from common import free_port, new_parser

ALONE, TWO, COLO = "unprotected", "two unprotected", "COLO+NBD"


def mode(sync, block, *more):
    """The options of a primary, and those that its backup shares."""
    return ("--sync", sync, *more), ("--block", block)


PROTECTED = {
    "kemari+copy": mode("kemari", "copy"),
    "kemari+replay": mode("kemari", "replay"),
    "adaptive+copy": mode("adaptive", "copy"),
    "adaptive+replay": mode("adaptive", "replay"),
    "recorded": mode("adaptive", "replay", "--record", "record"),
    "no compression": mode("adaptive", "replay", "--compress", "off"),
    "delta+lz4": mode("adaptive", "replay", "--compress", "delta+lz4"),
}
USUAL = (ALONE, TWO, *list(PROTECTED)[:4], COLO)


@dataclasses.dataclass
class Measured:
    rate: float  # requests/s
    p50_us: float
    wire: typing.Optional[float] = 0.0  # bytes for each byte of the guest's; None: not known
    log: float = 0.0  # of those, the block log; the rest is pages, state and heartbeats
    stop_ms: float = 0.0


@contextlib.contextmanager
def running(*command, cwd=None):
    vm = Vm(command, cwd)
    try:
        yield vm
    finally:
        vm.end()


def unprotected(settings, row, guests, directory):
    """So many guests side by side; the mean of what they achieve."""
    with contextlib.ExitStack() as stack:
        vms = []
        for number in range(guests):
            disk = directory / f"{number}.img"
            shutil.copyfile(row.disk, disk)
        for number in range(guests):
            vms.append(stack.enter_context(running(settings.fmvm, "run", *row.options, "--disk",
                                                   f"path={directory}/{number}.img")))
        with concurrent.futures.ThreadPoolExecutor() as pool:
            achieved = list(pool.map(row.measure, vms))
    return Measured(statistics.mean(one.rate for one in achieved),
                    statistics.mean(one.p50_us for one in achieved))


def epochs_of(trace, seconds):
    """The epochs of the measurement: those before the guest's end, for so long, without the first."""
    epochs = [json.loads(line) for line in trace.read_text().splitlines() if line.endswith("}")]
    taken, passed = [], 0.0
    for epoch in reversed(epochs):
        if epoch["epoch"] == 1 or passed > seconds:
            break
        passed += epoch["interval_us"] / 1e6
        taken.append(epoch)
    return taken


def protected(settings, row, name, directory):
    of_primary, of_both = PROTECTED[name]
    address = f"127.0.0.1:{free_port()}"
    disks = directory / "a.img", directory / "b.img"
    for disk in disks:
        shutil.copyfile(row.disk, disk)
    common = ["--arbiter", f"file:{directory}/arbiter", *of_both]
    trace = directory / "trace"
    with running(settings.fmvm, "backup", "--listen", address, "--dir", directory / "state",
                 *common, "--disk", f"path={disks[1]}") as backup:
        time.sleep(0.3)
        with running(settings.fmvm, "primary", "--backup", address, *common, *row.options, "--disk",
                     f"path={disks[0]}", *of_primary, "--trace", trace,
                     cwd=directory) as primary:
            primary.wait_until(lambda: "protected by" in primary.log(), block_rows.LIMIT_S)
            if settings.threads:
                threading.Thread(target=tell_threads, args=(settings, name, primary, backup),
                                 daemon=True).start()
            achieved = row.measure(primary)
            if "lost the backup" in primary.log():
                sys.exit(f"{name}: was not protected: {primary.log()}")
        backup.finish()
        if backup.process.returncode != 0:
            sys.exit(f"{name}: the backup failed: {backup.log()}")
    epochs = epochs_of(trace, achieved.seconds)
    if not epochs:
        sys.exit(f"{name}: no epoch in the measurement: {primary.log()}")
    guest_bytes = achieved.guest_bytes or sum(
        epoch["disk_referred"] + epoch["disk_sent"] for epoch in epochs)
    return Measured(achieved.rate, achieved.p50_us,
                    sum(epoch["bytes"] for epoch in epochs) / guest_bytes,
                    sum(epoch["disk_log"] for epoch in epochs) / guest_bytes,
                    statistics.median(epoch["stood_us"] for epoch in epochs) / 1000)


def measure(settings, row, name, directory):
    if name in PROTECTED:
        return protected(settings, row, name, directory)
    if name == COLO:
        return colo(row, directory)
    return unprotected(settings, row, 1 if name == ALONE else 2, directory)


def colo(row, directory):
    for name in ("a.img", "b.img"):
        shutil.copyfile(row.disk, directory / name)
    achieved, stop_us = colo_blocks.with_colo(row, directory)
    return Measured(achieved.rate, achieved.p50_us, None, stop_ms=stop_us / 1000)


def tell_threads(settings, name, primary, backup):
    """How much of a CPU each thread has in the middle of the measurement, and how much it waited for."""
    time.sleep(block_rows.SETTLE_S + 0.3)
    seconds = settings.seconds - 0.8
    before = primary.cpu_by_thread(), backup.cpu_by_thread()
    time.sleep(seconds)
    after = primary.cpu_by_thread(), backup.cpu_by_thread()
    print(f"  {name}: share of a CPU, and share waited for one")
    for side, start, end in zip(("primary", "backup"), before, after):
        for thread, (ran, waited) in end.items():
            first = start.get(thread, (0, 0))
            share, wait = (ran - first[0]) / seconds / 1e9, (waited - first[1]) / seconds / 1e9
            if share > 0.005:
                print(f"    {side:8} {thread:14} {share:5.2f} {wait:5.2f}")


def run_row(settings, row, columns, scratch):
    samples = {}
    for _ in range(settings.rounds):
        for name in columns:
            # One of its own, so that nothing of an earlier pair is in the way.
            with tempfile.TemporaryDirectory(dir=scratch) as directory:
                one = measure(settings, row, name, pathlib.Path(directory))
            samples.setdefault(name, []).append(one)
    return {name: best_of(ones) for name, ones in samples.items()}


def best_of(ones):
    """What disturbs a measurement (a neighbour of this machine halves its speed for seconds) slows it."""
    known = [one.wire for one in ones if one.wire is not None]
    return Measured(max(one.rate for one in ones), min(one.p50_us for one in ones),
                    statistics.median(known) if known else None,
                    statistics.median(one.log for one in ones),
                    min(one.stop_ms for one in ones))


def report(row, result):
    first, base = next(iter(result.items()))
    print(f"{row}: {first} {base.rate:.0f} requests/s, p50 {base.p50_us:.0f} us")
    for name, one in result.items():
        if name != first:
            wire = "     ?" if one.wire is None else f"{one.wire:6.3f}"
            print(f"  {name:16} {one.rate / base.rate * 100:6.1f} % of the rate   "
                  f"latency {one.p50_us - base.p50_us:+9.0f} us   wire {wire} x (disks {one.log:.3f})   "
                  f"stop p50 {one.stop_ms:7.2f} ms", flush=True)


def main():
    parser = new_parser(__doc__)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--rows", default=",".join(block_rows.NAMES))
    parser.add_argument("--columns", default=",".join(USUAL), help="the first one is the baseline")
    parser.add_argument("--threads", action="store_true", help="print the CPU of each thread")
    parser.add_argument("--json", type=pathlib.Path)
    settings = parser.parse_args()
    settings.fmvm, settings.guests = settings.fmvm.resolve(), settings.guests.resolve()
    results = {}
    with tempfile.TemporaryDirectory(prefix="fmvm-bench-") as name:
        directory = pathlib.Path(name)
        for name in settings.rows.split(","):
            row = block_rows.make(settings, name, directory)
            columns = [column for column in settings.columns.split(",")
                       if column != COLO or row.runs_on_qemu]
            results[name] = run_row(settings, row, columns, directory)
            report(name, results[name])
            if settings.json:
                settings.json.write_text(json.dumps(
                    {row: {column: dataclasses.asdict(one) for column, one in result.items()}
                     for row, result in results.items()}, indent=1))


if __name__ == "__main__":
    main()
