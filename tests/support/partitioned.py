# SPDX-License-Identifier: Apache-2.0
"""Disks with a partition table, written from the specifications (UEFI 2.10, chapter 5): what finds
the partitions again is not what wrote them."""

import binascii
import struct
import uuid

SECTOR = 512
ALIGNMENT = 2048  # sectors: 1 MiB, as every partitioner has it
ENTRIES, ENTRY_BYTES = 128, 128
LINUX = uuid.UUID("0fc63daf-8483-4772-8e79-3d69d8477de4")


def _crc(data):
    return binascii.crc32(data) & 0xFFFFFFFF


def _mbr_entry(kind, first, sectors):
    return struct.pack("<B3sB3sII", 0, b"\0\2\0", kind, b"\xff\xff\xff", first, min(sectors, 0xFFFFFFFF))


def _mbr(entries, signature):
    table = b"".join(_mbr_entry(*entry) for entry in entries).ljust(64, b"\0")
    return bytes(440) + struct.pack("<IH", signature, 0) + table + b"\x55\xaa"


def _gpt_header(entries, here, other, entries_at, last_usable, disk_guid):
    def header(checksum):
        return struct.pack("<8sIIIIQQQQ16sQIII", b"EFI PART", 0x10000, 92, checksum, 0, here, other,
                           2 + ENTRIES * ENTRY_BYTES // SECTOR, last_usable, disk_guid.bytes_le, entries_at,
                           ENTRIES, ENTRY_BYTES, _crc(entries))
    return header(_crc(header(0))).ljust(SECTOR, b"\0")


def _place(file, contents):
    """Writes the contents one behind the other; returns (first sector, sectors) of each."""
    places, sector = [], ALIGNMENT
    for content in contents:
        sectors = -(-len(content) // SECTOR)
        file.seek(sector * SECTOR)
        file.write(content)
        places.append((sector, sectors))
        sector += -(-sectors // ALIGNMENT) * ALIGNMENT
    return places, sector + ALIGNMENT


def write_gpt(path, contents, unique_guids):
    """A disk with each of the contents as a partition of type Linux."""
    with open(path, "wb") as file:
        places, total = _place(file, contents)
        entries = b"".join(
            LINUX.bytes_le + guid.bytes_le + struct.pack("<QQQ72s", first, first + sectors - 1, 0, b"")
            for (first, sectors), guid in zip(places, unique_guids)).ljust(ENTRIES * ENTRY_BYTES, b"\0")
        table_sectors = len(entries) // SECTOR
        last_usable = total - table_sectors - 2
        disk_guid = uuid.UUID(int=1)
        file.seek(0)
        file.write(_mbr([(0xEE, 1, total - 1)], 0))
        file.write(_gpt_header(entries, 1, total - 1, 2, last_usable, disk_guid) + entries)
        file.seek((total - 1 - table_sectors) * SECTOR)
        file.write(entries)
        file.write(_gpt_header(entries, total - 1, 1, total - 1 - table_sectors, last_usable, disk_guid))


def write_mbr(path, contents, signature):
    """The same with a DOS partition table."""
    with open(path, "wb") as file:
        places, total = _place(file, contents)
        file.truncate(total * SECTOR)
        file.seek(0)
        file.write(_mbr([(0x83, first, sectors) for first, sectors in places], signature))
