#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a protected guest costs that does nothing (it halts for ever): CPU and wake-ups of each thread of
both sides, and bytes on the wire. Several programs are measured in turns, so that they share the host's
moods.

bench/idle_cpu.py [--fmvm PATH]... [--guests DIR] [--seconds 8] [--rounds 3]
"""

import argparse
import pathlib
import re
import statistics
import subprocess
import tempfile
import time

from common import free_port


def threads(process):
    """CPU (ns) and turns on a CPU so far, by thread."""
    tasks = pathlib.Path(f"/proc/{process.pid}/task")
    return {int(task.name): [int(number) for number in (task / "schedstat").read_text().split()][::2]
            for task in tasks.iterdir()}


def sent_bytes(port):
    """By either end of the connection so far."""
    sockets = subprocess.run(["ss", "-tinH", f"( sport = :{port} or dport = :{port} )"],
                             capture_output=True, text=True, check=True).stdout
    return sum(map(int, re.findall(r"bytes_sent:(\d+)", sockets)))


def usage(before, after, seconds):
    """Percent of a core and turns a second, of each thread, the busiest first."""
    used = [((after[task][0] - before.get(task, (0, 0))[0]) / seconds / 1e7,
             (after[task][1] - before.get(task, (0, 0))[1]) / seconds) for task in after]
    return sorted(used, reverse=True)


def measure(settings, fmvm):
    with tempfile.TemporaryDirectory() as name:
        port, arbiter = free_port(), ["--arbiter", f"file:{name}/generation"]
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL,
                 "stderr": subprocess.DEVNULL}
        backup = subprocess.Popen([fmvm, "backup", "--listen", f"127.0.0.1:{port}", *arbiter, "--dir",
                                   f"{name}/backup", "--console", "null"], **quiet)
        primary = subprocess.Popen([fmvm, "primary", "--backup", f"127.0.0.1:{port}", *arbiter,
                                    "--memory", "256M", "--kernel", settings.guests / "counter.elf",
                                    "--cmdline", "count=3 end=hang"], **quiet)
        try:
            time.sleep(3)
            sides = (primary, backup)
            before, sent, began = [threads(side) for side in sides], sent_bytes(port), time.monotonic()
            time.sleep(settings.seconds)
            seconds = time.monotonic() - began
            wire = (sent_bytes(port) - sent) / seconds / 1000
            return [usage(earlier, threads(side), seconds)
                    for earlier, side in zip(before, sides)], wire
        finally:
            for side in (primary, backup):
                side.kill()
                side.wait()


def main():
    build = pathlib.Path(__file__).resolve().parents[1] / "build/release"
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fmvm", type=pathlib.Path, action="append")
    parser.add_argument("--guests", type=pathlib.Path, default=build / "guests/bare")
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    settings = parser.parse_args()
    programs = settings.fmvm or [build / "fmvm"]
    totals = {fmvm: [] for fmvm in programs}
    for _ in range(settings.rounds):
        for fmvm in programs:
            sides, wire = measure(settings, fmvm)
            totals[fmvm].append([sum(cpu for cpu, _ in side) for side in sides])
            print(f"{fmvm}  {wire:.1f} KB/s")
            for name, side in zip(("primary", "backup"), sides):
                print(f"  {name:8} {sum(cpu for cpu, _ in side):5.2f} %: " +
                      ", ".join(f"{cpu:.2f} % ({turns:.0f}/s)" for cpu, turns in side if turns >= 1),
                      flush=True)
    for fmvm, rounds in totals.items():
        primary, backup = (statistics.median(column) for column in zip(*rounds))
        print(f"median {fmvm}: primary {primary:.2f} %, backup {backup:.2f} %")


if __name__ == "__main__":
    main()
