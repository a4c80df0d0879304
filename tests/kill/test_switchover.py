# SPDX-License-Identifier: Apache-2.0
"""The guest is moved on purpose: nothing lost, nothing repeated; and what if a side dies meanwhile.
"""

import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from fmvm_process import FAILURE, OK, TIME_FACTOR, main, settings  # noqa: E402
from killing import KILLED, check_status  # noqa: E402
from pair import COUNTER, DIRTY_4, SMP, PairTestCase  # noqa: E402
from proxy import TO_BACKUP, TO_PRIMARY, Proxy  # noqa: E402

# Long enough for a command that is started beside a frozen network to be heard before the loss.
LOST_AFTER = f"{500 * TIME_FACTOR:.0f}ms"


class Switchover(PairTestCase):
    def protected(self, workload=COUNTER, crash_primary_at=None, crash_backup_at=None,
                  lost_after="2s", proxied=False):
        pair = self.pair(workload, lost_after=lost_after)
        if proxied:
            pair.proxy = Proxy(pair.port)
            self.addCleanup(pair.proxy.close)
            pair.through = pair.proxy.port
        backup = pair.start_backup("--control", pair.directory / "backup.control",
                                   crash_at=crash_backup_at)
        primary = pair.start_primary("--control", pair.directory / "primary.control",
                                     crash_at=crash_primary_at)
        primary.wait_log("protected by")
        primary.wait_lines(10)
        return pair, primary, backup

    def switch_over(self, pair, side):
        return subprocess.Popen(
            [str(settings.fmvm), "switchover", "--control", pair.directory / f"{side}.control"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def test_asked_of_either_side(self):
        for workload in (COUNTER, DIRTY_4, SMP):
            for side in ("primary", "backup"):
                with self.subTest(guest=workload.name, side=side):
                    pair, primary, backup = self.protected(workload)
                    asked = self.switch_over(pair, side)
                    check_status(primary, OK)
                    self.assertEqual(asked.wait(30), OK)
                    self.assertRegex(asked.stdout.read(),
                                     r"^the guest runs (here|on \S+); it stood for [0-9.]+ ms\n$")
                    joined = self.assert_took_over(pair, primary, backup)
                    self.assertEqual(joined.repeated, 0, pair.description())
                    self.end(pair, backup)

    def test_without_a_backup(self):
        pair = self.pair(COUNTER)
        primary = pair.start_primary("--control", pair.directory / "primary.control")
        primary.wait_lines(10)
        self.assertEqual(self.switch_over(pair, "primary").wait(30), FAILURE)
        primary.wait_lines(10)
        self.end(pair, primary)

    def test_primary_dies_meanwhile(self):
        pair, primary, backup = self.protected(crash_primary_at="switch-over")
        asked = self.switch_over(pair, "primary")
        check_status(primary, KILLED)
        asked.wait(30)
        self.assert_took_over(pair, primary, backup)
        self.end(pair, backup)

    def test_backup_dies_meanwhile(self):
        """The guest, which stands already, goes on where it was."""
        for point in ("backup-switch-over", "backup-taking-over"):
            with self.subTest(point=point):
                pair, primary, backup = self.protected(crash_backup_at=point)
                asked = self.switch_over(pair, "primary")
                check_status(backup, KILLED)
                if point == "backup-switch-over":
                    self.assert_goes_on_alone(pair, primary, backup)
                    self.assertEqual(asked.wait(30), FAILURE)
                    self.end(pair, primary)
                else:  # it had won the generation already
                    primary.finish()
                    asked.wait(30)
                    pair.workload.judge(bytes(primary.console))
                    pair.check()

    def test_backup_cannot_reach_the_arbiter(self):
        """Both sides are asked first: the guest does not stand, and stays protected."""
        pair = self.pair(COUNTER)
        claims = pair.directory / "claims-as-the-backup-sees-them"
        claims.symlink_to(pair.directory)
        backup = pair.start_backup(claims=claims)
        primary = pair.start_primary("--control", pair.directory / "primary.control")
        primary.wait_log("protected by")
        primary.wait_lines(10)
        claims.unlink()
        asked = self.switch_over(pair, "primary")
        self.assertEqual(asked.wait(30), FAILURE)
        primary.wait_log("no switchover: the backup could not claim")
        primary.wait_lines(20)
        self.assertNotIn("running unprotected", primary.log())
        self.assertNotIn("took over", backup.log())
        claims.symlink_to(pair.directory)
        self.end(pair, primary, backup)

    def test_primary_does_not_hear_the_wish(self):
        """The backup's operator gets an answer, whichever side goes on."""
        for fault in (TO_PRIMARY, TO_BACKUP):
            with self.subTest(fault=fault):
                pair, primary, backup = self.protected(lost_after=LOST_AFTER, proxied=True)
                pair.proxy.freeze(fault)
                asked = self.switch_over(pair, "backup")
                came = asked.wait(30) == OK
                self.assertEqual(came, "took over" in backup.log(), pair.description())
                if came:
                    primary.finish()
                    self.assert_took_over(pair, primary, backup)
                    self.end(pair, backup)
                else:
                    self.assert_goes_on_alone(pair, primary, backup)
                    self.end(pair, primary, backup)

    def test_connection_is_cut_or_frozen_meanwhile(self):
        for fault in ("cut", TO_BACKUP, TO_PRIMARY):
            with self.subTest(fault=fault):
                pair, primary, backup = self.protected(lost_after=LOST_AFTER, proxied=True)
                asked = self.switch_over(pair, "primary")
                if fault == "cut":
                    pair.proxy.cut(rst=True)
                else:
                    pair.proxy.freeze(fault)
                pair.watch.wait(lambda: "took over" in backup.log() or
                                "running unprotected" in primary.log(), 60, pair.description)
                asked.wait(30)
                if "took over" in backup.log():
                    primary.finish()
                    self.assert_took_over(pair, primary, backup)
                    self.end(pair, backup)
                else:
                    self.assert_goes_on_alone(pair, primary, backup)
                    self.end(pair, primary, backup)


if __name__ == "__main__":
    main()
