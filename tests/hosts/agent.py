# SPDX-License-Identifier: Apache-2.0
"""Runs inside a virtual host, and does what the test outside asks for (frames.py). It ends when the
test wants the host to end, or is gone: with status 0 for power off, 1 for a reboot."""

import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

from frames import decode, encode

PORT = "fmvm.agent"
STOP_LIMIT_S = 20  # for what runs, when the host ends in an orderly way


def open_port():
    for port in pathlib.Path("/sys/class/virtio-ports").iterdir():
        if (port / "name").read_text().strip() == PORT:
            return open(f"/dev/{port.name}", "r+b", buffering=0)
    sys.exit(f"agent: this host has no virtio port named {PORT}")


class Agent:
    def __init__(self, port):
        self.port = port
        self.sending = threading.Lock()
        self.running = {}  # id -> Popen

    def send(self, header, payload=b""):
        data = memoryview(encode(header, payload))
        with self.sending:
            while data:
                data = data[self.port.write(data):]

    def run(self, header, stdin):
        number = header["id"]
        try:
            process = subprocess.Popen(
                header["argv"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                env={**os.environ, **header["env"]}, cwd=header["cwd"], start_new_session=True)
        except OSError as error:
            self.send({"is": "failed", "id": number, "why": str(error)})
            return
        self.running[number] = process
        threading.Thread(target=self.watch, args=(number, process, stdin)).start()

    def watch(self, number, process, stdin):
        streams = [threading.Thread(target=self.forward, args=(number, name, getattr(process, name)))
                   for name in ("stdout", "stderr")]
        for stream in streams:
            stream.start()
        try:
            process.stdin.write(stdin)
            process.stdin.close()
        except BrokenPipeError:
            pass  # it does not want its input
        for stream in streams:
            stream.join()
        self.send({"is": "ended", "id": number, "status": process.wait()})
        del self.running[number]

    def forward(self, number, name, stream):
        while data := stream.read1(65536):
            self.send({"is": name, "id": number}, data)

    def signal(self, header):
        process = self.running.get(header["id"])
        if process is not None:
            process.send_signal(header["number"])

    def serve(self):
        self.send({"is": "ready"})
        stream = open(self.port.fileno(), "rb", buffering=1 << 16, closefd=False)
        while (frame := decode(stream)) is not None:
            header, payload = frame
            if header["do"] == "run":
                self.run(header, payload)
            elif header["do"] == "signal":
                self.signal(header)
            elif header["do"] == "end":
                self.stop_all()
                return 0 if header["how"] == "poweroff" else 1
        return 0

    def stop_all(self):
        deadline = time.monotonic() + STOP_LIMIT_S
        for process in list(self.running.values()):
            process.terminate()
        while self.running and time.monotonic() < deadline:
            time.sleep(0.1)


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)  # a shell's background job ignores them
    os._exit(Agent(open_port()).serve())  # whatever still runs is host-init's
