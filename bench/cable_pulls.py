#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The cable between two healthy hosts is pulled again and again: whether the guest stays where it is, and
for how long its reader sees nothing.

bench/cable_pulls.py [--fmvm PATH] [--guests DIR] [--pulls 40] [--lost-after 200ms]

Each host is a network namespace, and the cable a veth pair whose end goes down: no reset, no closed
connection, only silence. Between two pulls the cable is in for long enough that the pair is in step again.
Needs root and iproute2. Exit status 0: the guest stayed each time, and what was shown is one story.
"""

import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

from common import new_parser, percentile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests/support"))
import observer  # noqa: E402

PORT = 7000
LIMIT_S = 60 * float(os.environ.get("FMVM_TIME_FACTOR", "1"))


def ip(*words):
    subprocess.run(["ip", *words], check=True)


@contextlib.contextmanager
def two_hosts():
    """Their names, joined by a cable whose end at the first is `cable`."""
    names = [f"fmvm-{os.getpid()}-{host}" for host in "ab"]
    made = []
    try:
        for name in names:
            ip("netns", "add", name)
            made.append(name)
        ip("link", "add", "cable", "netns", names[0], "type", "veth", "peer", "name", "cable", "netns",
           names[1])
        for number, name in enumerate(names, 1):
            ip("-n", name, "addr", "add", f"10.9.8.{number}/24", "dev", "cable")
            ip("-n", name, "link", "set", "cable", "up")
        yield names
    finally:
        for name in made:
            ip("netns", "del", name)


class Side:
    """fmvm on a host, whose console and log are files."""

    def __init__(self, settings, host, directory, name, *words):
        self.console_file, self.log_file = directory / f"{name}.console", directory / f"{name}.log"
        with open(self.console_file, "wb") as console, open(self.log_file, "wb") as log:
            self.process = subprocess.Popen(
                ["ip", "netns", "exec", host, settings.fmvm, *words, "--arbiter",
                 f"file:{directory}/arbiter"], stdin=subprocess.DEVNULL, stdout=console, stderr=log)

    def lines(self):
        return self.console_file.read_bytes().count(b"\n")

    def log(self):
        return self.log_file.read_text(errors="replace")

    def wait(self, condition, what):
        deadline = time.monotonic() + LIMIT_S
        while not condition():
            if time.monotonic() > deadline or self.process.poll() is not None:
                sys.exit(f"{what}\n{self.log()}")
            time.sleep(0.001)

    def wait_log(self, words, count=1):
        self.wait(lambda: self.log().count(words) >= count, f"the log does not say: {words}")

    def end(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.wait()


def pull(host, primary, number):
    """Pulls the cable; returns the reader's longest silence, in seconds, or None when the guest moved."""
    alone = primary.log().count("running unprotected")
    ip("-n", host, "link", "set", "cable", "down")
    seen, last, longest = primary.lines(), time.monotonic(), 0.0
    after = None  # lines since the primary runs alone
    deadline = time.monotonic() + LIMIT_S
    while after is None or seen < after + 20:
        if primary.process.poll() is not None or time.monotonic() > deadline:
            return None
        lines, now = primary.lines(), time.monotonic()
        if lines > seen:
            seen, last = lines, now
        longest = max(longest, now - last)
        if after is None and primary.log().count("running unprotected") > alone:
            after = seen
        time.sleep(0.0005)
    ip("-n", host, "link", "set", "cable", "up")
    primary.wait_log("protected by", number + 1)
    return longest


def main():
    parser = new_parser(__doc__)
    parser.add_argument("--pulls", type=int, default=40)
    parser.add_argument("--lost-after", default="200ms")
    settings = parser.parse_args()
    silences, moved = [], 0
    with tempfile.TemporaryDirectory(prefix="fmvm-cable-") as name, two_hosts() as (here, there):
        directory = pathlib.Path(name)
        backup = Side(settings, there, directory, "backup", "backup", "--listen", f"10.9.8.2:{PORT}",
                      "--insecure-plaintext", "--dir", directory / "dir")
        backup.wait_log("listening on")
        primary = Side(settings, here, directory, "primary", "primary", "--backup", f"10.9.8.2:{PORT}",
                       "--insecure-plaintext", "--lost-after", settings.lost_after, "--memory", "32M",
                       "--kernel", settings.guests / "counter.elf", "--cmdline", "rate=200")
        try:
            primary.wait_log("protected by")
            for number in range(1, settings.pulls + 1):
                time.sleep(0.5)
                silence = pull(here, primary, number)
                if silence is None:
                    moved += 1
                    print(f"{number}: the guest moved", flush=True)
                    break
                silences.append(silence)
                print(f"{number}: stayed; silence {silence * 1000:.0f} ms", flush=True)
        finally:
            primary.end()
            backup.end()
        observer.judge_counter(primary.console_file.read_bytes())
        if not moved and backup.console_file.stat().st_size:
            sys.exit("the backup has spoken, too")
    print(f"of {settings.pulls} pulls the guest stayed in {len(silences)}; silence, ms: "
          f"p50 {percentile(silences, 0.5) * 1000:.0f}  p99 {percentile(silences, 0.99) * 1000:.0f}")
    sys.exit(len(silences) != settings.pulls)


if __name__ == "__main__":
    main()
