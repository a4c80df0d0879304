# SPDX-License-Identifier: Apache-2.0
"""The observer itself: it must see a gap, a contradiction and a wrong sum, and allow a repetition.
"""

import pathlib
import sys
import unittest
import zlib

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import counter_history  # noqa: E402
from counter_history import Operation, TakenBack  # noqa: E402
from fmvm_process import REPOSITORY, main, settings  # noqa: E402
from observer import (Contradiction, join, judge_counter, judge_dirty,  # noqa: E402
                      judge_journal, judge_records, judge_smp, judge_transactions)
from watch import Side, Watch, is_wrong  # noqa: E402


def counter(first, last, clock=1000):
    lines = [f"counter {n} {clock + n}" for n in range(first, last + 1)]
    return "".join(f"{line} {zlib.crc32(line.encode()):08x}\n" for line in lines).encode()


def dirty(number, clock, total="a"):
    return f"dirty pass={number} tsc={clock} gap_us=1 gap_max_us=1 sum={total * 16} laps=1\n".encode()


class Logs(unittest.TestCase):
    """What a test of a pair must not overlook, in the words of the program."""
    wrong = ("fmvm: internal error: index < size does not hold at src/a.cpp:7; please report this",
             "terminate called without an active exception",
             "==7==ERROR: AddressSanitizer: heap-use-after-free")
    unequal = ("the backup 127.0.0.1:1 is not equal any more: disk a: does not answer",
               "verify: RAM differs from the primary's at epoch 5, first in page 7",
               "verify: the state differs from the primary's at epoch 5",
               "disk b.img: record 7: what is to be written at byte 512 differs from the primary's",
               "disk b.img: record 7: byte 512 holds other bytes than the primary's")

    def test_are_searched_for_what_is_wrong(self):
        for line in self.wrong:
            self.assertTrue(is_wrong(line))
            self.assertTrue(is_wrong(line, may_be_unequal=True))
        for line in self.unequal:
            self.assertTrue(is_wrong(line))
            self.assertFalse(is_wrong(line, may_be_unequal=True))
        self.assertFalse(is_wrong("protected by 127.0.0.1:1 epoch=1"))

    def test_those_words_are_the_programs(self):
        source = "\n".join(path.read_text() for path in (REPOSITORY / "src").rglob("*.cpp"))
        for words in ("internal error", "is not equal any more", "RAM differs from the primary's",
                      "the state differs from the primary's", "holds other bytes than the primary's",
                      "is to be written at byte {} differs from the primary's"):
            self.assertIn(words, source)


class TwoWriters(unittest.TestCase):
    """A side that shows something after another one has begun."""

    def violations(self, first, second):
        self.addCleanup(setattr, settings, "fmvm", settings.fmvm)
        settings.fmvm = pathlib.Path("/bin/sh")
        watch = Watch()
        try:
            sides = [Side(watch, name, ("-c", script), {})
                     for name, script in (("first", first), ("second", second))]
            for side in sides:
                side.finish()
            return watch.violations
        finally:
            watch.close()

    def test_are_seen(self):
        found = self.violations("echo a; sleep 1; echo b", "sleep 0.5; echo c")
        self.assertEqual(len(found), 1)
        self.assertIn("first shows", found[0])

    def test_one_after_the_other_is_right(self):
        self.assertEqual(self.violations("echo a; echo b", "sleep 0.5; echo c; echo d"), [])


class Observer(unittest.TestCase):
    def refused(self, first, second, judge=judge_counter):
        with self.assertRaises(Contradiction):
            join(first, second, judge)

    def test_a_repeated_tail_is_allowed_wherever_it_begins(self):
        whole = counter(1, 60)
        for shown in range(800, 1000):
            for repeated in (0, 1, 5, 23, 24, 25, 100, 700):
                joined = join(whole[:shown], whole[shown - repeated:], judge_counter)
                self.assertEqual(joined.stream, whole)
                self.assertEqual(joined.repeated, repeated)

    def test_everything_may_be_repeated_and_more_may_be_to_come(self):
        whole = counter(1, 40)
        self.assertEqual(join(whole[:900], whole, judge_counter).stream, whole)
        self.assertEqual(join(whole[:900], whole[500:600], judge_counter).stream, whole[:900])
        self.assertEqual(join(whole[:900], b"", judge_counter).stream, whole[:900])

    def test_a_gap_is_seen(self):
        whole = counter(1, 60)
        for gap in (1, 10, len(counter(1, 1)), 300):
            self.refused(whole[:800], whole[800 + gap:])

    def test_a_line_told_differently_is_seen(self):
        self.refused(counter(1, 20), counter(20, 25, clock=1001))
        self.refused(counter(1, 20), counter(18, 25, clock=5000))

    def test_a_wrong_checksum_is_seen(self):
        self.refused(counter(1, 5).replace(b"counter 3 1003", b"counter 3 1004"), b"")

    def test_fresh_lines_are_those_not_shown_whole(self):
        whole = counter(1, 10)
        line = len(counter(1, 1))
        second = whole[3 * line:]
        joined = join(whole[:5 * line + 7], second, judge_counter)
        self.assertEqual(joined.fresh_lines(second), 10 - 5)
        self.assertEqual(joined.fresh_end(second), 3 * line)

    def test_dirty_passes_never_fall_and_have_one_sum(self):
        judge_dirty(dirty(1, 1) + dirty(1, 2) + dirty(3, 3, "b"))
        self.refused(dirty(1, 1) + dirty(3, 2), dirty(2, 3), judge_dirty)
        self.refused(dirty(1, 1), dirty(1, 2, "b"), judge_dirty)
        self.refused(dirty(1, 1), b"dirty: FAILED checksum differs in pass 2\n", judge_dirty)

    def test_smp_counts_every_addition_once(self):
        judge_smp(b"smp: cpus=2\nsmp round=1 sum=2000\nsmp round=3 sum=6500\n")
        self.refused(b"smp round=1 sum=1999\n", b"", judge_smp)
        self.refused(b"smp round=1 sum=3001\n", b"", judge_smp)
        self.refused(b"smp round=2 sum=4000\n", b"smp round=2 sum=4001\n", judge_smp)

    def test_numbered_records_have_no_gap(self):
        judge_journal(b"journal: after 0\njournal 1 0123abcd\njournal 2 0123abcd\njourn")
        self.refused(b"journal 1 0123abcd\n", b"journal 3 0123abcd\n", judge_journal)
        self.refused(b"journal 1 0123abcd\njournal 1 0123abcd\n", b"", judge_journal)
        self.refused(b"journal 1 0123abc\n", b"", judge_journal)
        self.refused(b"jou\njournal 1 0123abcd\n", b"", judge_journal)
        judge_records(b"fmvm-init: ready t=1\r\nrecord 1 0123abcd\r\nrecord 2 0123abcd\r\n")
        self.refused(b"record 1 0123abcd\r\n", b"record 3 0123abcd\r\n", judge_records)
        self.refused(b"record 1 0123abcd\r\n", b"fmvm-init: FAILED: disk\r\n", judge_records)
        judge_transactions(b"fmvm-init: ready t=1\r\ntxn 1\r\ntxn 2\r\n")
        self.refused(b"txn 1\r\n", b"txn 3\r\n", judge_transactions)


class CounterHistories(unittest.TestCase):
    """`+` increments, `?` reads: (when it began, when it ended, which, value)."""

    @staticmethod
    def check(*operations):
        return counter_history.check([Operation(began, ended, which == "+", value)
                                      for began, ended, which, value in operations])

    def test_of_one_counter_pass(self):
        self.assertEqual(self.check((0, 1, "+", 1), (1.5, 2, "?", 1), (2.5, 3, "+", 2)), 2)
        # What overlaps may have happened in any order.
        self.assertEqual(self.check((0, 9, "+", 2), (1, 2, "+", 1), (3, 8, "?", 1), (3, 8, "?", 2)), 2)
        self.assertEqual(self.check(), 0)

    def test_that_contradict_themselves_are_found(self):
        for operations in (((0, 1, "+", 1), (2, 3, "+", 1)),  # lost
                           ((0, 1, "+", 2), (2, 3, "+", 1)),  # out of order
                           ((0, 1, "+", 1), (2, 3, "?", 0)),  # taken back
                           ((0, 1, "+", 1), (2, 3, "+", 3)),  # done twice
                           ((0, 1, "?", 1), (2, 3, "+", 1))):  # from nowhere
            with self.subTest(operations=operations), self.assertRaises(TakenBack):
                self.check(*operations)


if __name__ == "__main__":
    main()
