#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Bad input on the real program: bad_input.py FMVM MAKE_LABEL

Every case must end by itself with the expected exit status, say one line on stderr that starts
with "fmvm: " and names the thing, and leave every file that was there as it was. One line is
printed per case. Cases that need root (another /dev, a read-only mount) say so when skipped.
"""

import json
import os
import shlex
import shutil
import signal
import stat
import struct
import subprocess
import sys
import tempfile
import time

TIMEOUT_S = 20
FAILURE = 1  # src/cli/report/exit_status.h
USAGE = 2
OPERATOR_STOP = 6
MIB = 1 << 20

PT_LOAD, PT_NOTE = 1, 4
EM_X86_64, EM_AARCH64 = 62, 183
XEN_ELFNOTE_PHYS32_ENTRY = 18


def elf_kernel(machine=EM_X86_64, address=MIB, size_in_file=4096):
    """A PVH kernel that halts for ever: ELF header, two program headers, note, code."""
    code = bytes([0xFA, 0xF4, 0xEB, 0xFD])  # cli; 1: hlt; jmp 1b
    code += bytes(size_in_file - len(code))
    note = struct.pack("<III4sI", 4, 4, XEN_ELFNOTE_PHYS32_ENTRY, b"Xen\0", address & 0xFFFFFFFF)
    note_offset, code_offset = 64 + 2 * 56, 4096
    header = struct.pack("<4sBBBB8xHHIQQQIHHHHHH", b"\x7fELF", 2, 1, 1, 0, 2, machine, 1,
                         address, 64, 0, 0, 64, 56, 2, 64, 0, 0)
    load = struct.pack("<IIQQQQQQ", PT_LOAD, 7, code_offset, address, address,
                       size_in_file, size_in_file, 4096)
    notes = struct.pack("<IIQQQQQQ", PT_NOTE, 4, note_offset, 0, 0, len(note), len(note), 4)
    return (header + load + notes + note).ljust(code_offset, b"\0") + code


def truncated_bzimage():
    """A boot sector that announces four setup sectors and a payload which are not there."""
    image = bytearray(1024)
    image[0x1F1] = 4
    image[0x1FE:0x200] = b"\x55\xaa"
    image[0x200:0x206] = b"\xeb\x6aHdrS"
    image[0x206:0x208] = struct.pack("<H", 0x020F)
    image[0x236] = 1  # xloadflags: a 64-bit kernel
    return bytes(image)


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


def kernel_cases(suite, kernel):
    def case(name, content, names):
        path = suite.write("bad-kernel", content)
        log = suite.write("old.log", b"an earlier console log\n")
        suite.case("kernel: " + name, ["run", "--kernel", path, "--console", f"file:{log}"],
                   [path] + names)

    good = elf_kernel()
    case("empty", b"", ["empty"])
    case("one byte", b"\x7f", ["neither"])
    case("text", b"#!/bin/sh\necho hello\n" * 100, ["neither"])
    case("header cut short", good[:40], ["truncated"])
    case("segment cut short", good[:-100], ["truncated"])
    case("not x86-64", elf_kernel(machine=EM_AARCH64), ["x86-64"])
    case("segment above RAM", elf_kernel(address=512 * MIB), ["0x20000000", "RAM"])
    case("segment where no RAM is", elf_kernel(address=0xD0000000), ["0xd0000000", "RAM"])
    case("bzImage cut short", truncated_bzimage(), ["truncated"])
    suite.case("kernel: missing", ["run", "--kernel", suite.path("none")], [suite.path("none")])
    suite.case("kernel: a directory", ["run", "--kernel", suite.directory], [suite.directory])
    initrd = suite.write_sparse("initrd", 128 * MIB)
    run = ["run", "--kernel", kernel, "--memory", "64M", "--initrd"]
    suite.case("initrd: too large", run + [initrd], [initrd])
    suite.case("initrd: missing", run + [suite.path("none")], [suite.path("none")])
    suite.case("initrd: a directory", run + [suite.directory], [suite.directory])


def disk_cases(suite, kernel):
    run = ["run", "--kernel", kernel]
    image = suite.write_sparse("disk.img", MIB)
    odd = suite.write_sparse("odd.img", 1000)

    def case(name, text, names):
        suite.case("disk: " + name, run + ["--disk", text], names)

    case("missing", "path=" + suite.path("none"), [suite.path("none")])
    case("a directory", "path=" + suite.directory, [suite.directory, "directory"])
    case("empty", "path=" + suite.write("empty.img", b""), ["empty.img"])
    case("not a multiple of 512", "path=" + odd, [odd, "512"])
    case("a character device", "path=/dev/null", ["/dev/null"])
    case("path empty", "path=", ["disk", "empty"])
    case("no path", "readonly", ["--disk", "'readonly'"])
    case("unknown key", f"path={image},ro", ["--disk", "'ro'"])
    case("key twice", f"path={image},readonly,readonly", ["--disk", "'readonly'"])
    case("flag with a value", f"path={image},readonly=no", ["--disk", "'readonly=no'"])
    case("serial too long", f"path={image},serial=123456789012345678901", [image, "serial", "20"])
    case("serial not printable", f"path={image},serial=a\tb", [image, "serial"])
    case("another format", "path=" + suite.write("cloud.img", b"QFI\xfb\0\0\0\3".ljust(MIB, b"\0")),
         ["looks like a qcow2 image", "qemu-img convert", "format=raw"])
    suite.case("disk: same image twice", run + ["--disk", f"path={image}", "--disk",
               f"path={suite.directory}/./disk.img,readonly"], [image, "the same image"])
    suite.case("disk: is the kernel", run + ["--disk", f"path={kernel}"],
               [kernel, "same file as kernel"])
    suite.case("disk: is the console", run + ["--disk", f"path={image}", "--console",
               f"file:{image}"], [image, "same file as disk"])
    suite.case("disk: too many", run + ["--disk", "path=x"] * 40, ["disk", "40", "too many"])
    name = "disk: read-only but opened for writing"
    if os.geteuid() == 0:
        mount = f"mount --bind {image} {image}; mount -o remount,ro,bind {image}"
        suite.case(name, run + ["--disk", f"path={image}"], [image, "readonly"], wrapper=mount)
    else:
        os.chmod(image, 0o444)
        case(name[6:], f"path={image}", [image, "readonly"])
        os.chmod(image, 0o644)


def is_locked(path):
    inode = os.stat(path).st_ino
    with open("/proc/locks", encoding="ascii") as locks:
        return any(f":{inode} " in line for line in locks)


def disk_in_use(suite, kernel):
    name = "disk: in use by another fmvm"
    image = suite.write_sparse("busy.img", MIB)
    arguments = ["run", "--kernel", kernel, "--console", "null", "--disk", f"path={image}"]
    with subprocess.Popen([suite.fmvm] + arguments, stdin=subprocess.DEVNULL,
                          stderr=subprocess.PIPE) as first:
        deadline = time.monotonic() + TIMEOUT_S
        while not is_locked(image) and first.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        suite.case(name, arguments, [image, "in use"])
        suite.case(name + ", wanted read-only", arguments[:-1] + [f"path={image},readonly"],
                   [image, "in use"])
        problems = []
        if first.poll() is not None:
            problems.append(f"the first fmvm ended early: {first.stderr.read().decode()!r}")
        first.send_signal(signal.SIGTERM)
        try:
            status = first.wait(TIMEOUT_S)
        except subprocess.TimeoutExpired:
            first.kill()
            status = f"none within {TIMEOUT_S} s"
        if status != OPERATOR_STOP:
            problems.append(f"exit status after SIGTERM: {status}, {OPERATOR_STOP} expected")
        suite.report("the first fmvm went on, and stopped on SIGTERM", problems)


def label_cases(suite, kernel, make_label):
    run = ["run", "--kernel", kernel, "--console", "null"]
    image = suite.write_sparse("labelled.img", MIB)
    label = image + ".fmvm"

    def case(name, names, disk=f"path={image}", arguments=()):
        suite.case("label: " + name, run + ["--disk", disk, *arguments], names)

    for role in ("running", "following"):
        subprocess.run([make_label, label, str(MIB), role, "7"], check=True)
        names = [image, "generation 7", "gone on elsewhere", "backup"]
        case(role, names)
        case(role + ", read-only", names, f"path={image},readonly")
    link = suite.path("link.img")
    os.symlink(image, link)
    case("of what a link leads to", [link, "generation 7"], f"path={link}")
    bad = suite.write("bad-kernel", b"no kernel at all")
    suite.case("label: is kept when the guest cannot start",
               ["run", "--kernel", bad, "--disk", f"path={image}", "--force-stale"], [bad])
    suite.case("replay: onto an image that is not to be written",
               ["replay", "vm.log", "--disk", f"path={image},readonly"], [image, "path=IMAGE"])
    record = suite.write("old.log", b"somebody's")
    before = open(label, "rb").read()
    suite.case("label: is kept when the log of --record is there already",
               run + ["--disk", f"path={image}", "--force-stale", "--record", record], [record])
    suite.report("label: is what it was", [] if open(label, "rb").read() == before else ["changed"])
    primary = ["primary", "--backup", "127.0.0.1:1", "--arbiter", f"file:{suite.path('claims')}",
               *run[1:]]
    suite.case("label: running, read-only, protected",
               primary + ["--disk", f"path={image},readonly"], [image, "gone on elsewhere"])
    suite.case("label: none, protected", primary + ["--disk", f"path={image},label=none"],
               [image, "label=PATH"])
    subprocess.run([make_label, label, str(MIB), "syncing", "7"], check=True)
    case("syncing", [image, "partly", "backup"])
    other = suite.path("other.fmvm")
    os.rename(label, other)
    case("elsewhere", [image, "partly"], f"path={image},label={other}")
    case("no path", ["label="], f"path={image},label=")
    case("is the image", ["label", "same file as disk"], f"path={image},label={image}")
    case("of two disks", ["label", "same file"], f"path={image},label={other}",
         ["--disk", f"path={suite.path('disk.img')},label={other}"])
    case("a directory", [suite.directory, "label=PATH"], f"path={image},label={suite.directory}")
    suite.write("labelled.img.fmvm", b"no label at all")
    case("damaged", [image, "damaged", "whole"])
    os.unlink(label)
    os.unlink(link)


def label_is_left(suite, kernel, make_label):
    """A guest without protection takes its disk out of it before it starts."""
    image = suite.write_sparse("left.img", MIB)
    label = image + ".fmvm"
    arguments = [suite.fmvm, "run", "--kernel", kernel, "--console", "null", "--disk",
                 f"path={image}"]

    def facts():
        return subprocess.run([make_label, label], check=True, capture_output=True).stdout.split()

    for role, forced in (("clean", []), ("running", ["--force-stale"])):
        subprocess.run([make_label, label, str(MIB), role, "7"], check=True)
        before = facts()
        with subprocess.Popen(arguments + forced, stdin=subprocess.DEVNULL,
                              stderr=subprocess.PIPE) as fmvm:
            deadline = time.monotonic() + TIMEOUT_S
            while facts() == before and fmvm.poll() is None and time.monotonic() < deadline:
                time.sleep(0.01)
            fmvm.send_signal(signal.SIGTERM)
            try:
                fmvm.wait(TIMEOUT_S)
            except subprocess.TimeoutExpired:
                fmvm.kill()
        role_now, generation, pair = facts()
        problems = []
        if role_now != b"clean" or generation != b"7":
            problems.append(f"role and generation are {role_now}, {generation}")
        if pair == before[2]:
            problems.append("it is still paired with the image it was paired with")
        suite.report(f"label: {role}, is left behind", problems)


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
