# SPDX-License-Identifier: Apache-2.0
"""A stock Debian kernel (cloud flavour), from its package's bzImage, found by ACPI, followed to
`Run /init`. On emulated ring 0 that takes minutes, and user space fails right after (`syscall`
stays in ring 3 there: docs/guests.md); with hardware virtualisation it must simply work."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from fmvm_process import VmTestCase, main  # noqa: E402
import linux_guest  # noqa: E402

LIMIT_S = 1500


class StockKernel(VmTestCase):
    def test_boots_to_init(self):
        vm = self.start("--kernel", linux_guest.stock_kernel(), "--initrd", linux_guest.initramfs(),
                        "--cmdline", "console=ttyS0 reboot=k panic=-1 ignore_loglevel highres=off nohz=off "
                        "cryptomgr.notests nowatchdog")
        vm.wait_for("Run /init", timeout=LIMIT_S)


if __name__ == "__main__":
    main()
