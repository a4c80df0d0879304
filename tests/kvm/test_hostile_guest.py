# SPDX-License-Identifier: Apache-2.0
"""A guest that does anything at all to its queues, registers and ports stops at most itself."""

import hashlib
import os
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from fmvm_process import CRASHED, OK, RESET, VmTestCase, main, run_bare  # noqa: E402

SEEDS = int(os.environ.get("FMVM_HOSTILE_SEEDS", "12"))


class HostileGuest(VmTestCase):
    def test_seeds(self):
        with tempfile.TemporaryDirectory() as directory:
            read_only = pathlib.Path(directory) / "read-only.img"
            read_only.write_bytes(os.urandom(1 << 20))
            digest = hashlib.sha256(read_only.read_bytes()).digest()
            disk = pathlib.Path(directory) / "disk.img"
            disk.write_bytes(bytes(8 << 20))
            for seed in range(1, SEEDS + 1):
                with self.subTest(seed=seed):
                    status, vm = run_bare("hostile", f"seed={seed} steps=3000",
                                          "--disk", f"path={disk}",
                                          "--disk", f"path={read_only},readonly", timeout=180)
                    # It may have hit a power or reset port by chance; fmvm itself must be fine.
                    self.assertIn(status, (OK, RESET, CRASHED), f"seed={seed} {vm.description()}")
                    self.assertEqual(disk.stat().st_size, 8 << 20)
            self.assertEqual(hashlib.sha256(read_only.read_bytes()).digest(), digest)


if __name__ == "__main__":
    main()
