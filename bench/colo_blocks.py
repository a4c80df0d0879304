# SPDX-License-Identifier: Apache-2.0
"""The column COLO+NBD of compare_blocks.py: QEMU's COLO with its block replication. The primary's quorum
sends every write to the secondary's NBD server as well, where it waits for the next checkpoint; checkpoints
are periodic, as there is no network to compare."""

import contextlib
import statistics
import subprocess

from block_rows import Vm
from compare_qemu import qemu_command
from qemu_colo import Qmp, colo_stops_us, protect

INTERVAL_MS = 50  # fmvm's default


def command(row, name, directory, drives, *more):
    options = dict(zip(row.options[::2], row.options[1::2]))
    parts = qemu_command(options["--kernel"], options["--cmdline"] + " end=reset",
                         memory=options["--memory"])
    parts += ["-qmp", f"unix:{directory}/{name}.qmp,server=on,wait=off", "-trace", "colo*", "-D",
              f"{directory}/{name}.log", "-msg", "timestamp=on", *more]
    for drive in drives:
        parts += ["-drive", drive]
    return parts + ["-device", "virtio-blk-device,drive=colo-disk0"]


def quorum(child):
    return ("if=none,id=colo-disk0,driver=quorum,read-pattern=fifo,vote-threshold=1,"
            f"children.0{child}")


def secondary_drives(directory):
    for name in ("active", "hidden"):
        size = (directory / "b.img").stat().st_size
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", directory / f"{name}.qcow2",
                        str(size)], check=True)
    return [f"if=none,id=parent0,file.filename={directory}/b.img,driver=raw",
            "if=none,id=childs0,driver=replication,mode=secondary,file.driver=qcow2,"
            f"top-id=colo-disk0,file.file.filename={directory}/active.qcow2,"
            f"file.backing.driver=qcow2,file.backing.file.filename={directory}/hidden.qcow2,"
            "file.backing.backing=parent0", quorum("=childs0")]


def replicate_writes(primary, secondary, directory):
    address = {"type": "unix", "data": {"path": f"{directory}/nbd.sock"}}
    secondary.do("nbd-server-start", addr=address)
    secondary.do("nbd-server-add", device="parent0", writable=True)
    drive = (f"driver=replication,mode=primary,file.driver=nbd,file.server.type=unix,"
             f"file.server.path={directory}/nbd.sock,file.export=parent0,node-name=replication0")
    primary.do("human-monitor-command", **{"command-line": f"drive_add -n buddy {drive}"})
    primary.do("x-blockdev-change", parent="colo-disk0", node="replication0")


def with_colo(row, directory):
    """(what the guest achieved, stop time p50 in us). The guest waits for COLO to begin."""
    with contextlib.ExitStack() as stack:
        vms, monitors = [], []
        drives = {"primary": [quorum(f".file.filename={directory}/a.img,children.0.driver=raw")],
                  "secondary": secondary_drives(directory)}
        for name, more in (("primary", ("-S",)), ("secondary", ("-incoming", "defer"))):
            vms.append(Vm(command(row, name, directory, drives[name], *more)))
            stack.callback(vms[-1].end)
            monitors.append(Qmp(f"{directory}/{name}.qmp"))
        replicate_writes(*monitors, directory)
        protect(*monitors, directory, INTERVAL_MS)
        achieved = row.measure(vms[0])
        return achieved, statistics.median(colo_stops_us(directory / "primary.log"))
