#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Many kills at random moments, with a summary: the big run before a release.

    tests/kill/kill_many.py [--kills 1000] [--seed S] [--victim primary|backup] [--guest NAME]...
                            [--first N] [--fmvm PATH] [--guests DIRECTORY]
                            [--primary-options="--dirty-log ring"] [--block replay|copy|shared]
                            [--without-sentinel]

Kill number N of a seed is the same whatever else is run: --seed S --first N --kills 1 repeats it.
--block: with disks, for the guest journal. The silence is what a reader of the console sees: from
SIGKILL to the first line that the dead side had not shown. A failure is described and counted; the
run goes on. --without-sentinel: a primary's sentinel is killed first, so that the backup learns of the
death when the kernel closes the connection. Exit status 0: none failed.
"""

import argparse
import math
import pathlib
import random
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "support"))
import pair as pairs  # noqa: E402
from fmvm_process import REPOSITORY, settings  # noqa: E402
from killing import LATEST_S, kill_backup, kill_primary  # noqa: E402

BUILD = REPOSITORY / "build/release"
WORKLOADS = (*pairs.WORKLOADS, pairs.JOURNAL)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1000000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--victim", choices=("primary", "backup"), default="primary")
    parser.add_argument("--guest", action="append", choices=[work.name for work in WORKLOADS])
    parser.add_argument("--block", choices=("replay", "copy", "shared"))
    parser.add_argument("--without-sentinel", action="store_true")
    parser.add_argument("--memory", default="32M")
    parser.add_argument("--verify", type=int, default=5)
    parser.add_argument("--primary-options", type=str.split, default=[], metavar="WORDS")
    parser.add_argument("--fmvm", type=pathlib.Path, default=BUILD / "fmvm")
    parser.add_argument("--guests", type=pathlib.Path, default=BUILD / "guests/bare")
    given = parser.parse_args()
    journal_only = given.guest == [pairs.JOURNAL.name]
    if given.guest and bool(given.block) != journal_only:
        parser.error("--block is for the guest journal, and journal needs it")
    return given


def percentile(values, part):
    """Nearest rank: the smallest value that so large a part of all do not exceed."""
    return sorted(values)[max(1, math.ceil(part * len(values))) - 1] if values else 0


def summary(times, what):
    for name, values in times.items():
        milliseconds = [value * 1000 for value in values]
        print(f"{name:12} {len(values):5} kills  {what}, ms: "
              f"p50 {percentile(milliseconds, 0.5):7.1f}  p90 {percentile(milliseconds, 0.9):7.1f}  "
              f"p99 {percentile(milliseconds, 0.99):7.1f}  max {max(milliseconds):7.1f}")


def workloads_of(given):
    """Those asked for, or all that fit: journal needs a disk, and nobody else has one."""
    if given.block:
        return [pairs.JOURNAL]
    return [work for work in pairs.WORKLOADS if work.name in (given.guest or [work.name])]


def kill_once(given, kill, workload, moment):
    options = {"memory": given.memory, "verify": given.verify, "more": given.primary_options}
    if given.victim == "primary":
        options["without_sentinel"] = given.without_sentinel
    if not given.block:
        return kill(workload, moment, **options)
    with tempfile.TemporaryDirectory(prefix="fmvm-disk-") as directory:
        disk = pairs.make_image(pathlib.Path(directory) / "disk.img")
        return kill(workload, moment, disk=disk, block=given.block, **options)


def main():
    given = arguments()
    settings.fmvm, settings.guests = given.fmvm.resolve(), given.guests.resolve()
    kill = kill_primary if given.victim == "primary" else kill_backup
    workloads = workloads_of(given)
    silences, guest_gaps, failed = {}, {}, []
    print(f"seed {given.seed}: kills {given.first} to {given.first + given.kills - 1} "
          f"of the {given.victim}", flush=True)
    for number in range(given.first, given.first + given.kills):
        workload = workloads[number % len(workloads)]
        moment = random.Random(f"{given.seed}/{number}").uniform(0, LATEST_S)
        try:
            done = kill_once(given, kill, workload, moment)
        except AssertionError as error:
            failed.append(number)
            print(f"{number} {workload.name} after {moment * 1000:.0f} ms: FAILED {error}",
                  flush=True)
            continue
        silences.setdefault(workload.name, []).append(done.silence_s)
        if done.guest_gap_s is not None:
            guest_gaps.setdefault(workload.name, []).append(done.guest_gap_s)
        print(f"{number} {workload.name} after {moment * 1000:.0f} ms: silence "
              f"{done.silence_s * 1000:.1f} ms, {done.repeated} bytes repeated", flush=True)
    if len(silences) > 1:
        silences["all"] = [value for values in list(silences.values()) for value in values]
    summary(silences, "silence")
    summary(guest_gaps, "by the guest's TSC")
    print(f"seed {given.seed}: {given.kills - len(failed)} of {given.kills} went well"
          + (f"; FAILED: {failed}" if failed else ""))
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
