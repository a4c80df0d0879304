# SPDX-License-Identifier: Apache-2.0
"""A stock Debian kernel (cloud flavour), from its package's bzImage, found by ACPI, followed to
`Run /init`. On emulated ring 0 that takes minutes, and user space fails right after (`syscall`
stays in ring 3 there: docs/guests.md); with hardware virtualisation it must simply work."""

import os
import pathlib
import re
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from fmvm_process import VmTestCase, main, run  # noqa: E402
import linux_guest  # noqa: E402

LIMIT_S = 1500


def stock_kernel():
    """The vmlinuz of Debian's current cloud kernel, downloaded once; nothing is installed."""
    depends = run("apt-cache", "depends", "linux-image-cloud-amd64")
    package = re.search(r"Depends: (linux-image-\S+-cloud-amd64)", depends)[1]
    cache = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    directory = pathlib.Path(cache) / "fmvm" / package
    if not list(directory.glob("boot/vmlinuz-*")):
        directory.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "download", package], cwd=directory, check=True, timeout=300,
                       stdout=subprocess.DEVNULL)
        run("dpkg", "-x", next(directory.glob("*.deb")), directory)
    return next(directory.glob("boot/vmlinuz-*"))


class StockKernel(VmTestCase):
    def test_boots_to_init(self):
        vm = self.start("--kernel", stock_kernel(), "--initrd", linux_guest.initramfs(),
                        "--cmdline", "console=ttyS0 reboot=k panic=-1 ignore_loglevel highres=off nohz=off "
                        "cryptomgr.notests nowatchdog")
        vm.wait_for("Run /init", timeout=LIMIT_S)


if __name__ == "__main__":
    main()
