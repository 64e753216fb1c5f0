# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Moving the backup of a GUID partition table on a disk larger than its image. Writes nothing itself.

The image's backup header lies where the image's disk ended. By UEFI 2.10, section 5.3, it belongs in the last
block of the disk, behind the backup of the entries. Otherwise the kernel and most tools complain, or leave
the rest unused.
"""

from __future__ import annotations

import struct
import zlib
from typing import Callable, List, NamedTuple, Optional, Tuple, Union

_SIGNATURE = b"EFI PART"
_HEADER = struct.Struct("<8s4sIIIQQQQ16sQIII")
_CRC_AT = 16
_MOST_ENTRY_BYTES = 1 << 20
_MOST_BLOCKS = 1 << 50
_PROTECTIVE = 0xEE
_MBR_TYPE_AT, _MBR_SIZE_AT, _MBR_MOST = 446 + 4, 446 + 12, 0xFFFFFFFF

#: Bytes of a logical block that a table may have been made for.
_BLOCK_SIZES = (512, 1024, 2048, 4096)

Read = Callable[[int, int], bytes]  #: bytes of a disk or an image by offset and length; fewer where it ends
Writes = List[Tuple[int, bytes]]  #: (offset in bytes, data), in the order in which they are safe


class Table(NamedTuple):
    """The fields of a table that change when its backup moves, as numbers of blocks of `block` bytes.

    `entries`: where the backup of its entries begins, 0 if there is no backup. `covered`: the size of the
    entry in the protective MBR.
    """

    block: int
    backup: int
    last_usable: int
    entries: int
    covered: int


class _Header(NamedTuple):
    signature: bytes
    revision: bytes
    size: int
    crc: int
    reserved: int
    own: int
    other: int
    first_usable: int
    last_usable: int
    disk: bytes
    entries_at: int
    entry_count: int
    entry_size: int
    entries_crc: int


def tables(read: Read) -> Tuple[Table, ...]:
    """Return the valid tables of an image, at most one for each block size: usually one, or none."""
    found = []
    for block in _BLOCK_SIZES:
        try:
            raw = read(block, block)
            header = _parse(raw, block) if raw.startswith(_SIGNATURE) and len(raw) == block else None
        except ValueError:
            continue
        if header is not None:
            backup = read(header.other * block, block)
            is_there = backup.startswith(_SIGNATURE) and len(backup) == block
            entries = _Header._make(_HEADER.unpack_from(backup)).entries_at if is_there else 0
            (covered,) = struct.unpack_from("<I", read(0, 512), _MBR_SIZE_AT)
            found.append(Table(block, header.other, header.last_usable, entries, covered))
    return tuple(found)


def as_in_image(read: Read, table: Table, disk_size: int, image_size: int) -> Writes:
    """Return the image's bytes for the places where a disk has a moved `table`; empty if not fully moved.

    These bytes are a guess that the image's digests have to confirm. `read` reads the disk.
    """
    raw = read(table.block, table.block)
    last = disk_size // table.block - 1
    try:
        header = _parse(raw, table.block) if raw.startswith(_SIGNATURE) else None
    except ValueError:
        return []
    if header is None or header.other != last or table.backup == last:
        return []
    before = _before(read, header, raw, table)

    def read_image(offset: int, length: int) -> bytes:
        return laid_over(before, offset, read(offset, length))

    try:
        writes = moved_backup(read_image, table.block, disk_size) or []
    except ValueError:
        return []
    if any(read(offset, len(data)) != data for offset, data in writes):
        return []
    lengths = [(offset, min(len(data), image_size - offset)) for offset, data in writes]
    return [(offset, read_image(offset, length)) for offset, length in lengths if length > 0]


def _before(read: Read, header: _Header, raw: bytes, table: Table) -> Writes:
    """Return the blocks of a moved table as they were before the move."""
    block, protective = table.block, bytearray(read(0, table.block))
    if _is_protective(protective):
        struct.pack_into("<I", protective, _MBR_SIZE_AT, table.covered)
    primary = header._replace(other=table.backup, last_usable=table.last_usable)
    before = [(0, bytes(protective)), (block, _pack(primary, raw, block))]
    if table.entries:
        backup = primary._replace(own=table.backup, other=header.own, entries_at=table.entries)
        entries = read(header.entries_at * block, header.entry_count * header.entry_size)
        before += [(table.entries * block, entries), (table.backup * block, _pack(backup, raw, block))]
    return before


def laid_over(pieces: Writes, offset: int, data: bytes) -> bytes:
    """Return `data`, which was read at `offset`, with `pieces` laid over it."""
    found = bytearray(data)
    for start, piece in pieces:
        first, end = max(start, offset), min(start + len(piece), offset + len(data))
        if first < end:
            found[first - offset : end - offset] = piece[first - start : end - start]
    return bytes(found)


def without(pieces: Writes, offset: int, length: int) -> Writes:
    """Return `pieces` without the bytes of a range."""
    found, end = [], offset + length
    for start, piece in pieces:
        stop = start + len(piece)
        if stop <= offset or end <= start:
            found.append((start, piece))
            continue
        if start < offset:
            found.append((start, piece[: offset - start]))
        if end < stop:
            found.append((end, piece[end - start :]))
    return found


def moved_backup(read: Read, block: int, disk_size: int) -> Optional[Writes]:
    """Return the writes that move the backup to the end of a disk; sizes of disk and block in bytes.

    `read(offset, length)` returns bytes of the disk. None: there is no table; empty: nothing is to be done.
    Raises ValueError, with what was found, for a table that cannot be trusted.
    """
    raw = read(block, block)
    if not raw.startswith(_SIGNATURE):
        return None
    header = _parse(raw, block)
    length = header.entry_count * header.entry_size
    entries = read(header.entries_at * block, length)
    if len(entries) != length or zlib.crc32(entries) != header.entries_crc:
        raise ValueError("the checksum of its entries is wrong")
    last = disk_size // block - 1
    if header.other == last:
        return []
    first_backup = last - -(-length // block)
    if header.other > last or first_backup <= header.last_usable:
        raise ValueError("it is of a disk of %d blocks, and this one has %d" % (header.other + 1, last + 1))
    primary = header._replace(other=last, last_usable=first_backup - 1)
    backup = primary._replace(own=last, other=header.own, entries_at=first_backup)
    writes = [(first_backup * block, entries), (last * block, _pack(backup, raw, block))]
    writes.append((block, _pack(primary, raw, block)))
    if header.other < first_backup and read(header.other * block, block).startswith(_SIGNATURE):
        # Otherwise a recovery tool would find two tables. On a slightly larger disk the new backup covers the
        # old one.
        writes.append((header.other * block, bytes(block)))
    return writes + _protective(read(0, block), last)


def _parse(raw: bytes, block: int) -> _Header:
    header = _Header._make(_HEADER.unpack_from(raw))
    if not _HEADER.size <= header.size <= block or _checksum(raw[: header.size]) != header.crc:
        raise ValueError("the checksum of its header is wrong")
    if header.own != 1 or header.other <= header.last_usable or header.entries_at < 2:
        raise ValueError("its header says that it lies in block %d" % header.own)
    if max(header.other, header.entries_at) > _MOST_BLOCKS:
        raise ValueError("its header names blocks that no disk has")
    if not 0 < header.entry_count * header.entry_size <= _MOST_ENTRY_BYTES:
        raise ValueError("it has %d entries of %d bytes" % (header.entry_count, header.entry_size))
    return header


def _checksum(header: bytes) -> int:
    return zlib.crc32(header[:_CRC_AT] + bytes(4) + header[_CRC_AT + 4 :])


def _pack(header: _Header, raw: bytes, block: int) -> bytes:
    """Return the block of a header; fields of later versions behind the known ones are kept."""
    packed = _HEADER.pack(*header) + raw[_HEADER.size : header.size]
    checksum = struct.pack("<I", _checksum(packed))
    return (packed[:_CRC_AT] + checksum + packed[_CRC_AT + 4 :]).ljust(block, b"\0")


def _protective(raw: bytes, last: int) -> Writes:
    """Return the write that makes the protective MBR cover the disk, for tools that know only MBR."""
    if not _is_protective(raw):
        return []
    size = struct.pack("<I", min(last, _MBR_MOST))
    return [(0, raw[:_MBR_SIZE_AT] + size + raw[_MBR_SIZE_AT + 4 :])]


def _is_protective(raw: Union[bytes, bytearray]) -> bool:
    return len(raw) >= 512 and raw[510:512] == b"\x55\xaa" and raw[_MBR_TYPE_AT] == _PROTECTIVE
