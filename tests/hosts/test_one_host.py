# SPDX-License-Identifier: Apache-2.0
"""A few tests of each kind on a hardware-virtualised KVM, which is what users have: in a virtual host.
All of them: scripts/test --hosts."""

import pathlib
import re
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "linux"))
from fmvm_process import REPOSITORY, main, settings  # noqa: E402
import linux_guest  # noqa: E402
from host import Host, TIME_FACTOR, boot_files  # noqa: E402
from qemu import Hardware, tsc_khz  # noqa: E402

TEST_LIMIT_S = 300


class Suites(unittest.TestCase):
    """Tests that run outside, too."""

    @classmethod
    def setUpClass(cls):
        cls.host = Host("one", read_only=(boot_files().parent,))
        cls.addClassCleanup(cls.host.close)
        cls.host.boot()

    def run_inside(self, file, *names, **environment):
        selected = [word for name in names for word in ("-k", name)]
        environment = {"FMVM_TIME_FACTOR": TIME_FACTOR, **linux_guest.built(), **environment}
        command = ("python3", REPOSITORY / "tests" / file, settings.fmvm, settings.guests, *selected)
        options = {"environment": {name: str(value) for name, value in environment.items()},
                   "timeout": TEST_LIMIT_S}
        try:
            self.host.run(*command, **options)
        except AssertionError:
            if not self.host.locked_up():
                raise
            print(f"the host locked up under {file}, which begins anew", flush=True)
            self.host.kill()
            self.host.boot()
            self.host.run(*command, **options)

    def test_kills_of_a_primary(self):
        """With --verify; one guest after the other."""
        self.run_inside("kill/test_random_kills.py", "test_of_the_primary", FMVM_KILL_ROUNDS=3)

    def test_switchover(self):
        self.run_inside("kill/test_own_disks.py", "test_by_a_switchover")

    def test_snapshot_and_restore(self):
        self.run_inside("kvm/test_snapshot.py", "counter_misses", "two_cpus", "journal")

    def test_stock_kernel(self):
        self.run_inside("linux/test_stock_kernel.py")


class Clocks(unittest.TestCase):
    def test_what_kvm_is_and_its_tsc(self):
        """Whether the host trusts its TSC or not, it knows the frequency to the kHz."""
        for tsc in ("unstable", "reliable"):
            with self.subTest(tsc=tsc), Host(f"tsc-{tsc}", Hardware(tsc=tsc, memory="1G")) as host:
                source = "/sys/devices/system/clocksource/clocksource0/current_clocksource"
                self.assertEqual(host.run("cat", source).strip(), {"unstable": "hpet", "reliable": "tsc"}[tsc])
                self.assertIn("hardware-virtualised", host.run(settings.fmvm, "check"))
                shown = host.run(settings.fmvm, "run", "--kernel", settings.guests / "counter.elf",
                                 "--cmdline", "count=3")
                khz = int(re.search(r"counter: tsc_khz=(\d+)\n", shown)[1])
                self.assertLessEqual(abs(khz - tsc_khz()), 1)  # kvmclock's page rounds


if __name__ == "__main__":
    main()
