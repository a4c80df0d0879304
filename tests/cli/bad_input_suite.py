# SPDX-License-Identifier: Apache-2.0
"""One case of bad input: the real program, its one sentence, its status, and what it must not touch."""

import os
import shlex
import stat
import subprocess

TIMEOUT_S = 20 * float(os.environ.get("FMVM_TIME_FACTOR", "1"))
FAILURE = 1  # src/cli/report/exit_status.h
USAGE = 2
OPERATOR_STOP = 6
MIB = 1 << 20


class Suite:
    def __init__(self, fmvm, directory):
        self.fmvm = fmvm
        self.directory = directory
        self.failures = 0
        self.cases = 0

    def path(self, name):
        return os.path.join(self.directory, name)

    def write(self, name, content):
        with open(self.path(name), "wb") as file:
            file.write(content)
        return self.path(name)

    def write_sparse(self, name, size):
        path = self.write(name, b"")
        os.truncate(path, size)
        return path

    def snapshot(self):
        """What every file is; content of the small ones."""
        state = {}
        for root, _, names in os.walk(self.directory):
            for name in names:
                path = os.path.join(root, name)
                info = os.stat(path)
                content = b""
                if stat.S_ISREG(info.st_mode) and info.st_size <= MIB:
                    with open(path, "rb") as file:
                        content = file.read()
                state[path] = (info.st_size, info.st_mtime_ns, info.st_mode, content)
        return state

    def report(self, name, problems):
        self.cases += 1
        self.failures += bool(problems)
        print(f"{'FAILED' if problems else 'ok':6} {name}", flush=True)
        for problem in problems:
            print(f"       {problem}", flush=True)

    def case(self, name, arguments, names, status=USAGE, wrapper=None, **subprocess_options):
        """Runs fmvm; `names`: what its one line must contain."""
        before = self.snapshot()
        command = [self.fmvm] + arguments
        if wrapper:
            command = ["unshare", "-m", "sh", "-ec",
                       wrapper + "; exec " + shlex.join(command)]
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True,
                                  timeout=TIMEOUT_S, check=False, cwd=self.directory,
                                  **subprocess_options)
        except subprocess.TimeoutExpired:
            self.report(name, [f"still running after {TIMEOUT_S} s"])
            return
        message = done.stderr.decode(errors="replace")
        problems = []
        if done.returncode != status:
            problems.append(f"exit status {done.returncode}, {status} expected")
        if message.count("\n") != 1 or not message.endswith("\n"):
            problems.append("not exactly one line on stderr")
        if not message.startswith("fmvm: "):
            problems.append("stderr does not start with 'fmvm: '")
        problems += [f"stderr does not name {part!r}" for part in names if part not in message]
        after = self.snapshot()
        problems += [f"changed: {path}" for path in before if after.get(path) != before[path]]
        if problems:
            problems.append(f"stderr was: {message!r}")
        self.report(name, problems)

    def skip(self, name, why):
        print(f"skip   {name}: {why}", flush=True)
