# SPDX-License-Identifier: Apache-2.0
"""Images of a tiny system for the tests of `fmvm import`; needs no privileges."""

import gzip
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest
import uuid

from fmvm_process import OK, USAGE, run, settings
import partitioned

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
