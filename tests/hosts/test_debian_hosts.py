# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL on Debian, and whole hosts that lose their power.

FMVM_POWER_LOSSES: how many in turn; FMVM_HOST_SEED repeats the moments of a run.
"""

import os
import pathlib
import random
import sys
import time
import unittest

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / "support"), str(TESTS / "debian")]
from fmvm_process import main, settings  # noqa: E402
from pair import Restored  # noqa: E402
from works import POSTGRES  # noqa: E402
from booted_debian import BOOT_LIMIT_S, CACHE, booted  # noqa: E402
from host import once_more_after_a_lock_up  # noqa: E402
from host_pair import GUEST_DISK, HostPair  # noqa: E402
import debian_guest  # noqa: E402

LOSSES = int(os.environ.get("FMVM_POWER_LOSSES", "2"))
SEED = int(os.environ.get("FMVM_HOST_SEED", time.time_ns() % 1000000))
LATEST_S = 5  # after the guest is protected
PROGRAM = TESTS / "debian/debian_guest.py"


class PowerLosses(unittest.TestCase):
    """The guest is booted once; each test starts it from a snapshot."""

    @classmethod
    def setUpClass(cls):
        cls.booted = booted(POSTGRES)
        cls.guest = Restored("debian", cls.booted / "saved", (cls.booted / "console").read_bytes(),
                             POSTGRES.judge)

    def pair(self, *options):
        return HostPair(self.guest, options=options, disk=self.booted / "disk.img", read_only=(CACHE,))

    def found(self, host):
        """On the guest's disk as that host has it now."""
        return int(host.run("python3", PROGRAM, settings.fmvm, "found", POSTGRES.name, GUEST_DISK,
                            environment=debian_guest.built(), timeout=BOOT_LIMIT_S))

    @once_more_after_a_lock_up
    def test_hosts_that_lose_their_power_in_turn(self):
        """The other one goes on; nothing that was shown is missing in the end, and both disks are equal."""
        print(f"FMVM_HOST_SEED={SEED} FMVM_POWER_LOSSES={LOSSES}", flush=True)
        moments = random.Random(SEED)
        with self.pair() as pair:
            pair.start()
            for number in range(LOSSES):
                moment = moments.uniform(0, LATEST_S)
                time.sleep(moment)
                pair.runner_host().kill()
                pair.settle()
                print(f"  {number} after {moment:.1f} s: {pair.at} runs the guest", flush=True)
            pair.end()
            shown = debian_guest.last_shown(pair.joined().stream, POSTGRES)
            found = self.found(pair.hosts["a"])
            print(f"  {shown} shown, {found} found", flush=True)
            self.assertGreaterEqual(found, shown)

    @once_more_after_a_lock_up
    def test_a_rack_that_loses_its_power(self):
        """With --ack durable what was shown is on the backup's disk, even when it, too, is cut off."""
        with self.pair("--ack", "durable") as pair:
            pair.start()
            time.sleep(LATEST_S)
            for host in pair.hosts.values():
                host.kill()
            shown = debian_guest.last_shown(pair.joined().stream, POSTGRES)
            pair.hosts["b"].boot()
            found = self.found(pair.hosts["b"])
            print(f"  {shown} shown, {found} found", flush=True)
            self.assertGreaterEqual(found, shown)


if __name__ == "__main__":
    main()
