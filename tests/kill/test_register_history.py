# SPDX-License-Identifier: Apache-2.0
"""The judge of histories itself: it must see what is wrong."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from fmvm_process import main  # noqa: E402
from register_history import History  # noqa: E402


def history(*operations):
    """(put or None, asked, answered, value), all of one key."""
    made = History()
    for number, (put, asked, answered, value) in enumerate(operations):
        made.ask(number, 1, put, asked)
        if value is not None:
            made.answer(number, 1, value, answered)
    return made


class RegisterHistory(unittest.TestCase):
    def refuse(self, *operations):
        with self.assertRaises(AssertionError):
            history(*operations).check()

    def test_operations_in_turn(self):
        history((None, 0, 1, 0), (5, 2, 3, 5), (None, 4, 5, 5), (3, 6, 7, 5)).check()

    def test_operations_that_overlap_may_be_seen_or_not(self):
        for seen in (0, 5):
            history((5, 0, 9, 5), (None, 1, 2, seen)).check()

    def test_an_operation_without_answer_may_have_happened(self):
        history((5, 0, None, None), (None, 1, 2, 5)).check()
        history((5, 0, None, None), (None, 1, 2, 0)).check()

    def test_what_is_taken_back_is_found(self):
        self.refuse((5, 0, 1, 5), (None, 2, 3, 0))
        self.refuse((5, 0, 9, 5), (None, 1, 2, 5), (None, 3, 4, 0))

    def test_a_put_that_did_not_take_effect_is_found(self):
        self.refuse((5, 0, 1, 0))

    def test_a_value_that_nobody_has_put_is_found(self):
        self.refuse((None, 0, 1, 5), (5, 2, 3, 5))

    def test_keys_are_apart_and_a_repeated_answer_changes_nothing(self):
        made = history((5, 0, 1, 5))
        made.ask(9, 2, None, 2)
        made.answer(9, 2, 0, 3)
        made.answer(0, 1, 7, 4)
        made.check()
        self.assertEqual(made.waits(), [])


if __name__ == "__main__":
    main()
