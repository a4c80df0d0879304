# SPDX-License-Identifier: Apache-2.0
"""A host on the guest's network, with a few pages of IP of its own: at the other end of a
`--net socket=`, which needs no rights. What it sends and asks for is written from the RFCs, apart
from fmvm and its guests."""

import os
import select
import socket
import struct
import time

from fmvm_process import TIME_FACTOR

MAC = bytes.fromhex("020000000001")
BROADCAST = b"\xff" * 6
ADDRESS = "10.0.2.2"
GUEST = "10.0.2.15"
ECHO_PORT, VALUE_PORT = 7, 1024


def checksum(data):
    """RFC 1071."""
    total = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + b"\0" * (len(data) % 2)))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


class Port:
    """A Unix socket at which one fmvm may be."""

    def __init__(self, path):
        self.path = path
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(1)
        self.stream = None
        self.buffer = b""

    def take(self):
        """The next frame that is there whole."""
        if len(self.buffer) < 4:
            return None
        (size,) = struct.unpack("!I", self.buffer[:4])
        if len(self.buffer) < 4 + size:
            return None
        frame, self.buffer = self.buffer[4:4 + size], self.buffer[4 + size:]
        return frame

    def drop(self):
        if self.stream:
            self.stream.close()
        self.stream = None
        self.buffer = b""


class NetPeer:
    """Listens at each of the paths; a switch between them and this host. No thread: what it does, it
    does within a call. The guest's address may move from one port to another, and never back."""

    def __init__(self, *paths):
        self.ports = [Port(path) for path in paths]
        self.is_alone = len(paths) == 1  # nobody else can take the place of one who goes
        self.path = paths[0]
        self.guest_mac = None
        self.guest_at = None  # the port from which the guest's address was heard last
        self.left = set()  # ports at which it was before
        self.seen = []  # frames that were not asked for

    def close(self):
        for port in self.ports:
            port.drop()
            port.listener.close()
            os.unlink(port.path)

    @property
    def stream(self):
        return self.ports[0].stream

    def drop(self, index=0):
        self.ports[index].drop()

    def accept(self, timeout=30):
        """Waits for the one who is expected at the first port. Others may come at any time."""
        port = self.ports[0]
        port.listener.settimeout(timeout * TIME_FACTOR)
        port.stream, _ = port.listener.accept()

    # Frames.
    def send_frame(self, frame):
        """To where the guest was heard last; everywhere before that, as a switch does."""
        for index, port in enumerate(self.ports):
            if port.stream and self.guest_at in (None, index):
                try:
                    port.stream.sendall(struct.pack("!I", len(frame)) + frame)
                except (BrokenPipeError, ConnectionResetError):
                    port.drop()

    def frame(self, timeout=10):
        """The next frame; None when the time is over or nobody is there."""
        deadline = time.monotonic() + timeout * TIME_FACTOR
        while True:
            for index, port in enumerate(self.ports):
                if (frame := port.take()) is not None:
                    self._learn(frame[6:12], index)
                    return frame
            streams = {port.stream: port for port in self.ports if port.stream}
            listeners = {port.listener: port for port in self.ports}
            left = deadline - time.monotonic()
            if left <= 0 or (self.is_alone and not streams):
                return None
            for stream in select.select([*streams, *listeners], [], [], left)[0]:
                if stream in listeners:
                    listeners[stream].drop()
                    listeners[stream].stream, _ = stream.accept()
                    continue
                if streams[stream].stream is not stream:
                    continue  # another has taken its place
                try:
                    part = stream.recv(1 << 16)
                except ConnectionResetError:
                    part = b""
                if part:
                    streams[stream].buffer += part
                else:
                    whole = streams[stream].buffer  # what it said last still counts
                    streams[stream].drop()
                    streams[stream].buffer = whole

    def _learn(self, mac, index):
        if self.guest_mac is None:
            self.guest_mac = mac
        if mac != self.guest_mac or self.guest_at == index:
            return
        assert index not in self.left, f"the guest is heard at port {index}, which it had left"
        if self.guest_at is not None:
            self.left.add(self.guest_at)
        self.guest_at = index

    # ARP.
    def arp_request(self):
        body = struct.pack("!HHBBH6s4s6s4s", 1, 0x0800, 6, 4, 1, MAC, socket.inet_aton(ADDRESS),
                           bytes(6), socket.inet_aton(GUEST))
        self.send_frame(BROADCAST + MAC + b"\x08\x06" + body)

    def resolve(self, timeout=30):
        """Asks for the guest's address until it answers."""
        deadline = time.monotonic() + timeout * TIME_FACTOR
        while time.monotonic() < deadline:
            self.arp_request()
            while frame := self.frame(0.5):
                if frame[12:14] != b"\x08\x06" or frame[20:22] != b"\0\x02":
                    self.seen.append(frame)
                    continue
                assert frame[22:28] == self.guest_mac, "another address than the frame's"
                return self.guest_mac
        raise AssertionError("the guest answers no ARP request")

    # IP.
    def send_ip(self, protocol, payload):
        header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 1, 0, 64, protocol, 0,
                             socket.inet_aton(ADDRESS), socket.inet_aton(GUEST))
        header = header[:10] + struct.pack("!H", checksum(header)) + header[12:]
        self.send_frame(self.guest_mac + MAC + b"\x08\x00" + header + payload)

    def receive_ip(self, protocol, timeout=10):
        """The next payload of this protocol, whose header is right; None if there is none."""
        deadline = time.monotonic() + timeout * TIME_FACTOR
        while (left := deadline - time.monotonic()) > 0:
            frame = self.frame(left / TIME_FACTOR)
            if frame is None:
                return None
            if frame[12:14] != b"\x08\x00" or frame[23] != protocol:
                self.seen.append(frame)
                continue
            header = frame[14:34]
            assert checksum(header) == 0, "a wrong IP checksum"
            assert frame[:6] == MAC and header[12:] == socket.inet_aton(GUEST) + \
                socket.inet_aton(ADDRESS), f"somebody else's packet: {frame!r}"
            return frame[34:14 + struct.unpack("!H", header[2:4])[0]]
        return None

    def ping(self, data, timeout=10):
        """The data that comes back."""
        body = struct.pack("!BBHHH", 8, 0, 0, 1, 1) + data
        body = body[:2] + struct.pack("!H", checksum(body)) + body[4:]
        self.send_ip(1, body)
        answer = self.receive_ip(1, timeout)
        if answer is None:
            return None
        assert answer[:2] == b"\0\0" and checksum(answer) == 0, "no right echo reply"
        return answer[8:]

    def send_udp(self, port, data):
        self.send_ip(17, struct.pack("!HHHH", 4000, port, 8 + len(data), 0) + data)

    def receive_udp(self, timeout=10):
        answer = self.receive_ip(17, timeout)
        if answer is None:
            return None
        assert struct.unpack("!H", answer[2:4])[0] == 4000, "not to the port that asked"
        return answer[8:]

    def ask(self, port, data, timeout=10):
        self.send_udp(port, data)
        return self.receive_udp(timeout)

    def echo(self, data, timeout=10):
        """What comes back, and the number of the answer."""
        answer = self.ask(ECHO_PORT, data, timeout)
        assert answer is not None, "no answer to a datagram"
        return answer[:-8], struct.unpack("!Q", answer[-8:])[0]
