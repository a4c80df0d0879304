# SPDX-License-Identifier: Apache-2.0
"""A client of the service `serve` of the Linux guest (guests/linux/README.md), over one TCP connection."""

import random
import socket
import zlib

from fmvm_process import TIME_FACTOR

PORT = 7000


class ServeClient:
    """`outside`: the namespace it connects from (networks.py). `answers`: every append that was acknowledged, as
    check-served wants it."""

    def __init__(self, outside, timeout=30):
        self.stream = outside.connect(PORT, timeout * TIME_FACTOR)
        self.stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self.stream.makefile("rwb")
        self.answers = []

    def ask(self, request):
        self._file.write(request.encode() + b"\n")
        self._file.flush()
        answer = self._file.readline().decode()
        assert answer.endswith("\n"), f"the connection ended within the answer to {request!r}: {answer!r}"
        return answer[:-1]

    def append(self, text):
        """The number of the line, which is on the guest's disk."""
        answer = self.ask(f"append {text}")
        number, crc = answer.split()
        expected = zlib.crc32(f"{int(number):010} {text} ".encode())
        assert int(crc, 16) == expected, f"append {text!r} was answered {answer!r}, not {expected:08x}"
        self.answers.append(answer)
        return int(number)

    def check_take(self, size):
        """The guest receives so many bytes, and has got just these."""
        data = random.randbytes(size)
        self._file.write(b"take %d\n" % size + data)
        self._file.flush()
        self._check_crc(data, "sent")

    def check_give(self, size):
        """The guest sends so many bytes, and these are its own."""
        self._file.write(b"give %d\n" % size)
        self._file.flush()
        data = self._file.read(size)
        assert len(data) == size, f"{len(data)} of {size} bytes came"
        self._check_crc(data, "received")

    def _check_crc(self, data, how):
        answer = self._file.readline().decode().strip()
        assert answer == f"{zlib.crc32(data):08x}", f"{len(data)} bytes were {how}, and are others: {answer}"

    def quit(self):
        """The guest ends."""
        assert self.ask("quit") == "bye"
        self.close()

    def close(self):
        self._file.close()
        self.stream.close()
