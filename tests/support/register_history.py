# SPDX-License-Identifier: Apache-2.0
"""Whether what clients saw of registers that keep their largest value could have happened in one order
(linearizability, key by key). Operations may overlap; one without an answer may have happened or
not.

For such a register an order exists if each answer holds at least what was known before it was asked
for, by any answer, and a value that somebody had put by the time it was given (0 at first). Then each
operation may take effect where its value was first there."""

import dataclasses
import math


@dataclasses.dataclass
class Operation:
    key: int
    put: int | None  # the value; None: it reads
    asked: float
    answered: float = math.inf
    value: int | None = None


class History:
    def __init__(self):
        self.operations = {}  # by the number that its question has

    def ask(self, number, key, put, now):
        self.operations[number] = Operation(key, put, now)

    def answer(self, number, key, value, now):
        """A repeated answer says what the first said, or at least nothing less."""
        operation = self.operations[number]
        assert operation.key == key, f"operation {number}: an answer about key {key}"
        if operation.value is None:
            operation.answered, operation.value = now, value

    def waits(self):
        return [number for number, one in self.operations.items() if one.value is None]

    def check(self):
        for key in {one.key for one in self.operations.values()}:
            self._check_key([one for one in self.operations.values() if one.key == key])

    @staticmethod
    def _check_key(operations):
        known = sorted((one.answered, one.value) for one in operations if one.value is not None)
        for one in operations:
            if one.value is None:
                continue
            before = max((value for when, value in known if when < one.asked), default=0)
            assert one.value >= before, f"{one} takes back {before}, which was answered before"
            assert one.put is None or one.value >= one.put, f"{one} has not put its value"
            there = {other.put for other in operations if other.asked < one.answered} | {0}
            assert one.value in there, f"{one} holds what nobody had put"
