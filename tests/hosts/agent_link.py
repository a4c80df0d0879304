# SPDX-License-Identifier: Apache-2.0
"""The outside end of the channel to a host's agent (frames.py): programs that run in the host, as
objects that a test watches."""

import pathlib
import signal
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from watched import Watched  # noqa: E402
from frames import decode, encode  # noqa: E402

SEND_LIMIT_S = 60  # a live agent reads at once


class LostHost(AssertionError):
    """The host has ended, or does not answer any more."""


class RemoteProcess(Watched):
    """A program in a host. `returncode` is None until it has ended, and when its host was lost.
    `console_file`: what it shows it writes there, a directory that is shared with this side. That is
    shown when it is written, while what is in a pipe when its host dies is lost."""

    def __init__(self, link, name, number, console_file=None):
        self.link, self.name, self._number = link, name, number
        self.output, self.errors, self.chunks = bytearray(), bytearray(), []
        self._console_file = console_file
        self.mirror = None  # a binary file: what it writes is written there, too
        self.returncode = None
        self.lost = False  # with its host
        self.why = None  # it did not start

    @property
    def console(self):
        if self._console_file is None:
            return self.output
        return self._console_file.read_bytes() if self._console_file.exists() else b""

    def over(self):
        return self.returncode is not None or self.lost or self.why is not None

    def wait(self, condition, what, timeout=60):
        """Waits until the condition holds; at once an error when the program has ended without."""
        self.link.wait(lambda: condition() or self.over(), timeout,
                       lambda: f"{self.name}: {what}\n{self.description()}")
        if not condition():
            raise AssertionError(f"{self.name} {self.end()}: {what}\n{self.description()}")

    def end(self):
        if self.lost:
            return "was lost with its host"
        return f"did not start ({self.why})" if self.why else f"ended with status {self.returncode}"

    def signal(self, number):
        """Sends it; when."""
        now = time.monotonic()
        self.link.send({"do": "signal", "id": self._number, "number": int(number)})
        return now

    def finish(self, timeout=60):
        """Waits for its end; the exit status."""
        self.wait(lambda: self.returncode is not None, "it does not end", timeout)
        return self.returncode

    def stop(self, timeout=60):
        self.signal(signal.SIGTERM)
        return self.finish(timeout)


class AgentLink:
    """`scale`: how much longer than asked for everything may take. `stands_still`: whether the host will not
    do anything any more."""

    def __init__(self, connection, host, scale, stands_still):
        self._host, self._scale, self._stands_still = host, scale, stands_still
        self._connection = connection
        connection.settimeout(None)
        self._stream = connection.makefile("rb")
        self._changed = threading.Condition()
        self._sending = threading.Lock()
        self._processes = []
        self.ready = False
        self.closed = False
        self._thread = threading.Thread(target=self._receive, daemon=True)
        self._thread.start()

    def start(self, argv, environment, directory, stdin, name, console_file):
        with self._changed:
            process = RemoteProcess(self, name, len(self._processes), console_file)
            self._processes.append(process)
        self.send({"do": "run", "id": process._number, "argv": [str(word) for word in argv],
                   "env": environment, "cwd": str(directory)}, stdin)
        return process

    def send(self, header, payload=b""):
        with self._sending:
            try:
                self._connection.sendall(encode(header, payload))
            except OSError as error:
                raise LostHost(f"{self._host} takes no commands ({error})") from None

    def wait(self, condition, timeout, describe):
        deadline = time.monotonic() + timeout * self._scale
        with self._changed:
            while not condition():
                if time.monotonic() > deadline:
                    raise AssertionError(f"not within {timeout * self._scale:.0f} s: {describe()}")
                if not self.closed and self._stands_still():
                    raise LostHost(f"{self._host} stands still: {describe()}")
                self._changed.wait(0.1)

    def join(self):
        """After the host's end: takes what it had still said."""
        self._thread.join()
        self._stream.close()

    def _receive(self):
        try:
            while (frame := decode(self._stream)) is not None:
                with self._changed:
                    self._take(*frame)
                    self._changed.notify_all()
        except ConnectionError:
            pass  # QEMU is gone
        with self._changed:
            self.closed = True
            for process in self._processes:
                process.lost = not process.over()
            self._changed.notify_all()

    def _take(self, header, payload):
        if header["is"] == "ready":
            self.ready = True
            return
        process = self._processes[header["id"]]
        if process.mirror is not None:
            process.mirror.write(payload)
            process.mirror.flush()
        if header["is"] == "stdout":
            process.output += payload
            process.chunks.append((time.monotonic(), len(process.output)))
        elif header["is"] == "stderr":
            process.errors += payload
        elif header["is"] == "ended":
            process.returncode = header["status"]
        else:
            process.why = header["why"]
