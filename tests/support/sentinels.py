# SPDX-License-Identifier: Apache-2.0
"""The sentinels of fmvm's processes, as ps shows them."""

import os
import pathlib
import time

TIME_FACTOR = float(os.environ.get("FMVM_TIME_FACTOR", "1"))


def _processes():
    for place in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            name, rest = (place / "stat").read_text().rsplit(") ", 1)
            yield int(place.name), name.split(" (", 1)[1], rest.split()
        except OSError:
            continue  # it has ended meanwhile


def sentinel_of(pid):
    """Its process; None when there is none."""
    found = [process for process, name, (_, parent, *_) in _processes()
             if name == "fmvm-sentinel" and int(parent) == pid]
    if len(found) > 1:
        raise AssertionError(f"{pid} has several sentinels: {found}")
    return found[0] if found else None


def is_running(pid):
    """It runs, and is no zombie that nobody has waited for."""
    return any(process == pid and state != "Z" for process, _, (state, *_) in _processes())


def wait_until_gone(pid, timeout=30):
    deadline = time.monotonic() + timeout * TIME_FACTOR
    while is_running(pid):
        if time.monotonic() > deadline:
            raise AssertionError(f"the sentinel {pid} still runs")
        time.sleep(0.01)
