# SPDX-License-Identifier: Apache-2.0
"""`fmvm run` with too few descriptors (`ulimit -n`): a sentence and a documented status, and no guest that hangs."""

import pathlib
import resource
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from fmvm_process import FAILURE, OK, USAGE, VmTestCase, guest, main  # noqa: E402


class FewDescriptors(VmTestCase):
    def test_wherever_they_run_out(self):
        ended = set()
        for count in (*range(5, 50, 3), 200):
            with self.subTest(descriptors=count):
                vm = self.start("--kernel", guest("counter"), "--cmdline", "rate=200 count=5",
                                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (count, count)))
                status = vm.finish()
                ended.add(status)
                self.assertIn(status, (OK, FAILURE, USAGE), vm.description())
                if status != OK:
                    self.assertRegex(vm.errors.decode(), r"(?m)^fmvm: .*\n\Z")
                    self.assertNotIn("internal error", vm.errors.decode())
        self.assertIn(OK, ended)
        self.assertIn(FAILURE, ended)


if __name__ == "__main__":
    main()
