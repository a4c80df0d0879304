#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How soon the other side learns that a process was killed: by its sentinel's word, and by its own
connection, which closes when the kernel has taken its memory apart. The process is not fmvm but one that
has written to as much memory (tests/support/mortal.cpp), so that this needs no KVM. Each kill gives both
times.

bench/death_notice.py [--mortal PATH] [--mib 64,256,1024] [--kills 20]
"""

import argparse
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests/support"))
from common import percentile  # noqa: E402
from mortals import Mortal  # noqa: E402

BUILD = pathlib.Path(__file__).resolve().parents[1] / "build/release"


def kill(program, mib):
    """Seconds until the word, and until the connection is closed."""
    mortal = Mortal(program, mib)
    try:
        word, closed, _ = mortal.kill()
        return word, closed
    finally:
        mortal.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mortal", type=pathlib.Path, default=BUILD / "tests/mortal")
    parser.add_argument("--mib", default="64,256,1024")
    parser.add_argument("--kills", type=int, default=20)
    given = parser.parse_args()
    print(f"ms from the kill to     word p50    p99   connection p50    p99   ratio of p50 ({given.kills} kills)")
    for mib in map(int, given.mib.split(",")):
        kills = [kill(given.mortal, mib) for _ in range(given.kills)]
        words, closed = ([time * 1000 for time in times] for times in zip(*kills))
        ratio = percentile(closed, 0.5) / percentile(words, 0.5)
        print(f"{mib:>15} MiB {percentile(words, 0.5):15.2f} {percentile(words, 0.99):6.2f} "
              f"{percentile(closed, 0.5):16.2f} {percentile(closed, 0.99):6.2f} {ratio:14.0f}")


if __name__ == "__main__":
    main()
