# SPDX-License-Identifier: Apache-2.0
"""One kill at a random moment, from the start of a pair to the verdict.

FMVM_KILL_SEED repeats the moments of a run, FMVM_KILL_ROUNDS says how many there are.
"""

import dataclasses
import os
import re
import signal
import time

from fmvm_process import STOPPED, TIME_FACTOR
from pair import Pair
from sentinels import sentinel_of

LATEST_S = 1.5  # after the guest is protected
KILLED = -signal.SIGKILL  # the exit status
SEED = int(os.environ.get("FMVM_KILL_SEED", time.time_ns() % 1000000))


def fewer(usual):
    """How often chance is tried: in a virtual host, whose emulation makes each time dear, a third as often.
    What is tried there is another KVM; chance is served outside."""
    return usual if TIME_FACTOR == 1 else -(-usual // 3)


def rounds(usual):
    return int(os.environ.get("FMVM_KILL_ROUNDS", fewer(usual)))


@dataclasses.dataclass
class Killed:
    silence_s: float  # until the reader saw the first new line; 0 when there is none to see
    shown_before: int  # lines
    repeated: int  # bytes
    guest_gap_s: float | None  # by the guest's own TSC, if it watches that (dirty)


def guest_gap(console, fresh_end):
    """The longest gap that the guest reports in its first fresh lines."""
    start = console.rfind(b"\n", 0, max(0, fresh_end - 1)) + 1
    gaps = [int(gap) for gap in re.findall(rb"gap_us=(\d+) ", console[start:])[:3]]
    return max(gaps) / 1e6 if gaps else None


def check_status(side, expected):
    status = side.finish()
    if status != expected:
        raise AssertionError(f"exit status {status}, not {expected}\n{side.description()}")


def kill_primary(workload, moment_s, without_sentinel=False, **options):
    """The backup goes on, and nothing is missing."""
    pair = Pair(workload, **options)
    try:
        primary, backup = pair.start()
        if without_sentinel:
            os.kill(sentinel_of(primary.process.pid), signal.SIGKILL)
        time.sleep(moment_s)
        killed = primary.signal(signal.SIGKILL)
        backup.wait_log("took over: the guest runs here generation=2")
        joined = pair.wait_fresh(primary, backup)
        check_status(primary, -signal.SIGKILL)
        shown_at = backup.shown_at(joined.fresh_end(backup.console))
        backup.signal(signal.SIGTERM)
        check_status(backup, STOPPED)
        pair.verdict(primary, backup)
        return Killed(shown_at - killed, primary.console.count(b"\n"), joined.repeated,
                      guest_gap(backup.console, joined.fresh_end(backup.console)))
    finally:
        pair.close()


def kill_backup(workload, moment_s, **options):
    """The primary goes on and protects itself with the next backup; which is put to the proof."""
    pair = Pair(workload, **options)
    try:
        primary, backup = pair.start()
        time.sleep(moment_s)
        backup.signal(signal.SIGKILL)
        primary.wait_log("running unprotected generation=2")
        check_status(backup, -signal.SIGKILL)
        primary.wait_lines(3)
        second = pair.start_backup(name="backup2")
        primary.wait_log("protected by", 2)
        killed = primary.signal(signal.SIGKILL)
        second.wait_log("took over: the guest runs here generation=3")
        joined = pair.wait_fresh(primary, second)
        shown_at = second.shown_at(joined.fresh_end(second.console))
        second.signal(signal.SIGTERM)
        check_status(second, STOPPED)
        if backup.console:
            raise AssertionError(f"the dead backup had shown something\n{pair.description()}")
        pair.verdict(primary, second)
        return Killed(shown_at - killed, primary.console.count(b"\n"), joined.repeated,
                      guest_gap(second.console, joined.fresh_end(second.console)))
    finally:
        pair.close()
