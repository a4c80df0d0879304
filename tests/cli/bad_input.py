#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Bad input on the real program: bad_input.py FMVM MAKE_LABEL

Every case must end by itself with the expected exit status, say one line on stderr that starts
with "fmvm: " and names the thing, and leave every file that was there as it was. One line is
printed per case. Cases that need root (another /dev, a read-only mount) say so when skipped.
"""

import json
import os
import shutil
import sys
import tempfile

from bad_disks import disk_cases, disk_in_use, label_cases, label_is_left
from bad_input_suite import FAILURE, MIB, Suite
from bad_kernels import elf_kernel, kernel_cases


def option_cases(suite, kernel):
    run = ["run", "--kernel", kernel]
    suite.case("no command", [], ["no command", "--help"])
    suite.case("unknown command", ["rum"], ["'rum'"])
    suite.case("unknown option", run + ["--memroy", "1G"], ["'--memroy'"])
    suite.case("unknown option of check", ["check", "--jsno"], ["'--jsno'"])
    verify = ["verify", "--control", suite.path("vm.sock")]
    suite.case("verify without a socket", ["verify"], ["--control", "fmvm verify --help"])
    suite.case("verify of something else", verify + ["--only", "ram"], ["--only", "'ram'"])
    suite.case("verify at no rate", verify + ["--rate", "0"], ["--rate", "1M"])
    suite.case("verify of nobody", verify, ["vm.sock", "no running fmvm"], status=FAILURE)
    suite.case("stray word", run + ["stray"], ["'stray'"])
    suite.case("option without its value", ["run", "--kernel"], ["--kernel", "needs a value"])
    suite.case("option twice", run + ["--kernel", kernel], ["--kernel", "2 times"])
    suite.case("no kernel", ["run"], ["no kernel", "--kernel"])
    suite.case("kernel path empty", ["run", "--kernel", ""], ["kernel", "empty"])
    suite.case("host quirks unknown", run + ["--host-quirks", "on"], ["--host-quirks", "'on'"])
    suite.case("command line too long", run + ["--cmdline", "x" * 4096], ["cmdline", "4096"])

    suite.case("memory 0", run + ["--memory", "0"], ["memory", "too small"])
    suite.case("memory too small", run + ["--memory", "1M"], ["memory", "1 MiB", "too small"])
    suite.case("memory more than 2^64", run + ["--memory", "99999999999999T"], ["--memory", "2^64"])
    suite.case("memory garbage", run + ["--memory", "12Q"], ["--memory", "'12Q'"])
    suite.case("memory negative", run + ["--memory", "-1"], ["--memory", "'-1'"])
    host_mib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // MIB
    suite.case("memory more than the host has", run + ["--memory", f"{host_mib + 4096}M"],
               ["memory", "more than this host has"])
    suite.case("cpus 0", run + ["--cpus", "0"], ["cpus", "0"])
    suite.case("cpus too many", run + ["--cpus", "100000"], ["cpus", "100000"])
    suite.case("cpus garbage", run + ["--cpus", "two"], ["--cpus", "'two'"])

    suite.case("console unknown", run + ["--console", "tty"], ["--console", "'tty'"])
    suite.case("console directory missing", run + ["--console", "file:/nonexistent/log"],
               ["/nonexistent", "does not exist"])
    suite.case("console is a directory", run + ["--console", f"file:{suite.directory}"],
               [suite.directory, "directory"])
    victim = suite.write("victim", b"precious")
    os.symlink(victim, suite.path("planted"))
    suite.case("console is a link to a file", run + ["--console", f"file:{suite.path('planted')}"],
               [suite.path("planted"), "symbolic link"])
    suite.case("console is the kernel", run + ["--console", f"file:{kernel}"],
               [kernel, "same file as kernel"])


def config_cases(suite, kernel):
    def config(name, text, names):
        path = suite.write("machine.json", text.encode())
        suite.case("configuration: " + name, ["run", "--config", path], [path] + names)

    config("malformed", '{\n  "kernel": "vmlinux",\n}', ["line 3", "column 1"])
    config("cut short", '{\n  "kernel": "vm', ["line 2"])
    config("empty", "", ["line 1"])
    config("not an object", "[]", ["line 1", "object"])
    config("unknown key", '{\n  "kernel": "k",\n  "memroy": 1}', ["line 3, column 3", "'memroy'"])
    config("key twice", '{"cpus": 1,\n "cpus": 2}', ["line 2, column 2", "'cpus'"])
    config("wrong type", '{\n "cpus": "two"}', ["line 2, column 2", "'cpus'"])
    config("bad size", '{"memory": "1Q"}', ["line 1, column 2", "'memory'", "'1Q'"])
    config("unknown disk key", '{"disks": [{"path": "a",\n "ro": true}]}', ["line 2", "'ro'"])
    config("disk without path", '{"disks": [{"readonly": true}]}', ["line 1", "path"])
    suite.case("configuration: missing", ["run", "--config", "/nonexistent/m.json"],
               ["/nonexistent/m.json"])
    suite.case("configuration: a directory", ["run", "--config", suite.directory],
               [suite.directory])
    os.mkfifo(suite.path("fifo"))
    suite.case("configuration: a FIFO", ["run", "--config", suite.path("fifo")],
               [suite.path("fifo"), "FIFO"])
    os.remove(suite.path("fifo"))
    suite.case("configuration: twice", ["run", "--config", "a", "--config", "b"], ["--config"])
    path = suite.write("machine.json", json.dumps({"kernel": kernel, "memory": 64}).encode())
    suite.case("configuration: the command line wins",
               ["run", "--config", path, "--memory", "1M"], ["memory", "1 MiB"])


def host_cases(suite, kernel):
    run = ["run", "--kernel", kernel]
    if os.geteuid() != 0:
        suite.skip("no /dev/kvm, no permission, not a KVM device", "needs root")
        return
    for label, arguments in (("run", run), ("check", ["check"]), ("check as JSON", ["check", "--json"])):
        suite.case(f"{label}: no /dev/kvm", arguments, ["/dev/kvm", "modprobe"], status=FAILURE,
                   wrapper="mount -t tmpfs none /dev")
        suite.case(f"{label}: /dev/kvm is something else", arguments, ["/dev/kvm"], status=FAILURE,
                   wrapper="mount --bind /dev/null /dev/kvm")
    if os.stat("/dev/kvm").st_mode & 0o006:
        suite.skip("no permission for /dev/kvm", "everybody has it here")
        return
    nobody = {"user": 65534, "group": 65534, "extra_groups": []}
    copy = suite.path("fmvm")
    shutil.copy(suite.fmvm, copy)
    original, suite.fmvm = suite.fmvm, copy
    for label, arguments in (("run", run), ("check", ["check"])):
        suite.case(f"{label}: no permission for /dev/kvm", arguments,
                   ["/dev/kvm", "permission denied", "usermod"], status=FAILURE, **nobody)
    suite.fmvm = original


def main():
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    fmvm, make_label = map(os.path.abspath, sys.argv[1:])
    with tempfile.TemporaryDirectory(prefix="fmvm-bad-input-") as directory:
        os.chmod(directory, 0o755)  # for the cases that run as nobody
        suite = Suite(fmvm, directory)
        kernel = suite.write("vmlinux", elf_kernel())
        option_cases(suite, kernel)
        config_cases(suite, kernel)
        kernel_cases(suite, kernel)
        disk_cases(suite, kernel)
        disk_in_use(suite, kernel)
        label_cases(suite, kernel, make_label)
        label_is_left(suite, kernel, make_label)
        host_cases(suite, kernel)
    print(f"{suite.cases} cases, {suite.failures} failed")
    return 1 if suite.failures else 0


if __name__ == "__main__":
    sys.exit(main())
