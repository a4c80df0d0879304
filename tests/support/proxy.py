# SPDX-License-Identifier: Apache-2.0
"""A TCP proxy between a primary and its backup that misbehaves when it is told to.

    proxy = Proxy(backup_port); the primary connects to proxy.port

Faults apply to the connections that stand; a later one is served properly again. `to_backup` and
`to_primary` name the two directions. A channel has others that join it (docs/protocol.md,
"Joining"): a network's faults befall them all, damage is done to the channel.
"""

import select
import socket
import struct
import threading
import time

TO_BACKUP, TO_PRIMARY = "to_backup", "to_primary"
JOIN = (31).to_bytes(2, "little")  # the type of the first frame of a connection that joins a channel


class Flow:
    """One direction of one connection: copies bytes on a thread of its own."""

    def __init__(self, link, name, source, target):
        self.link, self.name, self.source, self.target = link, name, source, target
        self.frozen = False
        self.delay_s = 0
        self.passed = 0  # bytes
        self.joins = False  # it begins as one that joins a channel does
        self.cut_at = None  # position behind which the connection is cut
        self.flip_at = None  # position of a byte that is damaged
        self.flipped = False
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        try:
            while not self.link.closed:
                if self.frozen or not select.select([self.source], [], [], 0.01)[0]:
                    if self.frozen:
                        time.sleep(0.005)
                    continue
                data = self.source.recv(65536)
                if not data:
                    self.link.cut(rst=False)
                    return
                self._pass_on(bytearray(data))
        except OSError:
            self.link.cut(rst=True)

    def _pass_on(self, data):
        if self.passed == 0:
            self.joins = data[6:8] == JOIN
        if self.delay_s:
            time.sleep(self.delay_s)
        while self.frozen and not self.link.closed:
            time.sleep(0.005)
        if self.flip_at is not None and not self.flipped:
            at = self.flip_at - self.passed
            if at < len(data):
                data[max(at, 0)] ^= 0x10
                self.flipped = True
        if self.cut_at is not None and self.passed + len(data) >= self.cut_at:
            self.target.sendall(data[:max(self.cut_at - self.passed, 0)])
            self.link.cut(rst=False)
            return
        self.target.sendall(data)
        self.passed += len(data)


class Link:
    """One connection of the primary and the one to the backup that belongs to it."""

    def __init__(self, primary, backup):
        self.closed = False
        self._sockets = (primary, backup)
        for one in self._sockets:
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.flows = {TO_BACKUP: Flow(self, TO_BACKUP, primary, backup),
                      TO_PRIMARY: Flow(self, TO_PRIMARY, backup, primary)}

    def start(self):
        for flow in self.flows.values():
            flow.thread.start()

    def cut(self, rst):
        """Both ends see the same: an orderly end, or a reset."""
        self.closed = True
        for one in self._sockets:
            try:
                if rst:
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    one.close()
                else:
                    one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self.cut(rst=False)
        for flow in self.flows.values():
            flow.thread.join()
        for one in self._sockets:
            one.close()


class Proxy:
    """`prepare`, if given, is called with each new link before a byte of it is passed on."""

    def __init__(self, backup_port, prepare=None):
        self.backup_port = backup_port
        self.prepare = prepare
        self.links = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.05)
        self.port = self._listener.getsockname()[1]
        self._closing = False
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self):
        while not self._closing:
            try:
                primary, _ = self._listener.accept()
            except TimeoutError:
                continue
            try:
                backup = socket.create_connection(("127.0.0.1", self.backup_port))
            except OSError:
                primary.close()
                continue
            link = Link(primary, backup)
            if self.prepare:
                self.prepare(link)
            link.start()
            self.links.append(link)

    @property
    def link(self):
        """The newest channel."""
        channels = [link for link in self.links
                    if link.flows[TO_BACKUP].passed and not link.flows[TO_BACKUP].joins]
        return channels[-1]

    def flow(self, direction):
        """Of the newest channel."""
        return self.link.flows[direction]

    def flows(self, *directions):
        """Of all connections."""
        return [link.flows[direction] for link in self.links for direction in directions]

    def freeze(self, *directions):
        for flow in self.flows(*directions):
            flow.frozen = True

    def thaw(self):
        for flow in self.flows(TO_BACKUP, TO_PRIMARY):
            flow.frozen = False

    def cut(self, rst):
        for link in self.links:
            link.cut(rst)

    def close(self):
        self._closing = True
        self._thread.join()
        self._listener.close()
        for link in self.links:
            link.close()
