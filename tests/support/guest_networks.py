# SPDX-License-Identifier: Apache-2.0
"""The network between a client outside and the hosts whose guest it talks to, one for each backend of `--net`.

    network = TapNetwork("a", "b")  # or SocketNetwork(directory, "a", "b"); after networks.begin()
    fmvm ... --net {network.option("a")}; network.outside is where the client is

`moves`: (when, address, from, to) of each address that was heard at another host's port than before."""

import selectors
import socket
import threading
import time

from networks import SwitchedNetwork, new_tap
from relay import Relay

ETH_P_ALL = 3
PACKET_OUTGOING = 4  # <linux/if_packet.h>


class PortWatch:
    """Which addresses are heard at which ports of a switch, in the order of their frames."""

    def __init__(self, outside, ports):
        self.moves = []
        self._at = {}
        self._closing = False
        self._selector = selectors.DefaultSelector()
        self._sockets = [outside.inside(self._listen, port) for port in ports]
        for port, one in zip(ports, self._sockets):
            self._selector.register(one, selectors.EVENT_READ, port)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @staticmethod
    def _listen(port):
        one = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.htons(ETH_P_ALL))
        one.bind((port, ETH_P_ALL))
        return one

    def _run(self):
        while not self._closing:
            for key, _ in self._selector.select(0.05):
                try:
                    frame, sender = key.fileobj.recvfrom(14)
                except OSError:
                    continue
                if sender[2] != PACKET_OUTGOING:
                    self._heard(frame[6:12], key.data)

    def _heard(self, address, port):
        before = self._at.setdefault(address, port)
        if before != port:
            self.moves.append((time.monotonic(), address, before, port))
            self._at[address] = port

    def close(self):
        self._closing = True
        self._thread.join()
        self._selector.close()
        for one in self._sockets:
            one.close()


class TapNetwork:
    """fmvm makes a TAP on each host's bridge."""

    def __init__(self, *hosts):
        self._switched = SwitchedNetwork(*hosts)
        self.outside = self._switched.outside
        self._watch = PortWatch(self.outside, [f"port-{host}" for host in hosts])

    @staticmethod
    def interface(host):
        return f"vm-{host}"

    def option(self, host):
        return f"tap={self.interface(host)},bridge={self._switched.bridge(host)}"

    @property
    def moves(self):
        return self._watch.moves

    def close(self):
        self._watch.close()
        self._switched.close()


class SocketNetwork:
    """A relay joins a socket for each host with a TAP of the client's."""

    def __init__(self, directory, *hosts):
        self._switched = SwitchedNetwork()
        self.outside = self._switched.outside
        tap = self.outside.inside(new_tap, "client")
        self.outside.run("ip", "link", "set", "client", "master", "switch", "up")
        self._paths = {host: directory / f"net-{host}" for host in hosts}
        self.relay = Relay(*self._paths.values(), tap=tap)

    def option(self, host):
        return f"socket={self._paths[host]}"

    @property
    def moves(self):
        return self.relay.moves

    def close(self):
        self.relay.close()
        self._switched.close()
