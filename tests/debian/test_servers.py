# SPDX-License-Identifier: Apache-2.0
"""Real servers on an unmodified Debian, whose hosts die in turn (in_turn.py). In the end both disks are
equal, and a Debian that is booted from one of them finds everything that was shown.
"""

import pathlib
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "support"), str(HERE)]
from fmvm_process import RESET, main  # noqa: E402
from in_turn import InTurnTestCase  # noqa: E402
from pair import PairTestCase  # noqa: E402
from works import FIO, PACKAGES, POSTGRES, SQLITE  # noqa: E402
import debian_guest  # noqa: E402


class Servers(InTurnTestCase):
    # The works and CPUs are those of works.RUNS["debian: servers"].

    def test_postgres(self):
        self.in_turn(POSTGRES)

    def test_postgres_on_two_cpus(self):
        self.in_turn(POSTGRES, cpus=2)

    def test_sqlite_on_four_cpus(self):
        self.in_turn(SQLITE, cpus=4)

    def test_fio(self):
        self.in_turn(FIO)

    def test_packages(self):
        self.in_turn(PACKAGES)


class Boots(PairTestCase):
    def test_a_guest_that_reboots(self):
        """Under fmvm run a reboot is an end with a status of its own; the disk boots again."""
        with tempfile.TemporaryDirectory(prefix="fmvm-debian-") as directory:
            disk = debian_guest.copy_disk(debian_guest.image() / "root.img", pathlib.Path(directory) / "disk")
            guest = debian_guest.Debian(disk)
            self.addCleanup(guest.kill)
            guest.call("echo here >/root/mark")
            guest.type("reboot")
            self.assertEqual(guest.finish(debian_guest.BOOT_LIMIT_S), RESET, guest.description())
            again = debian_guest.Debian(disk)
            self.addCleanup(again.kill)
            self.assertIn("here", again.call("cat /root/mark"))
            again.power_off()


if __name__ == "__main__":
    main()
