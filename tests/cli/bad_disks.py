# SPDX-License-Identifier: Apache-2.0
"""Disks that cannot be had, or whose label says that they are not to be written."""

import os
import signal
import subprocess
import time

from bad_input_suite import MIB, OPERATOR_STOP, TIMEOUT_S


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
