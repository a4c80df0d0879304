# SPDX-License-Identifier: Apache-2.0
"""The clocks of a Debian on two CPUs whose hosts die in turn: CLOCK_REALTIME and CLOCK_BOOTTIME go on
within what really passed. The reader's clock is held against both."""

import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "support"), str(HERE)]
from fmvm_process import TIME_FACTOR, main  # noqa: E402
from in_turn import InTurnTestCase  # noqa: E402
from observer import join  # noqa: E402
from works import CLOCK  # noqa: E402

# What a reader that is late, and clocks that are read one after the other, may make of it.
TOLERANCE_S = 0.6 * TIME_FACTOR
LINES = 40  # that are read to find the one that is not late
LINE = re.compile(rb"^tick \d+ (\d+) ([\d.]+)\r?\n", re.M)


def behind(side, fresh_from=0):
    """By how much (CLOCK_REALTIME, CLOCK_BOOTTIME) are behind the reader's clock, plus what stays."""
    lines = [(side.shown_at(line.end()), int(line[1]) / 1e6, float(line[2]))
             for line in LINE.finditer(bytes(side.console)) if line.end() > fresh_from]
    return min(when - real for when, real, _ in lines), min(when - boot for when, _, boot in lines)


class Clocks(InTurnTestCase):
    lines_before_kill = LINES

    def test_clocks(self):
        self.in_turn(CLOCK, cpus=2)

    def look_at_takeover(self, old, new, stream):
        new.wait_lines(LINES, timeout=120)
        joined = join(stream, new.console, CLOCK.judge)
        for name, was, now in zip(("CLOCK_REALTIME", "CLOCK_BOOTTIME"), behind(old),
                                  behind(new, joined.fresh_end(new.console))):
            self.assertLess(abs(now - was), TOLERANCE_S, f"{name} is {now - was:.3f} s further behind than "
                            f"before the takeover\n{self.pair_.description()}")
        self.assert_never_back(joined.stream)

    def assert_never_back(self, stream):
        times = [(int(real), float(boot)) for real, boot in LINE.findall(stream)]
        for before, after in zip(times, times[1:]):
            self.assertLessEqual(before[0], after[0])
            self.assertLessEqual(before[1], after[1])


if __name__ == "__main__":
    main()
