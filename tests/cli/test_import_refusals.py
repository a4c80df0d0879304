# SPDX-License-Identifier: Apache-2.0
"""`fmvm import` on images that must be refused, on hostile ones, and stopped in the middle: it says one
line, or what it found, and leaves nothing behind."""

import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from fmvm_process import FAILURE, OK, STOPPED, USAGE, main, run, settings  # noqa: E402
from import_images import ImportTestCase  # noqa: E402


class Refusals(ImportTestCase):
    def setUp(self):
        super().setUp()
        self.disk = self.gpt(self.file_system(self.tree("root")))

    def test_an_existing_target_stays(self):
        target = self.directory / "vm"
        target.write_text("precious")
        self.refused("vm: it exists already", self.disk, "--to", "vm")
        self.assertEqual(target.read_text(), "precious")
        target.unlink()
        target.symlink_to("nowhere")
        self.refused("vm: it exists already", self.disk, "--to", "vm")

    def test_a_backing_file(self):
        overlay = self.directory / "overlay.qcow2"
        run("qemu-img", "create", "-q", "-f", "qcow2", "-b", self.disk, "-F", "raw", overlay)
        self.refused("has a backing file", overlay, "--to", "vm")
        overlay = self.directory / "overlay.vmdk"
        run("qemu-img", "create", "-q", "-f", "vmdk", "-b", self.converted(self.disk, "vmdk"), "-F", "vmdk",
            overlay)
        self.refused("has a backing file", overlay, "--to", "vm")

    def test_an_external_data_file(self):
        image = self.directory / "external.qcow2"
        run("qemu-img", "create", "-q", "-f", "qcow2", "-o", f"data_file={self.directory}/data.bin", image, "1M")
        self.refused("keeps its data in another file", image, "--to", "vm")

    def test_a_vmdk_of_several_files(self):
        for subformat in ("monolithicFlat", "twoGbMaxExtentSparse"):
            with self.subTest(subformat=subformat):
                image = self.converted(self.disk, "vmdk", "-o", f"subformat={subformat}")
                self.refused("in other files", image, "--to", "vm")
                image.unlink()

    def test_encryption(self):
        image = self.directory / "secret.qcow2"
        run("qemu-img", "create", "-q", "-f", "qcow2", image, "1M")
        # The header's crypt_method: AES. (Making a LUKS image times itself, and fails on a busy machine.)
        with open(image, "r+b") as file:
            file.seek(32)
            file.write((1).to_bytes(4, "big"))
        self.refused("is encrypted", image, "--to", "vm")

    def test_truncated_images(self):
        for suffix in ("qcow2", "vmdk", "vhdx"):
            with self.subTest(suffix=suffix):
                image = self.converted(self.disk, suffix)
                os.truncate(image, image.stat().st_size * 3 // 4 + 1)
                self.refused(f"image {image}: ", image, "--to", "vm")
                os.truncate(image, 100)
                self.refused(f"image {image}: ", image, "--to", "vm")
                os.truncate(image, 0)
                self.refused("is empty", image, "--to", "vm")
        os.truncate(self.disk, 3 << 20)
        self.refused("its partition table is damaged", self.disk, "--to", "vm")

    def test_what_a_guest_wrote_to_its_raw_disk_means_nothing(self):
        """A qcow2 header with a backing file at the start of a raw disk: it is no disk with a system."""
        overlay = self.directory / "overlay.qcow2"
        run("qemu-img", "create", "-q", "-f", "qcow2", "-b", "/etc/passwd", "-F", "raw", overlay, "1M")
        evil = overlay.rename(self.directory / "evil.raw")
        self.refused("no root is found in it", evil, "--to", "vm")

    def test_a_name_that_tells_no_format(self):
        image = self.disk.rename(self.directory / "disk.img")
        self.refused("give --format", image, "--to", "vm")
        self.imported(image, "--format", "raw")

    def test_the_wrong_format(self):
        self.refused("is not a qcow2 image", self.disk, "--format", "qcow2", "--to", "vm")
        self.refused("'iso' is not known", self.disk, "--format", "iso", "--to", "vm")

    def test_what_is_no_file(self):
        self.refused("cannot be opened", self.directory / "absent.raw", "--to", "vm")
        self.refused("is a directory, not a file", self.directory, "--format", "raw", "--to", "vm")
        os.mkfifo(self.directory / "fifo.raw")
        self.refused("is a FIFO, not a file", self.directory / "fifo.raw", "--to", "vm")

    def test_a_name_that_looks_like_a_protocol(self):
        odd = self.disk.rename(self.directory / "nbd:unix:x,file.raw")
        self.imported(odd.name)
        self.check_directory(odd.read_bytes())

    def test_a_target_whose_parent_is_missing(self):
        self.refused("cannot be made", self.disk, "--to", "absent/vm")

    def test_a_missing_program_is_named_with_its_package(self):
        tools = self.directory / "tools"
        tools.mkdir()
        self.refused("qemu-img is missing; install Debian's package qemu-utils", self.disk, "--to", "vm",
                     status=FAILURE, path=str(tools))
        (tools / "qemu-img").symlink_to(shutil.which("qemu-img"))
        self.refused("grub-fstest is missing; install Debian's package grub-common", self.disk, "--to", "vm",
                     status=FAILURE, path=str(tools))

    def test_a_disk_that_does_not_fit(self):
        """Sparse in its file, but the guest may fill it."""
        huge = self.directory / "huge.qcow2"
        run("qemu-img", "create", "-q", "-f", "qcow2", huge, "1P")
        self.refused("make room", huge, "--to", "vm", status=FAILURE)

    @unittest.skipUnless(os.geteuid() == 0, "mounts a small tmpfs, so needs root")
    def test_a_full_disk(self):
        small = self.directory / "small"
        small.mkdir()
        run("mount", "-t", "tmpfs", "-o", "size=150M", "none", small)
        self.addCleanup(run, "umount", small)
        self.imported(self.disk, to="small/vm")
        (small / "ballast").write_bytes(bytes(30 << 20))
        self.refused("make room", self.disk, "--to", "small/vm2", status=FAILURE)
        self.assertEqual({path.name for path in small.iterdir()}, {"vm", "ballast"})


class HostileImages(ImportTestCase):
    def test_names_in_the_directory_of_kernels(self):
        tree = self.tree("root")
        for name in ("vmlinuz-9 $(touch x)", "vmlinuz-9\nvmlinuz-8", "vmlinuz-9;x", "-rf", "vmlinuz-\x1b[2J",
                     "vmlinuz-99999"):
            (tree / "boot" / name).mkdir() if name.endswith("99999") else (tree / "boot" / name).write_text("x")
        disk = self.file_system(tree)
        self.imported(self.raw(disk))
        self.assertNotIn("\x1b", self.errors)
        self.check_directory(disk)

    def test_a_system_with_a_hostile_name(self):
        tree = self.tree("root")
        (tree / "usr/lib/os-release").write_text("PRETTY_NAME='\x1b]0;evil\x07\nfmvm: forged'\n")
        self.imported(self.raw(self.file_system(tree)))
        self.assertRegex(self.errors, r"\Avm: [ -~]+\n\Z")

    def test_links_lead_nowhere_outside(self):
        tree = self.tree("root")
        (tree / "usr/lib/os-release").unlink()
        (tree / "usr/lib/os-release").symlink_to("../../../../../../etc/hostname")
        self.refused("no root is found in it", self.raw(self.file_system(tree)), "--to", "vm")

    def test_an_endless_os_release(self):
        tree = self.tree("root")
        (tree / "usr/lib/os-release").write_bytes(b"x" * (1 << 20))
        self.refused("printed more than", self.raw(self.file_system(tree)), "--to", "vm")

    def test_a_file_system_full_of_rubbish(self):
        """4 KiB at a time lose their content; fmvm says something, and leaves nothing."""
        disk = bytearray(self.file_system(self.tree("root")))
        for block in range(0, 64, 3):
            with self.subTest(block=block):
                damaged = bytearray(disk)
                damaged[block * 4096 + 1024:(block + 1) * 4096] = random.Random(block).randbytes(3072)
                done = self.fmvm(self.raw(bytes(damaged)), "--to", "vm")
                self.assertIn(done.returncode, (OK, USAGE), done.stderr)
                self.assertEqual((self.directory / "vm").exists(), done.returncode == OK)
                shutil.rmtree(self.directory / "vm", ignore_errors=True)
                self.assertEqual(list(self.directory.glob("*unfinished*")), [])


class Stopping(ImportTestCase):
    def test_a_signal_leaves_nothing(self):
        """While qemu-img runs: a slow one, which writes its own process id."""
        tools = self.directory / "tools"
        tools.mkdir()
        (tools / "grub-fstest").symlink_to(shutil.which("grub-fstest"))
        slow = tools / "qemu-img"
        slow.write_text('#!/bin/sh\n[ "$1" != convert ] && exec /usr/bin/qemu-img "$@"\n'
                        f"echo $$ > {self.directory}/pid.new\nmv {self.directory}/pid.new {self.directory}/pid\n"
                        "exec sleep 600\n")
        slow.chmod(0o755)
        image = self.gpt(self.file_system(self.tree("root")))
        for number, expected in ((signal.SIGTERM, STOPPED), (signal.SIGINT, STOPPED), (signal.SIGKILL, -9)):
            with self.subTest(signal=number):
                process = subprocess.Popen([settings.fmvm, "import", image, "--to", "vm"], cwd=self.directory,
                                           env={"PATH": str(tools)}, stderr=subprocess.PIPE, text=True)
                pid = int(self.wait_for_file(self.directory / "pid"))
                process.send_signal(number)
                _, errors = process.communicate(timeout=60)
                self.assertEqual(process.returncode, expected, errors)
                self.wait_for_end(pid)
                self.assertFalse((self.directory / "vm").exists())
                if expected == STOPPED:
                    self.assertEqual(list(self.directory.glob("*unfinished*")), [])
                    self.assertEqual(errors, "fmvm: import: stopped; nothing is left of it\n")

    def wait_for_file(self, path):
        deadline = time.monotonic() + 60
        while not path.exists():
            self.assertLess(time.monotonic(), deadline, f"{path} does not come")
            time.sleep(0.02)
        text = path.read_text()
        path.unlink()
        return text

    def wait_for_end(self, pid):
        deadline = time.monotonic() + 60
        while pathlib.Path(f"/proc/{pid}").exists():
            self.assertLess(time.monotonic(), deadline, f"process {pid} is still there")
            time.sleep(0.02)


if __name__ == "__main__":
    main()
