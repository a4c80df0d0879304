# SPDX-License-Identifier: Apache-2.0
"""`fmvm import` on images of a tiny system, in every format and with every partition table."""

import json
import os
import pathlib
import random
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from fmvm_process import OK, main, settings  # noqa: E402
from import_images import (BOOT_GUID, GOOD_INITRD, MBR_SIGNATURE, ROOT_GUID, VERSION, ImportTestCase,  # noqa: E402
                           boot_files, initrd)
import partitioned  # noqa: E402


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


if __name__ == "__main__":
    main()
