# SPDX-License-Identifier: Apache-2.0
"""A network that only this process and its children see, and that ends with them, whichever way they end:

    client 10.0.2.2 ── switch ─┬── port a ──┬── bridge a ── the TAP of an fmvm
                               └── port b ──┴── bridge b ── the TAP of another
    namespace `outside`                     the process's own namespace

A side of fmvm and the client share nothing but the wire between them. The process's own namespace has a loopback
interface, by which a primary and its backup talk. Needs root, or a host that lets users make namespaces."""

import ctypes
import errno
import fcntl
import json
import os
import socket
import struct
import subprocess
import threading
import time
import unittest

CLIENT, GUEST = "10.0.2.2", "10.0.2.15"
NETWORK_BITS = 24
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454ca, 0x0002, 0x1000
libc = ctypes.CDLL(None, use_errno=True)


def checked(result, what):
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def begin():
    """A new namespace for this process, which has one thread. A test is skipped where that is not allowed."""
    uid, gid = os.getuid(), os.getgid()
    try:
        checked(libc.unshare(CLONE_NEWNET | (CLONE_NEWUSER if uid else 0)), "unshare")
        if uid:
            for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
                with open(f"/proc/self/{name}", "w") as file:
                    file.write(text)
        os.close(os.open("/dev/net/tun", os.O_RDWR))
    except OSError as error:
        raise unittest.SkipTest(f"a network of its own needs root, or user namespaces and /dev/net/tun: {error}")
    ip("link", "set", "lo", "up")


def ip(*words):
    subprocess.run(["ip", *map(str, words)], check=True)


def new_tap(name):
    """A new interface of the calling thread's namespace, as a descriptor of frames. It ends with that."""
    tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
    return tap


class Namespace:
    """Another one, which lasts as long as a descriptor of this process."""

    def __init__(self):
        self.fd = self._in_a_thread(self._make)
        self.run("ip", "link", "set", "lo", "up")

    @property
    def path(self):
        return f"/proc/{os.getpid()}/fd/{self.fd}"

    @staticmethod
    def _make():
        checked(libc.unshare(CLONE_NEWNET), "unshare")
        return os.open("/proc/thread-self/ns/net", os.O_RDONLY)

    @staticmethod
    def _in_a_thread(function):
        """A thread's namespace is its own, and so ends with it. What the function returns, or raises."""
        outcome = []

        def call():
            try:
                outcome.extend((function(), None))
            except BaseException as error:  # pylint: disable=broad-except
                outcome.extend((None, error))

        thread = threading.Thread(target=call)
        thread.start()
        thread.join()
        if outcome[1]:
            raise outcome[1]
        return outcome[0]

    def inside(self, function, *arguments):
        """What the function returns in there: sockets and TAPs stay where they were made."""
        def call():
            checked(libc.setns(self.fd, CLONE_NEWNET), "setns")
            return function(*arguments)

        return self._in_a_thread(call)

    def command(self, *words):
        return ["nsenter", f"--net={self.path}", *map(str, words)]

    def connect(self, port, timeout_s):
        """A TCP connection to the guest. ARP asks for an address for three seconds only, so it is asked again."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                return self.inside(socket.create_connection, (GUEST, port), timeout_s)
            except OSError as error:
                if error.errno != errno.EHOSTUNREACH or time.monotonic() > deadline:
                    raise

    def run(self, *words, **options):
        """A program in there that must succeed; its output."""
        done = subprocess.run(self.command(*words), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                              check=True, **options)
        return done.stdout

    def close(self):
        os.close(self.fd)


class SwitchedNetwork:
    """After begin(). A host's bridge is bridge(name), for `--net tap=NAME,bridge=BRIDGE`."""

    def __init__(self, *hosts):
        self._hosts = hosts
        self.outside = Namespace()
        self.outside.run("ip", "link", "add", "switch", "type", "bridge")
        for host in hosts:
            self._connect(host)
        self.outside.run("ip", "addr", "add", f"{CLIENT}/{NETWORK_BITS}", "dev", "switch")
        self.outside.run("ip", "link", "set", "switch", "up")

    @staticmethod
    def bridge(host):
        return f"bridge-{host}"

    def _connect(self, host):
        ip("link", "add", self.bridge(host), "type", "bridge")
        ip("link", "add", f"uplink-{host}", "type", "veth", "peer", "name", f"port-{host}", "netns", self.outside.path)
        ip("link", "set", f"uplink-{host}", "master", self.bridge(host))
        for name in (f"uplink-{host}", self.bridge(host)):
            ip("link", "set", name, "up")
        self.outside.run("ip", "link", "set", f"port-{host}", "master", "switch")
        self.outside.run("ip", "link", "set", f"port-{host}", "up")

    def close(self):
        """For the next one in this process; its end takes all of it along, too."""
        for host in self._hosts:
            for name in (f"uplink-{host}", self.bridge(host)):
                ip("link", "delete", name)
        self.outside.close()


def statistics(interface):
    """Of an interface of this namespace: {"rx": {"bytes": ..., "packets": ...}, "tx": ...}."""
    shown = subprocess.run(["ip", "-s", "-j", "link", "show", interface], stdout=subprocess.PIPE, check=True)
    return json.loads(shown.stdout)[0]["stats64"]
