# SPDX-License-Identifier: Apache-2.0
"""What somebody who watched both consoles must have seen: judges of the bare guests' output.

A judge looks at one stream, complete lines only, and raises Contradiction when it cannot be the
output of one guest that ran once. `join` makes one stream of the old side's and the new side's: a
repeated tail is allowed, a gap or a contradiction never.
"""

import dataclasses
import re
import zlib


class Contradiction(AssertionError):
    pass


def complete_lines(stream):
    """Lines that have ended; what follows the last line feed may still grow."""
    return stream.decode(errors="replace").split("\n")[:-1]


def require(condition, what):
    if not condition:
        raise Contradiction(what)


def check_failures(lines):
    for line in lines:
        require("FAILED" not in line, f"the guest found an error: {line}")


def judge_counter(stream):
    """counter N TSC CRC: N counts 1, 2, 3, ...; the CRC fits; time does not run backwards."""
    lines = complete_lines(stream)
    check_failures(lines)
    number, clock = 0, 0
    for line in lines:
        if line.startswith("counter: "):
            continue
        match = re.fullmatch(r"(counter (\d+) (\d+)) ([0-9a-f]{8})", line)
        require(match, f"not a line of the guest: {line!r}, after number {number}")
        require(int(match[2]) == number + 1, f"{line!r} comes after number {number}")
        require(int(match[4], 16) == zlib.crc32(match[1].encode()), f"wrong checksum: {line!r}")
        require(int(match[3]) > clock, f"time runs backwards: {line!r}")
        number, clock = int(match[2]), int(match[3])


def judge_dirty(stream):
    """dirty pass=N ... sum=S: passes never fall, and a pass has one sum."""
    lines = complete_lines(stream)
    check_failures(lines)
    last, sums, clock = 0, {}, 0
    for line in lines:
        if line.startswith("dirty: "):
            continue
        match = re.fullmatch(
            r"dirty pass=(\d+) tsc=(\d+) gap_us=\d+ gap_max_us=\d+ sum=([0-9a-f]{16}) laps=\d+", line)
        require(match, f"not a line of the guest: {line!r}, after pass {last}")
        number = int(match[1])
        require(number >= last, f"{line!r} comes after pass {last}")
        require(sums.setdefault(number, match[3]) == match[3], f"another sum before: {line!r}")
        require(int(match[2]) > clock, f"time runs backwards: {line!r}")
        last, clock = number, int(match[2])


ADDS_PER_ROUND = 1000  # guests/bare/smp.cpp


def judge_smp(stream, cpus=2):
    """smp round=N sum=S: rounds rise, and every CPU has added its share once."""
    lines = complete_lines(stream)
    check_failures(lines)
    last = 0
    for line in lines:
        if line.startswith("smp: "):
            continue
        match = re.fullmatch(r"smp round=(\d+) sum=(\d+)", line)
        require(match, f"not a line of the guest: {line!r}, after round {last}")
        number, total = int(match[1]), int(match[2])
        require(number > last, f"{line!r} comes after round {last}")
        # The others may be in the next round already.
        least = number * ADDS_PER_ROUND * cpus
        require(least <= total <= least + ADDS_PER_ROUND * (cpus - 1), f"wrong sum: {line!r}")
        last = number


def judge_numbered(stream, word, rest=" [0-9a-f]{8}"):
    """WORD N CRC among lines of others: N counts 1, 2, 3, ... The CRC is for who has the disk."""
    lines = complete_lines(stream)
    check_failures(lines)
    number = 0
    for line in lines:
        if not line.startswith(word + " "):
            continue
        match = re.fullmatch(rf"{word} (\d+){rest}\r?", line)
        require(match, f"not a line of the guest: {line!r}, after number {number}")
        require(int(match[1]) == number + 1, f"{line!r} comes after number {number}")
        number = int(match[1])


def judge_journal(stream):
    """Of the bare guest `journal`, which says nothing else until its end."""
    for line in complete_lines(stream):
        require(line.startswith("journal"), f"not a line of the guest: {line!r}")
    judge_numbered(stream, "journal")


CLOCKS_LINE = re.compile(r"(clocks (\d+) tsc_us=(\d+) kvm_us=(\d+) tsc_step_us=\d+ kvm_step_us=\d+ "
                         r"kvm_back_us=(\d+)) ([0-9a-f]{8})")


def judge_clocks(stream):
    """Of the bare guest `clocks`, which ends by itself when a clock goes back."""
    lines = complete_lines(stream)
    check_failures(lines)
    number, clocks = 0, (0, 0)
    for line in lines:
        if line.startswith("clocks: "):
            continue
        match = CLOCKS_LINE.fullmatch(line)
        require(match, f"not a line of the guest: {line!r}, after number {number}")
        require(int(match[2]) == number + 1, f"{line!r} comes after number {number}")
        require(int(match[6], 16) == zlib.crc32(match[1].encode()), f"wrong checksum: {line!r}")
        now = int(match[3]), int(match[4])
        require(now[0] >= clocks[0] and now[1] >= clocks[1], f"time runs backwards: {line!r}")
        number, clocks = number + 1, now


def judge_vector(stream):
    """Of the bare guest `vector`, which checks its sums itself."""
    judge_numbered(stream, "vector")  # among "vector: ..."


def judge_records(stream):
    """Of the Linux guest's workload `records`."""
    judge_numbered(stream, "record")


def judge_transactions(stream):
    """Of the Linux guest's workload `sqlite`."""
    judge_numbered(stream, "txn", rest="")


@dataclasses.dataclass
class Joined:
    stream: bytes
    repeated: int  # bytes at the new side's beginning that the old side had shown

    def fresh_lines(self, second):
        """Lines that ended on the new side only."""
        return second.count(b"\n", self.repeated)

    def fresh_end(self, second):
        """Position behind the new side's first line that the old side had not shown whole."""
        return second.index(b"\n", self.repeated) + 1


PROBE = 24  # bytes that find where the repeated tail may begin


def join(first, second, judge):
    """The old side's stream and the new side's as one, which the judge accepts."""
    first, second = bytes(first), bytes(second)
    if not second:
        judge(first)
        return Joined(first, 0)
    complaint = None
    for start in overlaps(first, second):
        whole = first[:start] + second
        stream = whole if len(whole) >= len(first) else first
        try:
            judge(stream)
            return Joined(stream, min(len(first) - start, len(second)))
        except Contradiction as error:
            complaint = complaint or error
    raise Contradiction(f"the two consoles do not fit: {complaint}\n--- the old side ends:\n"
                        f"{first[-600:].decode(errors='replace')}\n--- the new side begins:\n"
                        f"{second[:600].decode(errors='replace')}")


def overlaps(first, second):
    """Positions in `first` from which `second` repeats its rest, the longest rest first."""
    at = first.find(second[:PROBE])
    while at != -1 and at < len(first) - PROBE:
        rest = first[at:]
        if rest.startswith(second) or second.startswith(rest):
            yield at
        at = first.find(second[:PROBE], at + 1)
    for at in range(max(0, len(first) - PROBE), len(first) + 1):
        if second.startswith(first[at:]):
            yield at
