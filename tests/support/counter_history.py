# SPDX-License-Identifier: Apache-2.0
"""What clients were told of a counter that they all increment and read, and whether one counter can have said it.

Every operation was answered, so that the history is linearizable if and only if each increment has a value of its
own, and what ended before another operation began does not show a later state than that: two answers in the wrong
order are a value that was taken back."""

import bisect
import dataclasses
import threading
import time


@dataclasses.dataclass(frozen=True)
class Operation:
    began: float
    ended: float
    increments: bool  # else it reads
    value: int


class TakenBack(AssertionError):
    pass


def check(operations):
    """Raises TakenBack; the largest value of an increment."""
    increments = [each.value for each in operations if each.increments]
    if len(set(increments)) != len(increments):
        twice = next(value for value in increments if increments.count(value) > 1)
        raise TakenBack(f"two increments were answered {twice}")
    by_end = sorted(operations, key=lambda each: each.ended)
    seen, at = 0, 0  # the largest value that was answered before the operation began
    for each in sorted(operations, key=lambda each: each.began):
        while by_end[at].ended < each.began:
            seen = max(seen, by_end[at].value)
            at += 1
        if each.value < seen + (1 if each.increments else 0):
            raise TakenBack(f"{each.value} was answered after {seen} had been: {each}")
    _check_reads(operations, sorted(increments))
    return max(increments, default=0)


def _check_reads(operations, increments):
    """None shows an increment that had not begun when the read ended."""
    begun = sorted(each.began for each in operations if each.increments)
    for each in operations:
        if not each.increments and each.value > bisect.bisect_left(begun, each.ended):
            raise TakenBack(f"{each.value} was read before so many increments had begun: {each}")
    if increments and increments != list(range(1, len(increments) + 1)):
        missing = next(value for value, found in enumerate(increments, 1) if value != found)
        raise TakenBack(f"nobody was answered {missing}, and somebody {increments[-1]}")


class History:
    """Filled by any thread."""

    def __init__(self):
        self.operations = []
        self._lock = threading.Lock()

    def record(self, increments, ask):
        """ask() gives the value. The operation, once it was answered."""
        began = time.monotonic()
        value = ask()
        operation = Operation(began, time.monotonic(), increments, value)
        with self._lock:
            self.operations.append(operation)
        return operation
