#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What keeping two disks equal costs, from one binary: the comparison of the paper that fmvm
implements. Columns: unprotected; Kemari without shared storage (kemari+copy); Forever as published
(kemari+replay); fmvm's epochs with copied data (adaptive+copy); fmvm (adaptive+replay). Rows: a bare
guest's block requests. All in turns in the same run.

For each: requests/s relative to unprotected, p50 of the added latency, bytes on the wire for each
byte the guest wrote or read, stop time p50.

bench/compare_blocks.py [--rounds 2] [--seconds 4] [--rows NAME,...] [--json FILE]
"""

import argparse
import dataclasses
import json
import pathlib
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

SETTLE_MS = 1500
LIMIT_S = 120
DISK_MIB = 64
POOL_MIB = 32  # the guest's page cache, as it were
ROWS = {
    "sequential write": "op=write seq=1 fresh=1 depth=8 block=65536",
    "random write": "op=write fresh=1 depth=8",
    "write+flush": "op=writeflush fresh=1 depth=1",
    "sequential read": "op=read seq=1 depth=8 block=65536",
    "random read": "op=read depth=8",
    "copy": "op=copy depth=8 block=65536",
}
COLUMNS = {
    "unprotected": None,
    "kemari+copy": ("kemari", "copy"),
    "kemari+replay": ("kemari", "replay"),
    "adaptive+copy": ("adaptive", "copy"),
    "adaptive+replay": ("adaptive", "replay"),
}


@dataclasses.dataclass
class Measured:
    rate: float  # requests/s
    p50_us: float
    wire: float = 0.0  # bytes for each byte of the guest's
    stop_ms: float = 0.0


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def make_disk(path):
    """Full of bytes that no compression and no zero page makes smaller."""
    with open("/dev/urandom", "rb") as source, open(path, "wb") as disk:
        for _ in range(DISK_MIB):
            disk.write(source.read(1 << 20))


def parse(output):
    found = re.search(r"block=(\d+) requests=(\d+) .*seconds=([\d.]+) iops=(\d+) lat_us p50=([\d.]+)",
                      output)
    if not found:
        sys.exit(f"no result: {output}")
    return (Measured(float(found[4]), float(found[5])), int(found[1]) * int(found[2]),
            float(found[3]))


def guest_options(settings, row):
    cmdline = f"{ROWS[row]} seconds={settings.seconds} settle_ms={SETTLE_MS} pool_mib={POOL_MIB} wait=irq"
    return ["--memory", "128M", "--kernel", str(settings.guests / "blkload.elf"),
            "--cmdline", cmdline]


def unprotected(settings, row, directory):
    done = subprocess.run([settings.fmvm, "run", *guest_options(settings, row), "--disk",
                           f"path={directory}/a.img"], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=LIMIT_S)
    return parse(done.stdout)[0]


def epochs_of(trace, seconds):
    """The epochs of the measurement: those before the guest's end, for so long, without the first."""
    epochs = [json.loads(line) for line in trace.read_text().splitlines() if line.endswith("}")]
    taken, passed = [], 0.0
    for epoch in reversed(epochs):
        if epoch["epoch"] == 1 or passed > seconds:
            break
        passed += epoch["interval_us"] / 1e6
        taken.append(epoch)
    return taken


def protected(settings, row, mode, directory):
    sync, block = mode
    port = free_port()
    for name in ("a.img.fmvm", "b.img.fmvm"):
        (directory / name).unlink(missing_ok=True)
    shutil.copyfile(directory / "a.img", directory / "b.img")
    common = ["--arbiter", f"file:{directory}/arbiter", "--block", block]
    with open(directory / "backup.log", "w") as log:
        backup = subprocess.Popen(
            [settings.fmvm, "backup", "--listen", f"127.0.0.1:{port}", "--dir",
             f"{directory}/state", *common, "--disk", f"path={directory}/b.img"],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        time.sleep(0.3)
        trace = directory / "trace"
        done = subprocess.run(
            [settings.fmvm, "primary", "--backup", f"127.0.0.1:{port}", *common,
             *guest_options(settings, row), "--disk", f"path={directory}/a.img", "--sync", sync,
             "--trace", trace], stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=LIMIT_S)
        measured, guest_bytes, seconds = parse(done.stdout)
        if "protected by" not in done.stderr or "lost the backup" in done.stderr:
            sys.exit(f"{row}, {mode}: was not protected: {done.stderr}")
        if backup.wait(30) != 0:
            sys.exit(f"{row}, {mode}: the backup failed: {(directory / 'backup.log').read_text()}")
        epochs = epochs_of(trace, seconds)
        measured.wire = sum(epoch["bytes"] for epoch in epochs) / guest_bytes
        measured.stop_ms = statistics.median(epoch["stood_us"] for epoch in epochs) / 1000
        return measured
    finally:
        backup.kill()
        backup.wait()
        shutil.rmtree(directory / "state", ignore_errors=True)
        for claim in directory.glob("arbiter.*"):
            claim.unlink()


def run_row(settings, row, directory):
    samples = {}
    for _ in range(settings.rounds):
        for name, mode in COLUMNS.items():
            one = (protected(settings, row, mode, directory) if mode
                   else unprotected(settings, row, directory))
            samples.setdefault(name, []).append(one)
    return {name: Measured(*(statistics.median(getattr(one, field.name) for one in ones)
                             for field in dataclasses.fields(Measured)))
            for name, ones in samples.items()}


def report(row, result):
    base = result["unprotected"]
    print(f"{row}: unprotected {base.rate:.0f} requests/s, p50 {base.p50_us:.0f} us")
    for name, one in result.items():
        if name != "unprotected":
            print(f"  {name:16} {one.rate / base.rate * 100:6.1f} % of the rate   "
                  f"latency {one.p50_us - base.p50_us:+9.0f} us   wire {one.wire:6.3f} x   "
                  f"stop p50 {one.stop_ms:7.2f} ms", flush=True)


def main():
    build = pathlib.Path(__file__).resolve().parents[1] / "build/release"
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fmvm", type=pathlib.Path, default=build / "fmvm")
    parser.add_argument("--guests", type=pathlib.Path, default=build / "guests/bare")
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--rows", default=",".join(ROWS))
    parser.add_argument("--json", type=pathlib.Path)
    settings = parser.parse_args()
    results = {}
    with tempfile.TemporaryDirectory(prefix="fmvm-bench-") as name:
        directory = pathlib.Path(name)
        make_disk(directory / "a.img")
        for row in settings.rows.split(","):
            results[row] = run_row(settings, row, directory)
            report(row, results[row])
    if settings.json:
        settings.json.write_text(json.dumps(
            {row: {name: dataclasses.asdict(one) for name, one in result.items()}
             for row, result in results.items()}, indent=1))


if __name__ == "__main__":
    main()
