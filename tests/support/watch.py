# SPDX-License-Identifier: Apache-2.0
"""The one reader of several processes' consoles and logs, and what it holds against them.

One thread reads all consoles and logs, so that their order means something: when a side shows its
first byte, everything that the others had shown before is taken first. From then on it is the
owner of the guest, and a byte from a side that was the owner before is a violation.
"""

import fcntl
import os
import re
import selectors
import signal
import subprocess
import threading
import time

from fmvm_process import TIME_FACTOR, settings
from watched import Watched


def is_wrong(line, may_be_unequal=False):
    """Whether no side's log may have this line, whatever befell the two."""
    if re.search(r"internal error|cannot go on: |terminate called|Sanitizer", line):
        return True
    unequal = r"is not equal any more|(differs from|holds other bytes than) the primary's"
    return not may_be_unequal and re.search(unequal, line) is not None


class Side(Watched):
    """One fmvm process."""

    def __init__(self, watch, name, arguments, environment):
        self.name = name
        self.watch = watch
        self.console = bytearray()
        self.errors = bytearray()
        self.chunks = []
        self.began = False  # it has shown something
        self.process = subprocess.Popen(
            [str(settings.fmvm), *map(str, arguments)], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, **environment})
        watch.add(self)

    def wait(self, condition, what, timeout=60):
        """Waits until the condition holds; at once an error when the process has ended without."""
        self.watch.wait(lambda: condition() or self.ended(), timeout,
                        lambda: f"{self.name}: {what}\n{self.description()}")
        if not condition():
            raise AssertionError(f"{self.name} ended: {what}\n{self.description()}")

    def ended(self):
        return self.process.poll() is not None and not self.watch.reads(self)

    def signal(self, number):
        """Sends it; when."""
        now = time.monotonic()
        self.process.send_signal(number)
        return now

    def finish(self, timeout=60):
        """Waits for its end; the exit status."""
        self.watch.wait(self.ended, timeout,
                        lambda: f"{self.name} still runs\n{self.description()}")
        return self.process.returncode

    def stop(self, timeout=60):
        self.signal(signal.SIGTERM)
        return self.finish(timeout)


class Watch:
    def __init__(self):
        self.owner = None
        self.violations = []
        self.sides = []
        self._changed = threading.Condition()
        self._open = {}  # descriptor -> (side, is it the console?)
        self._selector = selectors.DefaultSelector()
        self._closing = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def add(self, side):
        with self._changed:
            self.sides.append(side)
            for stream, is_console in ((side.process.stdout, True), (side.process.stderr, False)):
                os.set_blocking(stream.fileno(), False)
                self._open[stream.fileno()] = (side, is_console)
                self._selector.register(stream.fileno(), selectors.EVENT_READ)

    def stop_reading(self, side):
        """Its console, that is; the pipe keeps no more than a page from now on."""
        self._stop_reading(side.process.stdout)

    def read_again(self, side):
        self._read_again(side.process.stdout)

    def stop_reading_log(self, side):
        self._stop_reading(side.process.stderr)

    def read_log_again(self, side):
        self._read_again(side.process.stderr)

    def _stop_reading(self, stream):
        with self._changed:
            self._selector.unregister(stream.fileno())
            fcntl.fcntl(stream.fileno(), fcntl.F_SETPIPE_SZ, 4096)

    def _read_again(self, stream):
        with self._changed:
            if stream.fileno() in self._open:
                self._selector.register(stream.fileno(), selectors.EVENT_READ)

    def reads(self, side):
        return any(of is side for of, _ in self._open.values())

    def wait(self, condition, timeout, describe):
        deadline = time.monotonic() + timeout * TIME_FACTOR
        with self._changed:
            while not condition():
                if time.monotonic() > deadline:
                    raise AssertionError(f"not within {timeout} s: {describe()}")
                self._changed.wait(0.1)

    def close(self):
        self._closing = True
        self._thread.join()
        self._selector.close()
        for side in self.sides:
            side.process.stdout.close()
            side.process.stderr.close()

    def _run(self):
        while not self._closing:
            # epoll: processes may be added meanwhile.
            ready = [key.fd for key, _ in self._selector.select(0.1)]
            with self._changed:
                for descriptor in ready:
                    self._take(descriptor)
                self._changed.notify_all()

    def _take(self, descriptor):
        """Reads all that is there."""
        while descriptor in self._open:
            side, is_console = self._open[descriptor]
            try:
                data = os.read(descriptor, 65536)
            except BlockingIOError:
                return
            if not data:
                if descriptor in self._selector.get_map():
                    self._selector.unregister(descriptor)
                del self._open[descriptor]
            elif is_console:
                self._console(side, data)
            else:
                side.errors += data

    def _console(self, side, data):
        now = time.monotonic()
        if not side.began:
            side.began = True
            for other, (of, is_console) in list(self._open.items()):
                if of is not side and is_console:
                    self._take(other)  # shown before, or at the very moment: no violation
            self.owner = side
        elif side is not self.owner:
            self.violations.append(f"{side.name} shows {bytes(data)!r} "
                                   f"although {self.owner.name} runs the guest")
        side.console += data
        side.chunks.append((now, len(side.console)))
