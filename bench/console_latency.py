#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How much later a reader sees the console when the guest is protected, for each --sync mode.

The guest (dirty) says its TSC in every line, the reader notes when the line arrived. How the two clocks
relate is taken from the lines before the guest is protected; later ones are late by what is printed.

bench/console_latency.py [--fmvm PATH] [--guests DIR] [--seconds 6] [--mib 0]
"""

import argparse
import pathlib
import re
import statistics
import subprocess
import tempfile
import threading
import time

from compare_colo import free_port, percentile

SETTLE_S = 1.5
LINE = re.compile(rb"dirty pass=\d+ tsc=(\d+) ")


class Reader(threading.Thread):
    """Notes the guest's TSC and the arrival (ms) of each line."""

    def __init__(self, stream):
        super().__init__(daemon=True)
        self.stream, self.seen = stream, []

    def run(self):
        for line in self.stream:
            now = time.monotonic()
            if found := LINE.search(line):
                self.seen.append((int(found[1]), now * 1000))


def measure(settings, sync):
    with tempfile.TemporaryDirectory() as name:
        port, arbiter = free_port(), ["--arbiter", f"file:{name}/generation"]
        quiet = {"stderr": subprocess.DEVNULL, "stdin": subprocess.DEVNULL}
        primary = subprocess.Popen(
            [settings.fmvm, "primary", "--backup", f"127.0.0.1:{port}", *arbiter, "--memory", "256M",
             "--kernel", settings.guests / "dirty.elf", "--cmdline",
             f"mib={settings.mib} report_ms=23", *sync], stdout=subprocess.PIPE, **quiet)
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
        clock = statistics.linear_regression(*zip(*reader.seen[alone // 8:alone]))
        added = [at - (clock.slope * tsc + clock.intercept) for tsc, at in reader.seen[since:]]
        for process in (primary, backup):
            process.kill()
            process.wait()
    print(f"{' '.join(sync):36} added p50 {percentile(added, 0.5):6.2f} ms  "
          f"p95 {percentile(added, 0.95):6.2f} ms  p99 {percentile(added, 0.99):6.2f} ms  "
          f"({len(added)} lines)", flush=True)


def main():
    build = pathlib.Path(__file__).resolve().parents[1] / "build/release"
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fmvm", type=pathlib.Path, default=build / "fmvm")
    parser.add_argument("--guests", type=pathlib.Path, default=build / "guests/bare")
    parser.add_argument("--seconds", type=int, default=6)
    parser.add_argument("--mib", type=int, default=0)
    settings = parser.parse_args()
    for sync in (["--sync", "adaptive"], ["--sync", "adaptive", "--output-delay", "500us"],
                 ["--sync", "kemari"], ["--sync", "epoch", "--epoch", "20ms"]):
        measure(settings, sync)


if __name__ == "__main__":
    main()
