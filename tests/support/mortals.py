# SPDX-License-Identifier: Apache-2.0
"""Processes with a sentinel (mortal.cpp), and somebody whom it tells of their death."""

import os
import selectors
import socket
import subprocess
import time

from sentinels import sentinel_of

LIMIT_S = 60 * float(os.environ.get("FMVM_TIME_FACTOR", "1"))


class Mortal:
    """The process, its own connection and its sentinel's."""

    def __init__(self, program, mib):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(LIMIT_S)
            self.process = subprocess.Popen(
                [program, str(listener.getsockname()[1]), str(mib)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
            accepted = [listener.accept()[0] for _ in range(2)]
        for connection in accepted:
            connection.settimeout(LIMIT_S)
            if connection.recv(7) == b"channel":
                self.channel = connection
            else:
                connection.sendall(b"yes")
                self.told = connection
        if self.process.stdout.readline() != b"ready\n":
            raise AssertionError("the process is not ready")
        self.sentinel = sentinel_of(self.process.pid)

    def kill(self):
        """When the sentinel told of it, when the process's own connection was closed, and when the
        process was gone; seconds."""
        events = selectors.DefaultSelector()
        process = os.pidfd_open(self.process.pid)
        for what in (self.told, self.channel, process):
            events.register(what, selectors.EVENT_READ)
        began = time.monotonic()
        self.process.kill()
        when = {}
        while events.get_map():
            for key, _ in events.select():
                when[key.fileobj] = time.monotonic() - began
                events.unregister(key.fileobj)
        os.close(process)
        return when[self.told], when[self.channel], when[process]

    def close(self):
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.channel, self.told):
            stream.close()
