# SPDX-License-Identifier: Apache-2.0
"""Real servers on an unmodified Debian, whose hosts die in turn: whoever runs it is killed at a random
moment, the other takes over, and the killed one comes back to follow. What the guest showed is one
sequence; in the end both disks are equal, and a Debian that is booted from one of them finds everything
that was shown.

FMVM_DEBIAN_KILLS: how many kills of each. FMVM_KILL_SEED repeats the moments of a run.
"""

import os
import pathlib
import random
import signal
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "support"), str(HERE)]
from fmvm_process import OK, RESET, STOPPED, main, run  # noqa: E402
from killing import SEED, check_status  # noqa: E402
from observer import join  # noqa: E402
from pair import PairTestCase, Restored  # noqa: E402
import debian_guest  # noqa: E402
from works import WORKS  # noqa: E402

KILLS = int(os.environ.get("FMVM_DEBIAN_KILLS", "3"))
LATEST_S = 4.0  # after the guest is protected
RESYNC_LIMIT_S = 300


class Servers(PairTestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="fmvm-debian-")
        self.addCleanup(directory.cleanup)
        self.directory = pathlib.Path(directory.name)

    def begin(self, work, cpus):
        debian_guest.boot_at_work(work, self.directory, cpus)
        guest = Restored("debian", self.directory / "saved", (self.directory / "console").read_bytes(),
                         work.judge)
        self.pair_ = self.pair(guest, disk=self.directory / "disk.img", block="replay")

    def in_turn(self, name, cpus=1, kills=KILLS):
        print(f"FMVM_KILL_SEED={SEED} FMVM_DEBIAN_KILLS={kills}", flush=True)
        work, moments = WORKS[name], random.Random(f"{SEED}/{name}/{cpus}")
        self.begin(work, cpus)
        follower = self.pair_.start_host("backup", other="primary")
        running = self.pair_.start_primary()
        stream = self.pair_.workload.earlier
        for number in range(kills):
            running.wait_log("protected by", timeout=RESYNC_LIMIT_S)
            running.wait_lines(3, timeout=120)
            moment = moments.uniform(0, LATEST_S)
            time.sleep(moment)
            running.signal(signal.SIGKILL)
            check_status(running, -signal.SIGKILL)
            stream = join(stream, running.console, work.judge).stream
            follower.wait_log("took over: the guest runs here")
            follower.wait_lines(3, timeout=120)
            back = self.pair_.start_host(running.name, other=follower.name)
            back.wait_log("in step with", timeout=RESYNC_LIMIT_S)
            print(f"  {number} {name} after {moment * 1000:.0f} ms", flush=True)
            running, follower = follower, back
        running.wait_lines(3, timeout=120)
        self.end_in_turn(work, running, follower, stream)

    def end_in_turn(self, work, running, follower, stream):
        self.assertEqual(running.stop(), STOPPED, running.description())
        check_status(follower, OK)
        self.pair_.check()
        stream = join(stream, running.console, work.judge).stream
        disks = [self.pair_.disk_of(side) for side in ("primary", "backup")]
        run("cmp", *disks)
        shown, found = debian_guest.last_shown(stream, work), debian_guest.found_on(disks[0], work)
        print(f"  {work.name}: {shown} shown, {found} found", flush=True)
        self.assertGreaterEqual(found, shown)

    def test_postgres(self):
        self.in_turn("postgres")

    def test_postgres_on_two_cpus(self):
        self.in_turn("postgres", cpus=2)

    def test_sqlite_on_four_cpus(self):
        self.in_turn("sqlite", cpus=4)

    def test_fio(self):
        self.in_turn("fio")

    def test_packages(self):
        self.in_turn("packages")


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
