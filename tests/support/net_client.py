# SPDX-License-Identifier: Apache-2.0
"""Clients of the bare guest `echo` over UDP, several questions at a time. Each answer is held to those
before it: none is ever taken back, whoever runs the guest."""

import time

from fmvm_process import TIME_FACTOR
from net_peer import ECHO_PORT, VALUE_PORT
from register_history import History

AT_A_TIME = 8
KEYS = 4
ASK_AGAIN_S = 0.5


class Client:
    """asks_again: a question without an answer is repeated, as clients do; else each is sent once."""

    def __init__(self, peer, chance, asks_again=True):
        self.peer = peer
        self.chance = chance
        self.asks_again = asks_again
        self.waiting = {}  # by number: port, bytes, when it was sent last
        self.asked = 0
        self.history = History()
        self.numbers = {}  # of the echo service's answers: the question
        self.newest = {}  # by question: the newest answer's number when it was asked
        self.silence = 0.0  # the longest time without a new answer

    def ask(self, count, timeout=60):
        """Until it has got so many new answers."""
        deadline = time.monotonic() + timeout * TIME_FACTOR
        heard = time.monotonic()
        while count > 0:
            assert time.monotonic() < deadline, f"no answer to {sorted(self.waiting)} any more"
            while len(self.waiting) < AT_A_TIME:
                self._ask()
            self._repeat()
            answers = self._take_answers(0.05)
            if answers:
                now = time.monotonic()
                self.silence, heard = max(self.silence, now - heard), now
            count -= answers

    def finish(self, timeout=60):
        """Asks nothing new, and waits for all answers."""
        deadline = time.monotonic() + timeout * TIME_FACTOR
        while self.waiting:
            assert time.monotonic() < deadline, f"no answer to {sorted(self.waiting)}"
            self._repeat()
            self._take_answers(0.05)
        self.history.check()

    def _ask(self):
        self.asked += 1
        number = self.asked
        if number % 2:
            self.newest[number] = max(self.numbers, default=0)
            self._send(number, ECHO_PORT, number.to_bytes(8, "big"))
            return
        key = self.chance.randrange(KEYS)
        put = number if self.chance.randrange(2) else None
        question = f"{number} put {key} {put}" if put else f"{number} get {key}"
        self.history.ask(number, key, put, time.monotonic())
        self._send(number, VALUE_PORT, question.encode())

    def _send(self, number, port, data):
        self.waiting[number] = (port, data, time.monotonic())
        self.peer.send_udp(port, data)

    def _repeat(self):
        now = time.monotonic()
        for number, (port, data, sent) in list(self.waiting.items()):
            if self.asks_again and now - sent > ASK_AGAIN_S * TIME_FACTOR:
                self._send(number, port, data)

    def _take_answers(self, timeout):
        """How many are new."""
        new = 0
        while answer := self.peer.receive_udp(timeout):
            number = self._take(answer)
            new += self.waiting.pop(number, None) is not None
            timeout = 0.002
        return new

    def _take(self, answer):
        if not answer[:1].isdigit():  # of the echo service: the question and the answer's number
            question, number = int.from_bytes(answer[:8], "big"), int.from_bytes(answer[8:], "big")
            assert self.numbers.setdefault(number, question) == question, \
                f"answer {number} was given to {self.numbers[number]} and to {question}"
            assert number > self.newest[question], \
                f"answer {number} to a question that was asked after answer {self.newest[question]}"
            return question
        number, key, value = (int(word) for word in answer.split())
        self.history.answer(number, key, value, time.monotonic())
        return number
