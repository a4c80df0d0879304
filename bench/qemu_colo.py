# SPDX-License-Identifier: Apache-2.0
"""QEMU's COLO, as the benchmarks set it up: two QEMUs of Debian's, told what to do by QMP."""

import json
import re
import socket
import time

START_LIMIT_S = 30


class Qmp:
    def __init__(self, path):
        deadline = time.monotonic() + START_LIMIT_S
        while True:
            try:
                self.socket = socket.socket(socket.AF_UNIX)
                self.socket.connect(str(path))
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        self.file = self.socket.makefile("rw")
        self.file.readline()
        self.do("qmp_capabilities")

    def do(self, command, **arguments):
        self.file.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self.file.flush()
        while True:
            answer = json.loads(self.file.readline())
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                raise SystemExit(f"QEMU: {command}: {answer['error']['desc']}")


def colo_stops_us(log):
    """Run-to-stop and stop-to-run transitions of the primary, from its trace."""
    stops, stopped_at = [], None
    for line in log.read_text(errors="replace").splitlines():
        found = re.match(r"(?:\d+@)?([\d.]+).*colo_vm_state_change.*'(\w+)' => '(\w+)'", line)
        if not found:
            continue
        at = float(found[1])
        if found[3] == "stop":
            stopped_at = at
        elif found[3] == "run" and stopped_at is not None:
            stops.append((at - stopped_at) * 1e6)
            stopped_at = None
    return stops


def protect(primary, secondary, directory, interval_ms):
    """Checkpoints begin; the second QEMU was started with -incoming defer."""
    for side in (primary, secondary):
        side.do("migrate-set-capabilities",
                capabilities=[{"capability": "x-colo", "state": True}])
        side.do("migrate-set-parameters", **{"x-checkpoint-delay": interval_ms,
                                             "max-bandwidth": 10 << 30,
                                             "downtime-limit": 2000})
    # A Unix socket: QEMU 7.2 never sets TCP_NODELAY, which would cost it 40 ms an epoch.
    secondary.do("migrate-incoming", uri=f"unix:{directory}/colo.sock")
    primary.do("migrate", uri=f"unix:{directory}/colo.sock")
    deadline = time.monotonic() + START_LIMIT_S
    while primary.do("query-migrate").get("status") != "colo":
        if time.monotonic() > deadline:
            raise SystemExit("COLO does not begin")
        time.sleep(0.05)
