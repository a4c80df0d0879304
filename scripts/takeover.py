#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The demonstration behind scripts/demo: a Linux guest writes fsynced records under protection, its
primary is killed with SIGKILL, and the backup carries on. Reports what a reader of the console saw.

takeover.py FMVM KERNEL INITRAMFS DISK BACKUP_DISK RECORDS"""

import json
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

LIMIT_S = 300
CMDLINE = "console=ttyS0 reboot=k panic=-1 quiet fmvm.work=records fmvm.count={} fmvm.end=poweroff"


class Side:
    """One fmvm process; remembers when each line of its console came."""

    def __init__(self, name, *arguments):
        self.name = name
        self.lines = []  # (time, text)
        self.process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, text=True, errors="replace")
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            self.lines.append((time.monotonic(), line.rstrip()))
            if sys.stderr.isatty():
                print(f"  {self.name:>7} | {line.rstrip()}", file=sys.stderr)

    def records(self):
        return [(at, line) for at, line in list(self.lines) if line.startswith("record ")]


def wait_for(what, condition):
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"takeover: {what} did not happen within {LIMIT_S} s")
        time.sleep(0.005)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start_pair(fmvm, kernel, initramfs, disk, backup_disk, count, directory):
    port = free_port()
    arbiter = ["--arbiter", f"file:{directory}/generation"]
    backup = Side("backup", fmvm, "backup", "--listen", f"127.0.0.1:{port}",
                  "--dir", f"{directory}/backup", *arbiter, "--disk", f"path={backup_disk}")
    primary = Side("primary", fmvm, "primary", "--backup", f"127.0.0.1:{port}", *arbiter,
                   "--disk", f"path={disk}", "--kernel", kernel, "--initrd", initramfs, "--memory", "256M",
                   "--cmdline", CMDLINE.format(count), "--trace", f"{directory}/trace")
    return primary, backup


def report(primary, backup, killed_at, trace):
    before = primary.records()
    shown = {line for _, line in before}
    after = [(at, line) for at, line in backup.records() if line not in shown]
    epochs = [json.loads(line) for line in trace.read_text().splitlines() if line.endswith("}")]
    stood = sorted(epoch["stood_us"] for epoch in epochs)
    silence_ms = (after[0][0] - before[-1][0]) * 1000
    print(f"""
What happened:
  primary and backup each had a disk of their own; the backup's began empty, was made equal, and
  then carried out each request of the guest itself;
  the guest was protected for {len(epochs)} epochs, each of which stopped it for {stood[len(stood) // 2] / 1000:.1f} ms (median);
  after "{before[-1][1]}" the primary was killed with SIGKILL;
  the backup went on with "{after[0][1]}", {(after[0][0] - killed_at) * 1000:.0f} ms after the kill:
  the reader of the console saw a silence of {silence_ms:.0f} ms (records come about every {pace_ms(before):.0f} ms);
  {len(before)} records were shown by the primary, {len(after)} more by the backup, and the guest powered off.""")


def pace_ms(records):
    return (records[-1][0] - records[0][0]) * 1000 / max(1, len(records) - 1)


def main():
    fmvm, kernel, initramfs, disk, backup_disk, count = sys.argv[1:]
    with tempfile.TemporaryDirectory() as name:
        directory = pathlib.Path(name)
        primary, backup = start_pair(fmvm, kernel, initramfs, disk, backup_disk, int(count),
                                     directory)
        try:
            trace = directory / "trace"
            wait_for("protection and a third of the records", lambda: (
                trace.exists() and trace.stat().st_size != 0
                and len(primary.records()) >= max(2, int(count) // 3))
                or primary.process.poll() is not None or backup.process.poll() is not None)
            for side in (primary, backup):
                if side.process.poll() is not None:
                    sys.exit(f"takeover: the {side.name} ended by itself, status "
                             f"{side.process.returncode}; see its message above")
            primary.process.send_signal(signal.SIGKILL)
            killed_at = time.monotonic()
            wait_for("the guest's end on the backup", lambda: backup.process.poll() is not None)
            primary.reader.join()
            backup.reader.join()
            if backup.process.returncode != 0 or not backup.records():
                sys.exit(f"takeover: the backup ended with status {backup.process.returncode}")
            if {line for _, line in primary.records()} >= {line for _, line in backup.records()}:
                sys.exit("takeover: the guest had ended before; ask for more records")
            report(primary, backup, killed_at, trace)
            with open(backup_disk + ".console", "a") as console:
                console.writelines(f"{line}\n" for _, line in primary.lines + backup.lines)
        finally:
            for side in (primary, backup):
                side.process.kill()


if __name__ == "__main__":
    main()
