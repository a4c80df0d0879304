#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The demonstration behind scripts/demo: a client outside asks a service in a protected Linux over and over, by one
TCP connection; the primary is killed with SIGKILL, and the backup carries on. Reports what the client saw.

takeover.py FMVM KERNEL INITRAMFS DISK BACKUP_DISK ANSWERS

Leaves the answers in BACKUP_DISK.answers, for guests/linux/check-served."""

import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests/support"))
from guest_networks import SocketNetwork, TapNetwork  # noqa: E402
import networks  # noqa: E402
from serve_client import ServeClient  # noqa: E402

LIMIT_S = 300
CMDLINE = "console=ttyS0 reboot=k panic=-1 quiet fmvm.work=serve fmvm.end=poweroff"
PAUSE_S = 0.02  # between two questions


class Side:
    """One fmvm process. Its console is shown on a terminal."""

    def __init__(self, name, *arguments):
        self.name = name
        self.lines = []
        self.process = subprocess.Popen(list(map(str, arguments)), stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, text=True, errors="replace")
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip())
            if sys.stderr.isatty():
                print(f"  {self.name:>7} | {line.rstrip()}", file=sys.stderr)

    def check(self):
        if self.process.poll() is not None:
            sys.exit(f"takeover: the {self.name} ended by itself, status {self.process.returncode}; "
                     "see its message above")


def make_network(directory):
    """A TAP on a bridge for each side, which is root's; otherwise a socket for each, and a relay."""
    is_root = os.geteuid() == 0
    try:
        networks.begin()
    except unittest.SkipTest as reason:
        sys.exit(f"takeover: {reason}")
    network = TapNetwork("primary", "backup") if is_root else SocketNetwork(directory, "primary", "backup")
    how = "each side's TAP is on a bridge" if is_root else "each side's socket is at a relay"
    return network, how


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start_pair(fmvm, kernel, initramfs, disk, backup_disk, network, directory):
    port = free_port()
    arbiter = ["--arbiter", f"file:{directory}/generation"]
    backup = Side("backup", fmvm, "backup", "--listen", f"127.0.0.1:{port}", "--dir", f"{directory}/backup", *arbiter,
                  "--disk", f"path={backup_disk}", "--net", network.option("backup"))
    primary = Side("primary", fmvm, "primary", "--backup", f"127.0.0.1:{port}", *arbiter, "--disk", f"path={disk}",
                   "--net", network.option("primary"), "--kernel", kernel, "--initrd", initramfs, "--memory", "256M",
                   "--cmdline", CMDLINE, "--trace", directory / "trace")
    return primary, backup


def wait_for(what, condition, *sides):
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        for side in sides:
            side.check()
        if time.monotonic() > deadline:
            sys.exit(f"takeover: {what} did not happen within {LIMIT_S} s")
        time.sleep(0.005)


class Questions:
    """Asked over one connection, each when the one before was answered. `answered_at`: when each was."""

    def __init__(self, network, count):
        self.client = ServeClient(network.outside, LIMIT_S)
        self.answered_at = []
        self.failure = None
        self._count = count
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        try:
            for number in range(1, self._count + 1):
                line = self.client.append("".join(random.choices("abcdefgh ", k=60)))
                assert line == number, f"answer {number} says that there are {line} lines"
                self.answered_at.append(time.monotonic())
                time.sleep(PAUSE_S)
        except (AssertionError, OSError, ValueError) as error:
            self.failure = error

    def wait_for(self, count, *sides):
        wait_for(f"answer {count}", lambda: self.failure or len(self.answered_at) >= count, *sides)
        if self.failure:
            sys.exit(f"takeover: the client's connection did not live: {self.failure}")


def median_ms(seconds):
    return sorted(seconds)[len(seconds) // 2] * 1000


def report(answered_at, killed_at, how, trace):
    before = [at for at in answered_at if at <= killed_at]
    after = answered_at[len(before):]
    gaps = [later - earlier for earlier, later in zip(answered_at, answered_at[1:])]
    epochs = [json.loads(line) for line in trace.read_text().splitlines() if line.endswith("}")]
    stood_ms = median_ms([epoch["stood_us"] / 1e6 for epoch in epochs])
    print(f"""
What happened:
  primary and backup each had a disk of their own; the backup's began empty, was made equal, and
  then carried out each request of the guest itself;
  the guest was protected for {len(epochs)} epochs, each of which stopped it for {stood_ms:.1f} ms (median);
  a client on another host of the guest's network ({how}) asked a
  service in the guest, over one TCP connection; an answer says that a line is on the guest's disk;
  after answer {len(before)} the primary was killed with SIGKILL; the backup gave answer {len(before) + 1}, {(after[0] - killed_at) * 1000:.0f} ms
  after the kill, over the same connection;
  the longest silence that the client saw was {max(gaps) * 1000:.0f} ms (answers came about every {median_ms(gaps):.0f} ms);
  {len(before)} answers came before the kill and {len(after)} after it, and none was taken back: each line had the
  number after that of the line before.""")


def main():
    fmvm, kernel, initramfs, disk, backup_disk, count = sys.argv[1:]
    count = int(count)
    with tempfile.TemporaryDirectory() as name:
        directory = pathlib.Path(name)
        network, how = make_network(directory)
        sides = primary, backup = start_pair(fmvm, kernel, initramfs, disk, backup_disk, network, directory)
        try:
            trace = directory / "trace"
            wait_for("protection", lambda: trace.exists() and trace.stat().st_size != 0, *sides)
            wait_for("the service's beginning", lambda: any("serve ready" in line for line in primary.lines), *sides)
            questions = Questions(network, count)
            questions.wait_for(max(2, count // 3), *sides)
            primary.process.send_signal(signal.SIGKILL)
            killed_at = time.monotonic()
            questions.wait_for(count, backup)
            questions.client.quit()
            wait_for("the guest's end on the backup", lambda: backup.process.poll() is not None)
            if backup.process.returncode != 0:
                sys.exit(f"takeover: the backup ended with status {backup.process.returncode}")
            report(questions.answered_at, killed_at, how, trace)
            pathlib.Path(backup_disk + ".answers").write_text(
                "".join(f"{answer}\n" for answer in questions.client.answers), encoding="ascii")
        finally:
            for side in sides:
                side.process.kill()
            network.close()


if __name__ == "__main__":
    main()
