# SPDX-License-Identifier: Apache-2.0
"""More than one signal: a shell, a supervisor or a terminal that closes sends another one behind the first. The end
is as orderly as that by one signal."""

import pathlib
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from fmvm_process import OK, STOPPED, guest, main  # noqa: E402
from killing import check_status  # noqa: E402
from pair import COUNTER, JOURNAL, PairTestCase  # noqa: E402

# The second signal, and how long after SIGTERM it comes.
SECOND = ((signal.SIGHUP, 0.001), (signal.SIGINT, 0.005), (signal.SIGTERM, 0.015), (signal.SIGHUP, 0.03))


def send_both(process, second, pause_s):
    process.send_signal(signal.SIGTERM)
    time.sleep(pause_s)
    process.send_signal(second)


class SecondSignal(PairTestCase):
    def test_to_a_primary(self):
        """The guest ends on both sides, and the next start finds that its generation has ended."""
        for second, pause_s in SECOND:
            with self.subTest(second=second, pause_s=pause_s):
                pair = self.pair(COUNTER)
                primary, backup = pair.start()
                primary.wait_lines(20)
                send_both(primary.process, second, pause_s)
                check_status(primary, STOPPED)
                check_status(backup, OK)
                again = pair.start_primary(name="again")
                again.wait_lines(5)
                self.end(pair, again)

    def test_to_a_primary_with_a_disk(self):
        """Its image is free for whoever wants it."""
        pair = self.pair(JOURNAL, disk=self.new_disk(), block="replay")
        primary, backup = pair.start()
        primary.wait_lines(20)
        send_both(primary.process, signal.SIGHUP, 0.01)
        check_status(primary, STOPPED)
        check_status(backup, OK)
        vm = self.start("--kernel", guest("journal"), "--cmdline", "rate=200", "--disk", f"path={pair.disk}")
        vm.wait_lines(5)
        send_both(vm.process, signal.SIGHUP, 0.01)
        self.assert_status(vm, STOPPED)

    def test_to_a_backup_that_waits(self):
        for second, pause_s in SECOND:
            with self.subTest(second=second, pause_s=pause_s):
                pair = self.pair(COUNTER)
                primary, backup = pair.start()
                send_both(backup.process, second, pause_s)
                check_status(backup, STOPPED)
                self.end(pair, primary)

    def test_to_a_backup_that_has_taken_over(self):
        pair = self.pair(COUNTER)
        primary, backup = pair.start()
        primary.wait_lines(20)
        primary.signal(signal.SIGKILL)
        self.assert_took_over(pair, primary, backup)
        send_both(backup.process, signal.SIGHUP, 0.01)
        check_status(backup, STOPPED)
        pair.check()

    def test_a_storm(self):
        """A hundred signals, from the first on."""
        pair = self.pair(COUNTER)
        primary, backup = pair.start()
        primary.wait_lines(20)
        for number in 25 * (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            if primary.process.poll() is None:
                primary.process.send_signal(number)
            time.sleep(0.002)
        check_status(primary, STOPPED)
        check_status(backup, OK)
        pair.check()

    def test_to_fmvm_run(self):
        for second, pause_s in SECOND:
            with self.subTest(second=second, pause_s=pause_s):
                vm = self.start("--kernel", guest("counter"), "--cmdline", "rate=200")
                vm.wait_lines(5)
                send_both(vm.process, second, pause_s)
                self.assert_status(vm, STOPPED)


if __name__ == "__main__":
    main()
