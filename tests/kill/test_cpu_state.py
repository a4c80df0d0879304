# SPDX-License-Identifier: Apache-2.0
"""What a guest's CPU holds and shows: AVX registers go with the guest, and --cpu takes features away.

FMVM_KILL_ROUNDS: how many kills. FMVM_KILL_SEED repeats the moments of a run.
"""

import pathlib
import random
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from fmvm_process import RESET, guest, main, run, run_bare, settings  # noqa: E402
from killing import LATEST_S, SEED, kill_primary, rounds  # noqa: E402
from pair import VECTOR, VECTOR_SSE, PairTestCase  # noqa: E402


class Registers(PairTestCase):
    def take_over(self, workload):
        print(f"FMVM_KILL_SEED={SEED}", flush=True)
        moments = random.Random(SEED)
        for _ in range(rounds(3)):
            kill_primary(workload, moments.uniform(0, LATEST_S))

    def test_sse_registers_are_taken_over(self):
        self.take_over(VECTOR_SSE)

    def test_avx_registers_are_taken_over(self):
        needs_ring_0(self)
        _, vm = run_bare("vector", "passes=2", "--memory", "32M")
        if b"does not intercept XSETBV" in vm.console:
            self.skipTest("this CPU is an emulated one that forgets a guest's AVX; kvm_tests has a way around")
        self.take_over(VECTOR)


def needs_ring_0(test):
    if "ring 0:                   hardware-virtualised" not in run(settings.fmvm, "check"):
        test.skipTest("this host's KVM emulates ring 0, where no bare guest can enable AVX, and where programs "
                      "see the host's features whatever they are told")


class Features(PairTestCase):
    def test_a_feature_that_is_left_out(self):
        needs_ring_0(self)
        start = ("--kernel", guest("vector"), "--memory", "32M", "--cmdline", "passes=3")
        for cpu in ("host,-avx2", "host,-avx", "x86-64-v2"):
            with self.subTest(cpu=cpu):
                vm = self.start(*start, "--cpu", cpu)
                self.assert_status(vm, RESET)
                self.assertIn("this CPU has no AVX2", "\n".join(vm.lines()))
        vm = self.start(*start, "--cpu", "x86-64-v3")
        vm.wait_for("avx enabled")


if __name__ == "__main__":
    main()
