# SPDX-License-Identifier: Apache-2.0
"""QEMU's COLO, as the benchmarks set it up: two QEMUs of Debian's, told what to do by QMP."""

import json
import re
import socket
import subprocess
import threading
import time

START_LIMIT_S = 30


class Qemu:
    """One QEMU with a bare guest, whose console is a file, null, or (stdio) process.stdout."""

    def __init__(self, directory, name, memory_mib, kernel, cmdline, serial, *more):
        self.log = directory / f"{name}.log"
        self.process = subprocess.Popen(
            ["qemu-system-x86_64", "-nodefaults", "-display", "none", "-m", str(memory_mib), "-M",
             "pc", "-accel", "kvm", "-cpu", "qemu64", "-serial", serial, "-kernel", str(kernel),
             "-append", f"{cmdline} end=reset", "-no-reboot",
             "-qmp", f"unix:{directory}/{name}.qmp,server=on,wait=off",
             "-trace", "colo*", "-D", str(self.log), "-msg", "timestamp=on", *more],
            stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            stdout=subprocess.PIPE if serial == "stdio" else subprocess.DEVNULL)
        try:
            self.qmp = Qmp(f"{directory}/{name}.qmp")
        except BaseException:
            self.end()
            raise

    def end(self):
        self.process.kill()
        self.process.wait()


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


class Relay(threading.Thread):
    """Passes on what one Unix socket sends to the other, and counts it. Costs CPU: only for counting."""

    def __init__(self, listen, connect):
        super().__init__(daemon=True)
        self.passed = 0  # bytes, from the one that connects to us
        self._connect = connect
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(listen))
        self._server.listen()
        self.start()

    def run(self):
        source, _ = self._server.accept()
        target = socket.socket(socket.AF_UNIX)
        target.connect(str(self._connect))
        back = threading.Thread(target=self._pass, args=(target, source, False), daemon=True)
        back.start()
        self._pass(source, target, True)

    def _pass(self, source, target, count):
        try:
            while data := source.recv(1 << 20):
                target.sendall(data)
                if count:
                    self.passed += len(data)
        except OSError:
            pass  # one of the two has ended


def protect(primary, secondary, directory, interval_ms, relay=None):
    """Checkpoints begin; the second QEMU was started with -incoming defer. `relay`: the socket of a Relay
    to colo.sock."""
    for side in (primary, secondary):
        side.do("migrate-set-capabilities",
                capabilities=[{"capability": "x-colo", "state": True}])
        side.do("migrate-set-parameters", **{"x-checkpoint-delay": interval_ms,
                                             "max-bandwidth": 10 << 30,
                                             "downtime-limit": 2000})
    # A Unix socket: QEMU 7.2 never sets TCP_NODELAY, which would cost it 40 ms an epoch.
    secondary.do("migrate-incoming", uri=f"unix:{directory}/colo.sock")
    primary.do("migrate", uri=f"unix:{relay or directory / 'colo.sock'}")
    deadline = time.monotonic() + START_LIMIT_S
    while primary.do("query-migrate").get("status") != "colo":
        if time.monotonic() > deadline:
            raise SystemExit("COLO does not begin")
        time.sleep(0.05)
