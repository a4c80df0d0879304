# SPDX-License-Identifier: Apache-2.0
"""What a test can ask of a running program, wherever it runs: waits with a limit, and words about it.

Who inherits has `name`; `console` and `errors`, its output and its log so far; `chunks`, when the
console had grown to what length; wait(condition, what, timeout).
"""


class Watched:
    def log(self):
        return self.errors.decode(errors="replace")

    def wait_log(self, text, count=1, timeout=60):
        self.wait(lambda: self.log().count(text) >= count, f"no {text!r} in its log", timeout)

    def wait_lines(self, more, timeout=60):
        """Waits for `more` lines from now on."""
        wanted = self.console.count(b"\n") + more
        self.wait(lambda: self.console.count(b"\n") >= wanted, f"no {more} more lines", timeout)

    def shown_at(self, position):
        """When the reader saw the console's byte before `position`."""
        return next(when for when, length in self.chunks if length >= position)

    def description(self):
        return (f"--- console of {self.name} ends:\n"
                f"{self.console[-800:].decode(errors='replace')}\n"
                f"--- log of {self.name} ends:\n{self.log()[-2500:]}")
