#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the tests of a build tree in virtual hosts, whose /dev/kvm is hardware-virtualised.

CTest, outside, says what there is; each test is a command in a host. As many hosts as this machine has
CPUs take the tests in turn. A test that does not end, or takes its host with it, fails, and the next one
finds a new host. A host that locks up says nothing about fmvm: the test begins anew, once.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
for folder in ("linux", "debian"):
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / folder))
import booted_debian  # noqa: E402
import debian_guest  # noqa: E402
import linux_guest  # noqa: E402
from fmvm_process import settings  # noqa: E402
from host import Host, TIME_FACTOR, boot_files  # noqa: E402
from qemu import Disk, Hardware  # noqa: E402
from works import RUNS  # noqa: E402

SCRATCH_MIB = 16384  # sparse
LABELS = "kvm|kill|linux|net|stock|debian"
# As unittest says it, and as other tests do.
SKIPPED = re.compile(r"^(?:.*\bskipped ['\"]| *SKIPPED: )(.*?)['\"]?$", re.M)


def listed(build, labels, names):
    """CTest's description of the tests that are asked for."""
    done = subprocess.run(["ctest", "--test-dir", build, "--show-only=json-v1", "-L", f"^({labels})$",
                           "-R", names], stdout=subprocess.PIPE, text=True, check=True)
    tests = json.loads(done.stdout)["tests"]
    if not tests:
        sys.exit(f"run_suite: {build} has no tests with a label of {labels} and a name like {names}")
    return tests


def command_of(test):
    """The outside's Python is not the host's."""
    program, *arguments = test["command"]
    return ["python3" if pathlib.Path(program).name.startswith("python3") else program, *arguments]


def properties(test):
    return {entry["name"]: entry["value"] for entry in test["properties"]}


def run_test(host, test, environment, verbose):
    """Why it failed; None when it passed."""
    wanted = properties(test)
    process = None
    try:
        process = host.start(*command_of(test), directory=wanted["WORKING_DIRECTORY"],
                             environment=environment, name=test["name"])
        if verbose:
            process.mirror = sys.stdout.buffer
        status = process.finish(wanted["TIMEOUT"])
        for why in sorted(set(SKIPPED.findall(output(process)))):
            print(f"{test['name']}: skipped: {why}", flush=True)
        return None if status == 0 else f"status {status}\n{output(process)}"
    except AssertionError as error:
        host.kill()  # whatever it left behind
        return f"{error}\n{output(process) if process else ''}\n{host.description()}"


def output(process):
    return (process.console + process.errors).decode(errors="replace")


def run_or_repeat(host, test, environment, verbose):
    if not host.is_up():
        host.boot()
    why = run_test(host, test, environment, verbose)
    if why is None or not host.locked_up():
        return why
    print(f"the host locked up under {test['name']}, which begins anew", flush=True)
    host.boot()
    return run_test(host, test, environment, verbose)


class Suite:
    """The tests, and the hosts that take them in turn."""

    def __init__(self, tests, environment, options):
        self.tests, self.environment, self.options = tests, environment, options
        self.failed = []
        self._waiting = list(enumerate(tests, 1))
        self._hosts = []
        self._lock = threading.Lock()

    def run(self):
        """The names of those that failed."""
        count = min(self.options.hosts, len(self.tests))
        # A host dies with the thread that started it, so that each thread has its own.
        with concurrent.futures.ThreadPoolExecutor(count) as threads:
            try:
                for done in [threads.submit(self._run_in_host, number) for number in range(count)]:
                    done.result()
            except BaseException:
                self._stop()
                raise
        return self.failed

    def _run_in_host(self, number):
        with tempfile.TemporaryDirectory(prefix="fmvm-suite-") as directory:
            scratch = pathlib.Path(directory) / "scratch.img"
            linux_guest.make_disk(scratch, SCRATCH_MIB)
            hardware = Hardware(cpu=self.options.cpu, cpus=self.options.cpus, tsc=self.options.tsc,
                                disks=(Disk(scratch, mount="/tmp", cache="unsafe"),))
            host = Host(f"suite{number}", hardware, kvm=self.options.kvm, read_only=(boot_files().parent,))
            self._hosts.append(host)
            try:
                while (following := self._next()) is not None:
                    self._run_one(host, *following)
            finally:
                host.close()

    def _next(self):
        """The last first: in CTest's order the long ones are at the end."""
        with self._lock:
            return self._waiting.pop() if self._waiting else None

    def _stop(self):
        """Each host loses its power under its thread, which finds nothing more to do."""
        with self._lock:
            self._waiting.clear()
        for host in self._hosts:
            host.cut_off()

    def _run_one(self, host, number, test):
        began = time.monotonic()
        why = run_or_repeat(host, test, self.environment, self.options.verbose)
        with self._lock:
            word = "passed" if why is None else "FAILED"
            print(f"{number:3}/{len(self.tests)} {word} {time.monotonic() - began:6.1f} s  {test['name']}",
                  flush=True)
            if why is not None:
                print(why, flush=True)
                self.failed.append(test["name"])


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("build", type=pathlib.Path, help="for example build/release")
    parser.add_argument("-L", dest="labels", default=LABELS, help=f"labels, of CTest ({LABELS})")
    parser.add_argument("-R", dest="names", default=".", help="names, a regular expression")
    parser.add_argument("--cpu", default=Hardware.cpu, help=f"QEMU's CPU model ({Hardware.cpu})")
    parser.add_argument("--cpus", type=int, default=Hardware.cpus, help=f"of each host ({Hardware.cpus})")
    parser.add_argument("--hosts", type=int, default=os.cpu_count(), help="at the same time (one a CPU)")
    parser.add_argument("--tsc", default=Hardware.tsc, choices=("unstable", "reliable"))
    parser.add_argument("--kvm", default="", help="parameters of kvm_amd, for example nested=0")
    parser.add_argument("-v", dest="verbose", action="store_true", help="show what tests write at once")
    return parser.parse_args()


def main():
    options = parse()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    tests = listed(options.build.resolve(), options.labels, options.names)
    environment = {name: value for name, value in os.environ.items() if name.startswith("FMVM_")}
    environment |= {"FMVM_TIME_FACTOR": str(TIME_FACTOR), **linux_guest.built(), **debian_guest.built()}
    settings.fmvm = options.build.resolve() / "fmvm"
    environment |= booted_debian.environment([run for test in tests for run in RUNS.get(test["name"], ())])
    failed = Suite(tests, environment, options).run()
    print(f"in virtual hosts: {len(tests) - len(failed)} of {len(tests)} tests passed"
          + "".join(f"\n  failed: {name}" for name in failed))
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
