#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""fmvm against QEMU microvm (Debian's), same guest, disk and command line, turn by turn in the same
run. Prints one line per row: medians [lowest..highest] and the ratio of fmvm's median to the best
of the others (above 1: fmvm is better).

bench/compare_qemu.py [--fmvm build/release/fmvm] [--guests build/release/guests/bare]
                      [--rounds 5] [--rows block,start,memory,init] [--linux DIR] [--initramfs FILE]
"""

import argparse
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

DISK_MIB = 256
LIMIT_S = 300
# QEMU as most would start it, and with the fastest block set-up it has.
QEMU_DISKS = {
    "qemu": (["-drive", "if=none,id=d,file={disk},format=raw"],
             ["-device", "virtio-blk-device,drive=d"]),
    "qemu-iothread": (["-object", "iothread,id=io",
                       "-drive", "if=none,id=d,file={disk},format=raw,aio=io_uring"],
                      ["-device", "virtio-blk-device,drive=d,iothread=io"]),
}


def qemu_command(kernel, cmdline, disk=None, flavour="qemu", initrd=None, memory="256"):
    command = ["qemu-system-x86_64", "-M",
               "microvm,acpi=off,x-option-roms=off,pit=on,pic=on,rtc=off,isa-serial=on,"
               "auto-kernel-cmdline=on",
               "-accel", "kvm", "-cpu", "host,-cx16,-arch-capabilities", "-m", memory, "-nodefaults", "-no-user-config",
               "-display", "none", "-serial", "stdio", "-no-reboot",
               "-global", "virtio-mmio.force-legacy=false",
               "-kernel", str(kernel), "-append", cmdline]
    if initrd:
        command += ["-initrd", str(initrd)]
    if disk:
        drive, device = QEMU_DISKS[flavour]
        command += [part.format(disk=disk) for part in drive] + device
    return command


def fmvm_command(settings, kernel, cmdline, disk=None, initrd=None):
    command = [str(settings.fmvm), "run", "--memory", "256M", "--kernel", str(kernel),
               "--cmdline", cmdline]
    if initrd:
        command += ["--initrd", str(initrd)]
    if disk:
        command += ["--disk", f"path={disk}"]
    return command


def commands(settings, kernel, cmdline, disk=None, initrd=None):
    """The same guest under every VMM; QEMU guests end by a reset, having no port 0x600."""
    result = {"fmvm": fmvm_command(settings, kernel, cmdline, disk, initrd)}
    for flavour in QEMU_DISKS if disk else ["qemu"]:
        result[flavour] = qemu_command(kernel, cmdline, disk, flavour, initrd)
    return result


def run_console(command):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          errors="replace", timeout=LIMIT_S)
    return done.stdout


def report(row, unit, values, smaller_is_better):
    medians = {vmm: statistics.median(samples) for vmm, samples in values.items()}
    others = [medians[vmm] for vmm in medians if vmm != "fmvm"]
    best = min(others) if smaller_is_better else max(others)
    ratio = best / medians["fmvm"] if smaller_is_better else medians["fmvm"] / best
    figures = "  ".join(f"{vmm} {medians[vmm]:.4g} [{min(samples):.4g}..{max(samples):.4g}]"
                        for vmm, samples in values.items())
    print(f"{row:34} {figures} {unit}   ratio {ratio:.2f}", flush=True)


def block_figures(vmm, output):
    """Requests per second and the median latency, from blkload's line."""
    found = re.search(r"iops=(\d+).* p50=([\d.]+)", output)
    if not found:
        sys.exit(f"{vmm}: no result: {output}")
    return float(found[1]), float(found[2])


def bench_block(settings, disk):
    kernel = settings.guests / "blkload.elf"
    for wait in ("poll", "irq"):
        for op in ("read", "write", "writeflush"):
            for depth in (1, 32):
                seconds = settings.seconds
                cmdline = f"op={op} depth={depth} wait={wait} seconds={seconds} end=reset"
                rates, latencies = {}, {}
                for _ in range(settings.rounds):
                    for vmm, command in commands(settings, kernel, cmdline, disk).items():
                        rate, latency = block_figures(vmm, run_console(command))
                        rates.setdefault(vmm, []).append(rate)
                        latencies.setdefault(vmm, []).append(latency)
                row = f"{op} depth {depth} ({wait})"
                report(row, "requests/s", rates, False)
                report(row + " p50", "us", latencies, True)


def bench_start(settings, _disk):
    kernel = settings.guests / "hello.elf"
    samples = {}
    for _ in range(settings.rounds):
        for vmm, command in commands(settings, kernel, "end=reset").items():
            output = subprocess.run([str(settings.first_byte), "5", *command],
                                    stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                    timeout=LIMIT_S, check=True).stdout
            samples.setdefault(vmm, []).extend(int(line) / 1000 for line in output.split())
    # An upper bound of exec to the first guest instruction: the guest prints at once.
    report("exec to the first console byte", "ms", samples, True)


def beyond_guest_ram_kib(pid):
    """RSS and PSS of everything but the largest mapping, which is the guest's RAM."""
    regions = []
    for line in pathlib.Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            regions.append({})
        else:
            key, _, value = line.partition(":")
            if value.strip().endswith("kB"):
                regions[-1][key] = int(value.split()[0])
    guest = max(regions, key=lambda region: region["Size"])
    return tuple(sum(region[key] for region in regions) - guest[key] for key in ("Rss", "Pss"))


def bench_memory(settings, disk):
    kernel = settings.guests / "blkload.elf"
    rss, pss = {}, {}
    for vmm, command in commands(settings, kernel, "op=mixed depth=32 seconds=30", disk).items():
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        try:
            for _ in range(3):
                time.sleep(2)
                beyond = beyond_guest_ram_kib(process.pid)
                rss.setdefault(vmm, []).append(beyond[0] / 1024)
                pss.setdefault(vmm, []).append(beyond[1] / 1024)
        finally:
            process.kill()
            process.wait()
    report("memory beyond guest RAM, RSS", "MiB", rss, True)
    report("memory beyond guest RAM, PSS", "MiB", pss, True)


def seconds_to_init(command):
    started = time.monotonic()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL)
    try:
        for line in process.stdout:
            if b"fmvm-init: ready" in line:
                return time.monotonic() - started
        sys.exit(f"no init: {command}")
    finally:
        process.kill()
        process.wait()


def bench_init(settings, disk):
    kernel = settings.linux / "vmlinux"
    cmdline = ("console=ttyS0 reboot=k panic=-1 quiet fmvm.work=none noxsave "
               "clearcpuid=308,295,151,158,306,145,298,311,312,534,514,59,137,147,148,129,153,317,297,580 tsc=reliable "
               "mitigations=off vdso=0 "
               "GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX2,-AVX512F,-AVX512VL,-AVX512BW,-AVX,"
               "-AVX_Fast_Unaligned_Load,-AVX2_Usable,-AVX512F_Usable")
    samples = {}
    for _ in range(settings.rounds):
        every = commands(settings, kernel, cmdline, disk, settings.initramfs)
        for vmm in ("fmvm", "qemu"):
            samples.setdefault(vmm, []).append(seconds_to_init(every[vmm]))
    report("exec to init of Linux", "s", samples, True)


ROWS = {"start": bench_start, "memory": bench_memory, "block": bench_block, "init": bench_init}


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    build = pathlib.Path("build/release")
    parser.add_argument("--fmvm", type=pathlib.Path, default=build / "fmvm")
    parser.add_argument("--guests", type=pathlib.Path, default=build / "guests/bare")
    parser.add_argument("--first-byte", type=pathlib.Path, default=build / "bench/first_byte")
    parser.add_argument("--linux", type=pathlib.Path, help="directory of the portable kernel")
    parser.add_argument("--initramfs", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--rows", default="start,memory,block,init")
    settings = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=".") as directory:
        disk = pathlib.Path(directory) / "disk.img"
        disk.write_bytes(bytes(1 << 20) * DISK_MIB)
        for row in settings.rows.split(","):
            ROWS[row](settings, disk)


if __name__ == "__main__":
    main()
