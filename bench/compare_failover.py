#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How long a guest stands when its primary is killed: fmvm against QEMU's COLO, the same bare guest
(dirty), kill by kill in turn.

Of each: from SIGKILL to the first line that is new to a reader of both consoles; and the longest gap
that the guest itself saw, by its TSC, in its first lines there. fmvm's times have the detection in
them. COLO has none: its secondary is told by QMP (x-colo-lost-heartbeat) the moment after the kill.

bench/compare_failover.py [--fmvm PATH] [--guests DIR] [--kills 20] [--mib 4] [--memory 256]
                          [--interval 20] [--no-colo]
"""

import contextlib
import pathlib
import random
import subprocess
import tempfile
import time

from common import QEMU_BOOT_S, SETTLE_S, free_port, new_parser, percentile
from console_latency import Reader
from qemu_colo import Qemu, protect

REPORT_MS = 10
LIMIT_S = 30
TAKEN = 3  # lines after the takeover


def wait_until(condition, what):
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"no {what} after {LIMIT_S} s")
        time.sleep(0.005)


def reader_of(process):
    reader = Reader(process.stdout)
    reader.start()
    return reader


def fresh_lines(dead, survivor, killed_ms):
    """What the dead side had not shown, and the survivor not before the kill."""
    last = dead.seen[-1].tsc
    return [line for line in survivor.seen if line.tsc > last and line.at_ms >= killed_ms]


def kill(process, dead, survivor, then=lambda: None):
    """(silence, the guest's gap), ms."""
    time.sleep(SETTLE_S + random.random())
    killed_ms = time.monotonic() * 1000
    process.kill()
    then()
    process.wait()
    dead.join()
    wait_until(lambda: len(fresh_lines(dead, survivor, killed_ms)) >= TAKEN, "line of the survivor")
    fresh = fresh_lines(dead, survivor, killed_ms)
    return fresh[0].at_ms - killed_ms, max(line.gap_us for line in fresh[:TAKEN]) / 1000


def with_fmvm(settings, guest, directory):
    port, arbiter = free_port(), ["--arbiter", f"file:{directory}/generation"]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "stdin": subprocess.DEVNULL}
    memory, kernel, cmdline = guest
    with contextlib.ExitStack() as stack:
        trace = directory / "trace"
        sides = []
        for words in (["backup", "--listen", f"127.0.0.1:{port}", "--dir", directory / "backup"],
                      ["primary", "--backup", f"127.0.0.1:{port}", "--memory", f"{memory}M",
                       "--kernel", kernel, "--cmdline", cmdline, "--sync", "epoch", "--epoch",
                       f"{settings.interval}ms", "--trace", trace]):
            sides.append(subprocess.Popen([settings.fmvm, *words, *arbiter], **options))
            stack.callback(sides[-1].wait)
            stack.callback(sides[-1].kill)
        backup, primary = sides
        dead, survivor = reader_of(primary), reader_of(backup)
        wait_until(lambda: trace.exists() and trace.stat().st_size > 0, "epoch of fmvm")
        return kill(primary, dead, survivor)


def with_colo(settings, guest, directory):
    with contextlib.ExitStack() as stack:
        sides = []
        for name, more in (("primary", ()), ("secondary", ("-incoming", "defer"))):
            sides.append(Qemu(directory, name, *guest, "stdio", *more))
            stack.callback(sides[-1].end)
        primary, secondary = sides
        dead, survivor = reader_of(primary.process), reader_of(secondary.process)
        time.sleep(QEMU_BOOT_S)
        protect(primary.qmp, secondary.qmp, directory, settings.interval)
        return kill(primary.process, dead, survivor,
                    lambda: secondary.qmp.do("x-colo-lost-heartbeat"))


def main():
    parser = new_parser(__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--mib", type=int, default=4)
    parser.add_argument("--memory", type=int, default=256)
    parser.add_argument("--interval", type=int, default=20, help="ms")
    parser.add_argument("--no-colo", dest="colo", action="store_false")
    settings = parser.parse_args()
    guest = (settings.memory, settings.guests / "dirty.elf",
             f"mib={settings.mib} report_ms={REPORT_MS}")
    sides = {"fmvm": with_fmvm, **({"COLO": with_colo} if settings.colo else {})}
    killed = {side: [] for side in sides}
    for _ in range(settings.kills):
        for side, run in sides.items():
            with tempfile.TemporaryDirectory() as directory:
                killed[side].append(run(settings, guest, pathlib.Path(directory)))
    for side, both in killed.items():
        for what, values in zip(("reader's silence", "the guest's gap"), zip(*both)):
            print(f"{side:5} {what:17} ms: p50 {percentile(values, 0.5):6.1f}  "
                  f"p90 {percentile(values, 0.9):6.1f}  max {max(values):6.1f}  ({len(values)} kills)")


if __name__ == "__main__":
    main()
