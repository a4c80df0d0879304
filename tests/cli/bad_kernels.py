# SPDX-License-Identifier: Apache-2.0
"""Kernels that cannot be loaded."""

import struct

from bad_input_suite import MIB

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
