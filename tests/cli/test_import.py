# SPDX-License-Identifier: Apache-2.0
"""`fmvm import` on images of a tiny system, in every format and with every partition table; and on
those that must be refused. Needs no KVM and no privileges."""

import gzip
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from fmvm_process import FAILURE, OK, STOPPED, USAGE, main, run, settings  # noqa: E402
import partitioned  # noqa: E402

VERSION = "6.1.0-10-test"
KERNEL = b"kernel " + VERSION.encode()
FILE_SYSTEM_MB = 8
ROOT_GUID = uuid.UUID("12345678-9abc-def0-1234-56789abcdef0")
BOOT_GUID = uuid.UUID("87654321-9abc-def0-1234-56789abcdef0")
MBR_SIGNATURE = 0xCAFE1234


def newc(*names):
    """A cpio archive of empty files (Linux: early-userspace/buffer-format)."""
    def entry(number, name):
        header = b"070701" + b"".join(b"%08x" % field for field in (
            number, 0o100644, 0, 0, 1, 0, 0, 0, 0, 0, 0, len(name) + 1, 0))
        return header + name + bytes(1 + -(len(header) + len(name) + 1) % 4)
    return b"".join(entry(number, name.encode()) for number, name in enumerate([*names, "TRAILER!!!"]))


def initrd(*modules):
    return gzip.compress(newc(*(f"usr/lib/modules/{VERSION}/kernel/{name}.ko" for name in modules)))


GOOD_INITRD = initrd("virtio_mmio", "virtio_blk")


def boot_files(directory, ram_disk=GOOD_INITRD):
    """A newer kernel by letters, a newer one without an initrd, and the one that is wanted."""
    for name, content in ((f"vmlinuz-{VERSION}", KERNEL), (f"initrd.img-{VERSION}", ram_disk),
                          ("vmlinuz-6.1.0-9-test", b"old"), ("initrd.img-6.1.0-9-test", b"old"),
                          ("vmlinuz-7.0.0-no-initrd", b"without")):
        (directory / name).write_bytes(content)


class ImportTestCase(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="fmvm-import-")
        self.addCleanup(directory.cleanup)
        self.directory = pathlib.Path(directory.name)

    def tree(self, name, boot=True):
        """A root, as Debian has it."""
        tree = self.directory / name
        for directory in ("boot", "etc", "sbin", "usr/lib/systemd"):
            (tree / directory).mkdir(parents=True)
        (tree / "usr/lib/os-release").write_text('PRETTY_NAME="Test GNU/Linux 12"\nID=test\n')
        (tree / "etc/os-release").symlink_to("../usr/lib/os-release")
        (tree / "usr/lib/systemd/systemd").write_text("")
        (tree / "sbin/init").symlink_to("/usr/lib/systemd/systemd")
        if boot:
            boot_files(tree / "boot")
        return tree

    def file_system(self, tree):
        """Its bytes: an ext4 file system with the tree in it."""
        path = self.directory / f"{tree.name}.ext4"
        run("/sbin/mke2fs", "-q", "-t", "ext4", "-d", tree, path, f"{FILE_SYSTEM_MB}M")
        return path.read_bytes()

    def raw(self, content, name="disk.raw"):
        path = self.directory / name
        path.write_bytes(content)
        return path

    def gpt(self, *contents, name="disk.raw"):
        path = self.directory / name
        partitioned.write_gpt(path, contents, [uuid.uuid4(), ROOT_GUID, BOOT_GUID][-len(contents):])
        return path

    def converted(self, raw, suffix, *options):
        path = raw.with_suffix(f".{suffix}")
        run("qemu-img", "convert", "-f", "raw", "-O", suffix, *options, raw, path)
        return path

    def fmvm(self, *arguments, path=None):
        environment = dict(os.environ, **({"PATH": path} if path else {}))
        return subprocess.run([settings.fmvm, "import", *map(str, arguments)], cwd=self.directory,
                              capture_output=True, text=True, timeout=300, env=environment)

    def imported(self, image, *options, to="vm"):
        """Imports; the configuration that was printed."""
        done = self.fmvm(image, "--to", to, *options)
        self.assertEqual(done.returncode, OK, done.stderr)
        self.errors = done.stderr
        return json.loads(done.stdout)

    def refused(self, sentence, *arguments, status=USAGE, path=None):
        """One line, nothing new in the directory."""
        before = sorted(self.directory.iterdir())
        done = self.fmvm(*arguments, path=path)
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertEqual(done.stdout, "")
        self.assertRegex(done.stderr, r"\Afmvm: [^\n]+\n\Z")
        self.assertIn(sentence, done.stderr)
        self.assertEqual(sorted(self.directory.iterdir()), before)

    def check_directory(self, disk):
        """The disk is as it was, kernel and initrd are the right ones."""
        made = self.directory / "vm"
        self.assertEqual({path.name for path in made.iterdir()}, {"disk.img", "vmlinuz", "initrd"})
        self.assertEqual((made / "disk.img").read_bytes(), disk)
        self.assertEqual((made / "vmlinuz").read_bytes(), KERNEL)
        self.assertEqual((made / "initrd").read_bytes(), GOOD_INITRD)
        shutil.rmtree(made)


class Formats(ImportTestCase):
    def test_every_format_gives_the_same_disk(self):
        raw = self.gpt(self.file_system(self.tree("root")))
        images = [raw, self.converted(raw, "qcow2", "-c"), self.converted(raw, "vhdx"),
                  self.converted(raw, "vmdk"), self.converted(raw, "vmdk", "-o", "subformat=streamOptimized")]
        for image in images:
            with self.subTest(image=image):
                self.imported(image)
                self.check_directory(raw.read_bytes().ljust(-(-raw.stat().st_size // 512) * 512, b"\0"))

    def test_the_configuration_and_what_is_told(self):
        config = self.imported(self.gpt(self.file_system(self.tree("root"))))
        self.assertEqual(config, {
            "kernel": "vm/vmlinuz", "initrd": "vm/initrd", "memory": "1G",
            "cmdline": "console=ttyS0 root=PARTUUID=87654321-9abc-def0-1234-56789abcdef0",
            "disks": [{"path": "vm/disk.img"}]})
        self.assertEqual(self.errors, f"vm: Test GNU/Linux 12, kernel {VERSION}, root=PARTUUID={BOOT_GUID}\n")

    def test_fmvm_run_takes_the_configuration(self):
        """As far as the kernel, which is none."""
        image = self.gpt(self.file_system(self.tree("root")))
        config = self.directory / "vm.json"
        config.write_text(json.dumps(self.imported(image)))
        done = subprocess.run([settings.fmvm, "run", "--config", config], cwd=self.directory, timeout=60,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True)
        self.assertRegex(done.stderr, r"\Afmvm: (kernel vm/vmlinuz|/dev/kvm)")

    def test_the_default_directory_is_the_images_name(self):
        image = self.gpt(self.file_system(self.tree("root")), name="a system.raw")
        done = self.fmvm(image)
        self.assertEqual(done.returncode, OK, done.stderr)
        self.assertTrue((self.directory / "a system/disk.img").exists())

    def test_progress_is_for_a_terminal_only(self):
        image = self.gpt(self.file_system(self.tree("root")))
        self.imported(image)
        self.assertNotIn("%", self.errors)
        terminal, fmvms_end = os.openpty()
        self.addCleanup(os.close, terminal)
        done = subprocess.run([settings.fmvm, "import", image, "--to", "vm2"], cwd=self.directory, timeout=300,
                              stdout=subprocess.DEVNULL, stderr=fmvms_end)
        os.close(fmvms_end)
        self.assertEqual(done.returncode, OK)
        self.assertRegex(os.read(terminal, 65536).decode(), r"converting: +\d+ %.*\x1b\[Kvm2: Test GNU/Linux 12")


class Partitions(ImportTestCase):
    def test_without_a_table(self):
        disk = self.file_system(self.tree("root"))
        config = self.imported(self.raw(disk))
        self.assertEqual(config["cmdline"], "console=ttyS0 root=/dev/vda")
        self.check_directory(disk)

    def test_mbr(self):
        image = self.directory / "disk.raw"
        partitioned.write_mbr(image, [bytes(1 << 20), self.file_system(self.tree("root"))], MBR_SIGNATURE)
        self.assertEqual(self.imported(image)["cmdline"], "console=ttyS0 root=PARTUUID=cafe1234-02")
        self.check_directory(image.read_bytes())

    def test_boot_on_a_partition_of_its_own(self):
        boot = self.directory / "boot"
        boot.mkdir()
        boot_files(boot)
        image = self.gpt(bytes(1 << 20), self.file_system(self.tree("root", boot=False)),
                         self.file_system(boot))
        config = self.imported(image)
        self.assertEqual(config["cmdline"], f"console=ttyS0 root=PARTUUID={ROOT_GUID}")
        self.check_directory(image.read_bytes())

    def test_a_partition_that_only_names_a_system_is_no_root(self):
        tree = self.tree("container")
        (tree / "sbin/init").unlink()
        (tree / "usr/lib/systemd/systemd").unlink()
        self.refused("no root is found in it", self.gpt(self.file_system(tree)), "--to", "vm")

    def test_a_damaged_table(self):
        image = self.gpt(self.file_system(self.tree("root")))
        with open(image, "r+b") as file:
            file.seek(512 + 60)
            file.write(b"\xff")
        self.refused("its partition table is damaged", image, "--to", "vm")

    def test_no_kernel(self):
        self.refused("no kernel", self.gpt(self.file_system(self.tree("root", boot=False))), "--to", "vm")

    def test_nothing_at_all(self):
        self.refused("no root is found in it", self.raw(bytes(1 << 20)), "--to", "vm")
        self.refused("no root is found in it", self.raw(random.Random(1).randbytes(1 << 20)), "--to", "vm")


class RamDisks(ImportTestCase):
    def warning(self, ram_disk, builtin=""):
        tree = self.tree("root", boot=False)
        boot_files(tree / "boot", ram_disk)
        modules = tree / "lib/modules" / VERSION
        modules.mkdir(parents=True)
        (modules / "modules.builtin").write_text(builtin)
        self.imported(self.gpt(self.file_system(tree)))
        shutil.rmtree(tree)
        shutil.rmtree(self.directory / "vm")
        return self.errors.split("\n", 1)[1]

    def test_what_it_lacks_is_told(self):
        self.assertEqual(self.warning(GOOD_INITRD), "")
        self.assertIn("lacks virtio_mmio,", self.warning(initrd("virtio_blk")))
        self.assertIn("lacks virtio_mmio and virtio_blk,", self.warning(initrd("ext4")))
        self.assertIn("cannot be told", self.warning(b"no archive"))

    def test_what_is_built_in_need_not_be_there(self):
        builtin = "kernel/drivers/virtio/virtio_mmio.ko\nkernel/drivers/block/virtio_blk.ko\n"
        self.assertEqual(self.warning(initrd("ext4"), builtin), "")


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
        run("qemu-img", "create", "-q", "-f", "qcow2", "--object", "secret,id=s,data=x",
            "-o", "encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10", image, "1M")
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
        self.refused("is not a regular file", self.directory, "--format", "raw", "--to", "vm")
        os.mkfifo(self.directory / "fifo.raw")
        self.refused("is not a regular file", self.directory / "fifo.raw", "--to", "vm")

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
