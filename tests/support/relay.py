# SPDX-License-Identifier: Apache-2.0
"""A switch between the sockets of `--net socket=` and a TAP, by which a real TCP client talks to a guest without
rights of fmvm's. What it sends out of a port can be delayed, lost, put out of order, and held to a rate.

    relay = Relay("a.sock", "b.sock", tap=outside.inside(new_tap, "client"))
"""

import heapq
import os
import random
import selectors
import socket
import struct
import threading
import time

FRAME_MAX = 1 << 16
BACKLOG_MAX = 4 << 20  # bytes that a port keeps; what comes then is lost


class Port:
    """What the frames that leave by it have to go through; faults are set from any thread."""

    def __init__(self, name, chance):
        self.name = name
        self.delay_s = 0
        self.loss = 0  # of 1
        self.late = 0  # of 1: so many frames take another late_s, and are overtaken
        self.late_s = 0.01
        self.bytes_s = None  # the rate
        self.lost = 0
        self._chance = chance
        self._queue = []  # (when it leaves, number, frame)
        self._number = 0
        self._bytes = 0
        self._free_at = 0

    def put(self, frame, now):
        if self._chance.random() < self.loss or self._bytes > BACKLOG_MAX:
            self.lost += 1
            return
        self._free_at = max(self._free_at, now) + (len(frame) / self.bytes_s if self.bytes_s else 0)
        due = self._free_at + self.delay_s + (self.late_s if self._chance.random() < self.late else 0)
        heapq.heappush(self._queue, (due, self._number, frame))
        self._number += 1
        self._bytes += len(frame)

    def due_at(self):
        return self._queue[0][0] if self._queue else None

    def send_due(self, now):
        while self._queue and self._queue[0][0] <= now:
            frame = heapq.heappop(self._queue)[2]
            self._bytes -= len(frame)
            self.send(frame)

    def set_fair(self):
        self.delay_s = self.loss = self.late = 0
        self.bytes_s = None


class TapPort(Port):
    def __init__(self, tap, chance):
        super().__init__("tap", chance)
        self.tap = tap

    def receive(self):
        """Some frames, until there are no more for now."""
        for _ in range(64):
            try:
                yield os.read(self.tap, FRAME_MAX)
            except BlockingIOError:
                return

    def send(self, frame):
        try:
            os.write(self.tap, frame)
        except OSError:
            self.lost += 1

    def close(self):
        os.close(self.tap)


class SocketPort(Port):
    """Where one fmvm may be; another one may come when it has gone."""

    def __init__(self, path, chance, selector):
        super().__init__(str(path), chance)
        self._selector = selector
        self.stream = None
        self._received = bytearray()
        self._unsent = bytearray()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.name)
        self._listener.listen(4)
        self._selector.register(self._listener, selectors.EVENT_READ, self)

    def receive(self):
        if self.stream is None:
            self._accept()
            return
        try:
            part = self.stream.recv(FRAME_MAX * 4)
        except BlockingIOError:
            return
        except OSError:
            part = b""
        if not part:
            self._drop()
            return
        self._received += part
        yield from self._whole_frames()

    def _accept(self):
        """The next one waits until this one has gone."""
        self.stream, _ = self._listener.accept()
        self.stream.setblocking(False)
        self._selector.unregister(self._listener)
        self._selector.register(self.stream, selectors.EVENT_READ, self)

    def _drop(self):
        self._selector.unregister(self.stream)
        self.stream.close()
        self.stream = None
        self._received.clear()
        self._unsent.clear()
        self._selector.register(self._listener, selectors.EVENT_READ, self)

    def _whole_frames(self):
        at = 0
        while len(self._received) - at >= 4:
            (size,) = struct.unpack_from("!I", self._received, at)
            if len(self._received) - at < 4 + size:
                break
            yield bytes(self._received[at + 4:at + 4 + size])
            at += 4 + size
        del self._received[:at]

    def send(self, frame):
        if self.stream is None or len(self._unsent) > BACKLOG_MAX:
            self.lost += 1
            return
        self._unsent += struct.pack("!I", len(frame)) + frame

    def flush(self):
        """As much as goes; whether something is left."""
        if self.stream and self._unsent:
            try:
                del self._unsent[:self.stream.send(self._unsent)]
            except BlockingIOError:
                pass
            except OSError:
                self._unsent.clear()  # its end will be received
        return bool(self._unsent)

    def close(self):
        if self.stream:
            self.stream.close()
        self._listener.close()


class Relay:
    """`ports`: the sockets' in the order of their paths, then the TAP's. `moves`: (when, address, from, to) of each
    address that was heard at another port than before."""

    def __init__(self, *paths, tap, seed=1):
        chance = random.Random(seed)
        self._selector = selectors.DefaultSelector()
        self.tap = TapPort(tap, chance)
        self._selector.register(tap, selectors.EVENT_READ, self.tap)
        self.sockets = [SocketPort(path, chance, self._selector) for path in paths]
        self.ports = [*self.sockets, self.tap]
        self.moves = []
        self._at = {}  # the port of an address
        self._is_behind = False  # a socket takes no more for now
        self._closing = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def set_fair(self):
        for port in self.ports:
            port.set_fair()

    def _run(self):
        while not self._closing:
            for key, _ in self._selector.select(self._patience_s()):
                for frame in key.data.receive():
                    self._pass_on(frame, key.data)
            now = time.monotonic()
            for port in self.ports:
                port.send_due(now)
            self._is_behind = any([port.flush() for port in self.sockets])

    def _patience_s(self):
        now = time.monotonic()
        due = [at - now for port in self.ports if (at := port.due_at()) is not None]
        if self._is_behind:
            due.append(0.001)
        return max(0, min(due, default=0.05))

    def _pass_on(self, frame, source):
        now = time.monotonic()
        to, sender = frame[:6], frame[6:12]
        before = self._at.get(sender)
        if before is not source:
            if before:
                self.moves.append((now, sender, before.name, source.name))
            self._at[sender] = source
        target = self._at.get(to)
        for port in [target] if target else self.ports:
            if port is not source:
                port.put(frame, now)

    def close(self):
        self._closing = True
        self._thread.join()
        self._selector.close()
        for port in self.ports:
            port.close()
