# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes a disk image as a machine would boot it: a GPT with one Linux partition that holds an ext4 file system.

The partition table is written here, as UEFI 2.10 describes it in section 5.3; the file system is made by
mke2fs, which copies a folder into it. No part of it needs root.

    disk_image.py make IMAGE FOLDER [--mebibytes N]
    disk_image.py partition IMAGE         prints "first byte, length" after checking both tables
"""

from __future__ import annotations

import argparse
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import uuid
import zlib
from pathlib import Path
from typing import BinaryIO, NamedTuple

SECTOR = 512
MEBIBYTE = 1 << 20
ENTRIES = 128
ENTRY_BYTES = 128
TABLE_SECTORS = ENTRIES * ENTRY_BYTES // SECTOR
#: "Linux filesystem data", from the list of partition types that systemd and util-linux share.
LINUX = uuid.UUID("0FC63DAF-8483-4772-8E79-3D69D8477DE4")
#: Header: signature, revision, size, CRC, reserved, own LBA, other LBA, first and last usable LBA, disk GUID, LBA of
#: the table, number and size of its entries, CRC of the table.
HEADER = struct.Struct("<8sIIIIQQQQ16sQIII")
#: Entry: type, GUID, first and last LBA (the last is part of it), attributes, name in UTF-16.
ENTRY = struct.Struct("<16s16sQQQ72s")


class TableError(Exception):
    """The image has no partition table that can be trusted."""


class Partition(NamedTuple):
    """Where the one partition lies, in bytes."""

    offset: int
    length: int


def _protective_mbr(sectors: int) -> bytes:
    """One entry of type 0xEE over the whole disk, so that old tools see that it is not empty."""
    covered = min(sectors - 1, 0xFFFFFFFF)
    entry = struct.pack("<B3sB3sII", 0, b"\x00\x02\x00", 0xEE, b"\xff\xff\xff", 1, covered)
    return bytes(446) + entry + bytes(48) + b"\x55\xaa"


def _table(partition: Partition, name: str) -> bytes:
    first = partition.offset // SECTOR
    last = (partition.offset + partition.length) // SECTOR - 1
    label = name.encode("utf-16-le").ljust(72, b"\x00")
    entry = ENTRY.pack(LINUX.bytes_le, uuid.uuid4().bytes_le, first, last, 0, label)
    return entry.ljust(ENTRIES * ENTRY_BYTES, b"\x00")


def _header(own: int, other: int, table_at: int, sectors: int, disk: uuid.UUID, table: bytes) -> bytes:
    def packed(crc: int) -> bytes:
        usable = (2 + TABLE_SECTORS, sectors - TABLE_SECTORS - 2)
        place = (own, other, *usable, disk.bytes_le, table_at, ENTRIES, ENTRY_BYTES, zlib.crc32(table))
        return HEADER.pack(b"EFI PART", 0x00010000, HEADER.size, crc, 0, *place)

    return packed(zlib.crc32(packed(0))).ljust(SECTOR, b"\x00")


def write_table(image: BinaryIO, size: int, partition: Partition, name: str = "root") -> None:
    """Write the protective MBR and both copies of the partition table of a disk of `size` bytes."""
    sectors = size // SECTOR
    last = sectors - 1
    table = _table(partition, name)
    disk = uuid.uuid4()
    image.seek(0)
    image.write(_protective_mbr(sectors) + _header(1, last, 2, sectors, disk, table) + table)
    image.seek((last - TABLE_SECTORS) * SECTOR)
    image.write(table + _header(last, 1, last - TABLE_SECTORS, sectors, disk, table))


def _read_table(image: BinaryIO, lba: int) -> tuple[uuid.UUID, bytes]:
    """The disk's GUID and the table, from the header at `lba`; raises TableError."""
    image.seek(lba * SECTOR)
    raw = image.read(HEADER.size)
    if len(raw) < HEADER.size:
        raise TableError(f"the image ends before sector {lba}")
    fields = HEADER.unpack(raw)
    if fields[0] != b"EFI PART" or fields[5] != lba:
        raise TableError(f"sector {lba} holds no GPT header")
    if zlib.crc32(raw[:16] + bytes(4) + raw[20:]) != fields[3]:
        raise TableError(f"the GPT header in sector {lba} does not match its checksum")
    image.seek(fields[10] * SECTOR)
    table = image.read(fields[11] * fields[12])
    if zlib.crc32(table) != fields[13]:
        raise TableError(f"the partition table at sector {fields[10]} does not match its checksum")
    return uuid.UUID(bytes_le=fields[9]), table


def read_partition(image: BinaryIO, size: int) -> Partition:
    """The first partition, after both copies of the table were checked and found equal; raises TableError."""
    image.seek(510)
    if image.read(2) != b"\x55\xaa":
        raise TableError("the first sector has no boot signature")
    primary = _read_table(image, 1)
    if primary != _read_table(image, size // SECTOR - 1):
        raise TableError("the two copies of the partition table differ")
    kind, guid, first, last, attributes, label = ENTRY.unpack_from(primary[1])
    if uuid.UUID(bytes_le=kind) != LINUX or last < first:
        raise TableError(f"the first partition ({label!r}, {guid!r}, {attributes}) is no Linux partition")
    return Partition(first * SECTOR, (last - first + 1) * SECTOR)


def make(path: Path, folder: Path, size: int) -> Partition:
    """Make an image of `size` bytes whose file system holds what is in `folder`."""
    partition = Partition(MEBIBYTE, size - 2 * MEBIBYTE)
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        filesystem = os.path.join(scratch, "ext4")
        with open(filesystem, "wb") as empty:
            empty.truncate(partition.length)
        command = ["mke2fs", "-q", "-F", "-t", "ext4", "-L", "dolly", "-d", str(folder), filesystem]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
        with open(path, "wb") as image, open(filesystem, "rb") as made:
            image.truncate(size)
            write_table(image, size, partition)
            image.seek(partition.offset)
            shutil.copyfileobj(made, image, MEBIBYTE)
    return partition


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser()
    actions = parser.add_subparsers(dest="action", required=True)
    maker = actions.add_parser("make")
    maker.add_argument("image", type=Path)
    maker.add_argument("folder", type=Path)
    maker.add_argument("--mebibytes", type=int, default=64)
    reader = actions.add_parser("partition")
    reader.add_argument("image", type=Path)
    options = parser.parse_args(argv)
    if options.action == "make":
        make(options.image, options.folder, options.mebibytes * MEBIBYTE)
        return 0
    try:
        with open(options.image, "rb") as image:
            print(*read_partition(image, options.image.stat().st_size))
    except TableError as error:
        print(f"{options.image}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
