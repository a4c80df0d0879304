# SPDX-License-Identifier: Apache-2.0
"""What a host's agent and the test outside say to each other: a header, which is JSON, and bytes.

To the agent:    {"do": "run", "id": N, "argv": [...], "env": {...}, "cwd": "/"}    bytes: its input
                 {"do": "signal", "id": N, "number": 9}
                 {"do": "end", "how": "poweroff" | "reboot"}
From the agent:  {"is": "ready"}
                 {"is": "stdout" | "stderr", "id": N}                               bytes: its output
                 {"is": "ended", "id": N, "status": S}
                 {"is": "failed", "id": N, "why": "..."}                            it did not start
"""

import json
import struct

LENGTHS = struct.Struct(">II")


def encode(header, payload=b""):
    text = json.dumps(header).encode()
    return LENGTHS.pack(len(text), len(payload)) + text + payload


def decode(stream):
    """The next (header, payload) of a file; None at its end."""
    lengths = stream.read(LENGTHS.size)
    if len(lengths) < LENGTHS.size:
        return None
    header, payload = LENGTHS.unpack(lengths)
    data = stream.read(header + payload)
    if len(data) < header + payload:
        return None
    return json.loads(data[:header]), data[header:]
