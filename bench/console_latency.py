#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How much later a reader sees the console when the guest is protected, for each --sync mode, and with
QEMU's COLO.

The guest (dirty) says its TSC in every line, the reader notes when the line arrived. How the two clocks
relate is taken from the lines before the guest is protected; later ones are late by what is printed.

bench/console_latency.py [--fmvm PATH] [--guests DIR] [--seconds 6] [--mib 0] [--no-colo]
"""

import contextlib
import pathlib
import re
import statistics
import subprocess
import tempfile
import threading
import time
import typing

from common import QEMU_BOOT_S, SETTLE_S, free_port, new_parser, percentile
from qemu_colo import Qemu, protect

COLO_INTERVAL_MS = 20
LINE = re.compile(rb"dirty pass=\d+ tsc=(\d+) gap_us=(\d+) ")
REPORT_MS = 23


class Line(typing.NamedTuple):
    tsc: int
    gap_us: int  # the longest that the guest saw since the line before
    at_ms: float  # when it was read


class Reader(threading.Thread):
    """Notes each line of the guest `dirty`."""

    def __init__(self, stream):
        super().__init__(daemon=True)
        self.stream, self.seen = stream, []

    def run(self):
        for line in self.stream:
            now = time.monotonic()
            if found := LINE.search(line):
                self.seen.append(Line(int(found[1]), int(found[2]), now * 1000))


def tell(what, alone, protected):
    """`alone`: lines from before the guest was protected, for the clocks."""
    clock = statistics.linear_regression([line.tsc for line in alone], [line.at_ms for line in alone])
    added = [line.at_ms - (clock.slope * line.tsc + clock.intercept) for line in protected]
    print(f"{what:36} added p50 {percentile(added, 0.5):6.2f} ms  "
          f"p95 {percentile(added, 0.95):6.2f} ms  p99 {percentile(added, 0.99):6.2f} ms  "
          f"({len(added)} lines)", flush=True)


def measure(settings, sync):
    with tempfile.TemporaryDirectory() as name:
        port, arbiter = free_port(), ["--arbiter", f"file:{name}/generation"]
        quiet = {"stderr": subprocess.DEVNULL, "stdin": subprocess.DEVNULL}
        primary = subprocess.Popen(
            [settings.fmvm, "primary", "--backup", f"127.0.0.1:{port}", *arbiter, "--memory", "256M",
             "--kernel", settings.guests / "dirty.elf", "--cmdline",
             f"mib={settings.mib} report_ms={REPORT_MS}", *sync], stdout=subprocess.PIPE, **quiet)
        reader = Reader(primary.stdout)
        reader.start()
        time.sleep(settings.seconds)
        alone = len(reader.seen)
        backup = subprocess.Popen([settings.fmvm, "backup", "--listen", f"127.0.0.1:{port}", *arbiter,
                                   "--dir", f"{name}/backup", "--console", "null"],
                                  stdout=subprocess.DEVNULL, **quiet)
        time.sleep(SETTLE_S)
        since = len(reader.seen)
        time.sleep(settings.seconds)
        for process in (primary, backup):
            process.kill()
            process.wait()
    tell(" ".join(sync), reader.seen[alone // 8:alone], reader.seen[since:])


def measure_colo(settings):
    """It holds no console, whatever becomes of the primary; its lines are late by its stops only."""
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        directory = pathlib.Path(name)
        guest = 256, settings.guests / "dirty.elf", f"mib={settings.mib} report_ms={REPORT_MS}"
        primary = Qemu(directory, "primary", *guest, "stdio")
        stack.callback(primary.end)
        reader = Reader(primary.process.stdout)
        reader.start()
        time.sleep(QEMU_BOOT_S + settings.seconds)
        alone = len(reader.seen)
        secondary = Qemu(directory, "secondary", *guest, "null", "-incoming", "defer")
        stack.callback(secondary.end)
        protect(primary.qmp, secondary.qmp, directory, COLO_INTERVAL_MS)
        time.sleep(SETTLE_S)
        since = len(reader.seen)
        time.sleep(settings.seconds)
        seen = list(reader.seen)
    tell(f"COLO, checkpoints every {COLO_INTERVAL_MS} ms", seen[alone // 8:alone], seen[since:])


def main():
    parser = new_parser(__doc__)
    parser.add_argument("--seconds", type=int, default=6)
    parser.add_argument("--mib", type=int, default=0)
    parser.add_argument("--no-colo", dest="colo", action="store_false")
    settings = parser.parse_args()
    for sync in (["--sync", "adaptive"], ["--sync", "adaptive", "--output-delay", "500us"],
                 ["--sync", "kemari"], ["--sync", "epoch", "--epoch", "20ms"]):
        measure(settings, sync)
    if settings.colo:
        measure_colo(settings)


if __name__ == "__main__":
    main()
