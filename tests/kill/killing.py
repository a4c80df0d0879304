# SPDX-License-Identifier: Apache-2.0
"""One kill at a random moment, from the start of a pair to the verdict."""

import dataclasses
import signal
import time

from fmvm_process import STOPPED
from pair import Pair

LATEST_S = 1.5  # after the guest is protected


@dataclasses.dataclass
class Killed:
    silence_s: float  # until the reader saw the first new line; 0 when there is none to see
    shown_before: int  # lines
    repeated: int  # bytes


def check_status(side, expected):
    status = side.finish()
    if status != expected:
        raise AssertionError(f"exit status {status}, not {expected}\n{side.description()}")


def kill_primary(workload, moment_s, **options):
    """The backup goes on, and nothing is missing."""
    pair = Pair(workload, **options)
    try:
        primary, backup = pair.start()
        time.sleep(moment_s)
        killed = primary.signal(signal.SIGKILL)
        backup.wait_log("took over: the guest runs here generation=2")
        joined = pair.wait_fresh(primary, backup)
        check_status(primary, -signal.SIGKILL)
        shown_at = backup.shown_at(joined.fresh_end(backup.console))
        backup.signal(signal.SIGTERM)
        check_status(backup, STOPPED)
        pair.verdict(primary, backup)
        return Killed(shown_at - killed, primary.console.count(b"\n"), joined.repeated)
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
        return Killed(shown_at - killed, primary.console.count(b"\n"), joined.repeated)
    finally:
        pair.close()
