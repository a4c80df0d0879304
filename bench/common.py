# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks of pairs have in common."""

import argparse
import math
import pathlib
import socket

SETTLE_S = 1.5  # after protection has begun
QEMU_BOOT_S = 8  # -M pc: SeaBIOS takes 4.5 s where ring 0 is emulated


def new_parser(description):
    """With the options that all have: which fmvm, and which guests."""
    build = pathlib.Path(__file__).resolve().parents[1] / "build/release"
    parser = argparse.ArgumentParser(description=description,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fmvm", type=pathlib.Path, default=build / "fmvm")
    parser.add_argument("--guests", type=pathlib.Path, default=build / "guests/bare")
    return parser


def percentile(values, share):
    """Nearest rank, as tests/kill/kill_many.py has it; NaN without any."""
    values = sorted(values)
    return values[max(1, math.ceil(share * len(values))) - 1] if values else math.nan


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
