# SPDX-License-Identifier: Apache-2.0
"""What a network can do, by a proxy between the two. Exactly one side goes on; a damaged byte is
never taken for data."""

import pathlib
import random
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from fmvm_process import SUPERSEDED, main  # noqa: E402
from killing import check_status, fewer  # noqa: E402
from pair import COUNTER, PairTestCase, Workload  # noqa: E402
from observer import judge_dirty  # noqa: E402
from proxy import TO_BACKUP, TO_PRIMARY, Proxy  # noqa: E402

# Paced: the proxy is no fast one.
PACED = Workload("dirty-paced", "dirty", "mib=4 rate=64 report_ms=30", judge_dirty)
LARGE = Workload("dirty-16", "dirty", "mib=16 rate=64 report_ms=30", judge_dirty)
SEED = 20260101


class NetworkFaults(PairTestCase):
    def protected(self, workload, lost_after="2s", prepare=None):
        """A pair in step, with a proxy between."""
        pair, proxy, backup, primary = self.started(workload, lost_after, prepare)
        primary.wait_log("protected by")
        primary.wait_lines(10)
        return pair, proxy, primary, backup

    def started(self, workload, lost_after="2s", prepare=None):
        pair = self.pair(workload, lost_after=lost_after)
        proxy = Proxy(pair.port, prepare)
        self.addCleanup(proxy.close)
        pair.through = proxy.port
        return pair, proxy, pair.start_backup(), pair.start_primary()

    def assert_one_goes_on(self, pair, primary, backup):
        """Whoever it is, the other halts, or follows again; who goes on."""
        pair.watch.wait(lambda: "took over" in backup.log() or
                        "running unprotected" in primary.log(), 60, pair.description)
        if "took over" in backup.log():
            check_status(primary, SUPERSEDED)
            self.assertNotIn("running unprotected", primary.log())
            self.assert_took_over(pair, primary, backup)
            self.end(pair, backup)
            return backup
        self.assert_goes_on_alone(pair, primary, backup)
        primary.wait_log("protected by", 2)
        backup.wait_log("in step", 2)
        self.assertNotIn("took over", backup.log())
        primary.wait_lines(10)
        self.assert_goes_on_alone(pair, primary, backup)
        self.end(pair, primary, backup)
        return primary

    def test_cut(self):
        for rst in (False, True):
            for _ in range(fewer(3)):
                with self.subTest(rst=rst):
                    pair, proxy, primary, backup = self.protected(COUNTER)
                    proxy.cut(rst)
                    self.assert_one_goes_on(pair, primary, backup)

    def test_frozen(self):
        for directions in ((TO_BACKUP,), (TO_PRIMARY,), (TO_BACKUP, TO_PRIMARY)):
            with self.subTest(directions=directions):
                pair, proxy, primary, backup = self.protected(COUNTER, "500ms")
                proxy.freeze(*directions)
                time.sleep(2)
                proxy.thaw()
                self.assert_one_goes_on(pair, primary, backup)

    def test_frozen_for_less_than_the_limit_is_no_loss(self):
        pair, proxy, primary, backup = self.protected(COUNTER, "10s")
        proxy.freeze(TO_BACKUP, TO_PRIMARY)
        time.sleep(1)
        proxy.thaw()
        primary.wait_lines(50)
        self.assert_nothing_lost(pair, primary, backup)

    def test_delayed(self):
        """Promises become longer than a sign's way there and back, which is longer than --permit."""
        pair, proxy, primary, backup = self.protected(COUNTER, "10s")
        for flow in proxy.flows(TO_BACKUP, TO_PRIMARY):
            flow.delay_s = 0.03
        primary.wait_lines(200)
        self.assert_nothing_lost(pair, primary, backup)

    def assert_nothing_lost(self, pair, primary, backup):
        for log in (primary.log(), backup.log()):
            self.assertNotIn("lost", log)
        pair.workload.judge(bytes(primary.console))
        primary.process.kill()
        self.assert_took_over(pair, primary, backup)
        self.end(pair, backup)

    def test_cut_in_the_middle_of_a_frame(self):
        random_numbers = random.Random(SEED)
        for direction, most in ((TO_BACKUP, 20000), (TO_BACKUP, 500000), (TO_PRIMARY, 300)):
            after = random_numbers.randrange(1, most)
            with self.subTest(direction=direction, after=after):
                pair, proxy, primary, backup = self.protected(PACED)
                flow = proxy.flow(direction)
                flow.cut_at = flow.passed + after
                self.assert_one_goes_on(pair, primary, backup)

    def test_damaged_byte(self):
        random_numbers = random.Random(SEED)
        for direction, most in ((TO_BACKUP, 100), (TO_BACKUP, 20000), (TO_BACKUP, 100000),
                                (TO_BACKUP, 500000), (TO_PRIMARY, 300)):
            after = random_numbers.randrange(1, most)
            with self.subTest(direction=direction, after=after):
                pair, proxy, primary, backup = self.protected(PACED)
                flow = proxy.flow(direction)
                flow.flip_at = flow.passed + after
                self.assert_one_goes_on(pair, primary, backup)
                self.assertTrue(flow.flipped)

    def interrupt_initial_copy(self, fault):
        """Only the first attempt is interrupted; the second protects. The guest never stops."""
        links = []

        def prepare(link):
            if not links:
                fault(link.flows[TO_BACKUP])
            links.append(link)

        pair = self.pair(LARGE)
        proxy = Proxy(pair.port, prepare)
        self.addCleanup(proxy.close)
        pair.through = proxy.port
        primary = pair.start_primary()
        primary.wait(lambda: b"pass=1 " in primary.console, "no pass")  # 16 MiB hold something
        backup = pair.start_backup()
        backup.wait(lambda: "lost the primary" in backup.log() or "refused" in backup.log(),
                    "no interruption")
        primary.wait_lines(3)
        self.assertNotIn("took over", backup.log())
        self.assertEqual(bytes(backup.console), b"")
        primary.wait_log("protected by")
        primary.wait_lines(3)
        primary.process.kill()
        self.assert_took_over(pair, primary, backup)
        self.end(pair, backup)

    def test_initial_copy_cut(self):
        for at in (1, 39, 41, 5000, 700000, 9000000):
            with self.subTest(at=at):
                self.interrupt_initial_copy(lambda flow, at=at: setattr(flow, "cut_at", at))

    def test_initial_copy_damaged(self):
        for at in (3, 30, 45, 5000, 700000, 9000000):
            with self.subTest(at=at):
                self.interrupt_initial_copy(lambda flow, at=at: setattr(flow, "flip_at", at))


if __name__ == "__main__":
    main()
