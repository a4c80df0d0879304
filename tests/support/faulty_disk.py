# SPDX-License-Identifier: Apache-2.0
"""A disk image on a file system of ours (FUSE, by /dev/fuse itself), which fails, delays or does in
part what it is asked to do when a test says so. Nothing is cached: each read, write and flush of a
process, however it is made (io_uring included), gets here or fails.

Needs private_mounts.begin() before.
"""

import errno
import heapq
import os
import pathlib
import select
import stat
import struct
import threading
import time

import private_mounts

# include/uapi/linux/fuse.h
LOOKUP, FORGET, GETATTR, OPEN, READ, WRITE, RELEASE, FSYNC, FLUSH, INIT, OPENDIR, RELEASEDIR = (
    1, 2, 3, 14, 15, 16, 18, 20, 25, 26, 27, 29)
INTERRUPT, BATCH_FORGET = 36, 42
ROOT, IMAGE = 1, 2  # node numbers
MAJOR, MINOR = 7, 31
BIG_WRITES, DIRECT_IO = 1 << 5, 1
TRANSFER_MAX = 128 << 10
REQUEST_MAX = TRANSFER_MAX + 4096
SECTOR = 512
NAME = "disk.img"
OPERATIONS = {READ: "read", WRITE: "write", FSYNC: "flush"}


class FaultyDisk:
    """`directory` is empty, and a mount point until close(). `content`: the image's, as it is now."""

    def __init__(self, directory, size):
        self.content = bytearray(size)
        self.path = pathlib.Path(directory) / NAME
        self.hits = 0  # requests that met with a fault
        self._directory = directory
        self._faults = {}  # "read", "write", "flush" -> errno
        self._delay_s = 0
        self._short = False
        self._waiting = []  # heap of (when, number, answer)
        self._fuse = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
        private_mounts.mount("faulty", directory, "fuse",
                             f"fd={self._fuse},rootmode=40000,user_id=0,group_id=0")
        self._wake, wake = os.pipe()
        self._stop = os.fdopen(wake, "wb", buffering=0)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def fail(self, error, *operations):
        self._faults = dict.fromkeys(operations, error)

    def delay(self, seconds):
        """Of each request from now on."""
        self._delay_s = seconds

    def shorten(self):
        """Each write writes half of what it was asked to. (Reads do not: io_uring goes on with a
        short one by itself, and for FUSE at the wrong place, as Linux 6.18 does.)"""
        self._short = True

    def heal(self):
        self._faults, self._delay_s, self._short = {}, 0, False

    def close(self):
        self.heal()
        private_mounts.unmount(self._directory)
        self._stop.close()  # ends the thread
        self._thread.join()
        os.close(self._wake)
        os.close(self._fuse)  # whoever still waits for an answer gets an error

    def _serve(self):
        while True:
            timeout = max(0, self._waiting[0][0] - time.monotonic()) if self._waiting else None
            ready, _, _ = select.select([self._fuse, self._wake], [], [], timeout)
            if self._wake in ready:
                return
            if self._fuse in ready:
                self._take()
            while self._waiting and self._waiting[0][0] <= time.monotonic():
                self._send(heapq.heappop(self._waiting)[2])

    def _take(self):
        try:
            request = os.read(self._fuse, REQUEST_MAX)
        except OSError:  # withdrawn, or unmounted
            return
        _, operation, number, node = struct.unpack_from("<IIQQ", request)
        if operation in (FORGET, BATCH_FORGET, INTERRUPT):
            return
        body = request[40:]
        try:
            answer, error = self._answer(operation, node, body), 0
        except OSError as failure:
            answer, error = b"", failure.errno
        header = struct.pack("<IiQ", 16 + len(answer), -error, number)
        if operation in OPERATIONS and self._delay_s:
            self.hits += 1
            heapq.heappush(self._waiting, (time.monotonic() + self._delay_s, number, header + answer))
        else:
            self._send(header + answer)

    def _send(self, answer):
        try:
            os.write(self._fuse, answer)
        except OSError:  # nobody waits any more
            pass

    def _answer(self, operation, node, body):
        if error := self._faults.get(OPERATIONS.get(operation)):
            self.hits += 1
            raise OSError(error, "as the test wants it")
        if operation == READ:
            offset, size = struct.unpack_from("<QI", body, 8)
            return bytes(self.content[offset:offset + size])
        if operation == WRITE:
            offset, size = struct.unpack_from("<QI", body, 8)
            return self._write(offset, body[40:40 + size])
        if operation in (FSYNC, FLUSH, RELEASE, RELEASEDIR):
            return b""
        if operation == GETATTR:
            return struct.pack("<QII", 0, 0, 0) + self._attributes(node)
        if operation == LOOKUP:
            if body.rstrip(b"\0") != NAME.encode():
                raise OSError(errno.ENOENT, "no such file")
            return struct.pack("<QQQQII", IMAGE, 0, 0, 0, 0, 0) + self._attributes(IMAGE)
        if operation in (OPEN, OPENDIR):
            return struct.pack("<QII", 0, DIRECT_IO, 0)
        if operation == INIT:
            return struct.pack("<IIIIHHII", MAJOR, MINOR, TRANSFER_MAX, BIG_WRITES, 16, 12,
                               TRANSFER_MAX, 1) + bytes(36)
        raise OSError(errno.ENOSYS, "not here")

    def _attributes(self, node):
        kind = stat.S_IFDIR | 0o700 if node == ROOT else stat.S_IFREG | 0o600
        size = len(self.content)
        return struct.pack("<6Q10I", node, size, size // SECTOR, 0, 0, 0, 0, 0, 0, kind, 1, 0, 0, 0,
                           4096, 0)

    def _write(self, offset, data):
        size = len(data)
        if self._short and size > SECTOR:
            self.hits += 1
            size = size // 2 // SECTOR * SECTOR
        if offset + size > len(self.content):
            raise OSError(errno.ENOSPC, "beyond the end")
        self.content[offset:offset + size] = data[:size]
        return struct.pack("<II", size, 0)
