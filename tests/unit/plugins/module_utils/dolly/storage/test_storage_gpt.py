# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The backup of a GUID partition table on a larger disk: read again by a reader that shares no code with the writer."""

from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.gpt import moved_backup

ENTRIES = 128 * 128


def header(own, other, first, last, entries_at, entries, more=b""):
    """A header as UEFI 2.10, table 5-5, describes it."""
    fields = struct.pack("<QQQQ", own, other, first, last) + b"G" * 16
    fields += struct.pack("<QIII", entries_at, 128, 128, zlib.crc32(entries)) + more
    size = 24 + len(fields)
    start = b"EFI PART" + struct.pack("<II", 0x10000, size)
    checksum = zlib.crc32(start + bytes(8) + fields)
    return start + struct.pack("<II", checksum, 0) + fields


def make_disk(blocks, block=512, more=b""):
    """A disk of so many blocks with a full table, as bytes that can be changed."""
    disk = bytearray(blocks * block)
    entries = (b"type" * 4 + b"uuid" * 4 + struct.pack("<QQ", 40, 50)).ljust(128, b"n") * 128
    count = ENTRIES // block
    last = blocks - 1
    usable = (2 + count, last - count - 1)
    disk[446 + 4] = 0xEE
    disk[446 + 8 : 446 + 16] = struct.pack("<II", 1, last)
    disk[510:512] = b"\x55\xaa"
    put(disk, 1, block, header(1, last, *usable, 2, entries, more))
    put(disk, 2, block, entries)
    put(disk, last - count, block, entries)
    put(disk, last, block, header(last, 1, *usable, last - count, entries, more))
    return disk


def put(disk, number, block, data):
    disk[number * block : number * block + len(data)] = data


def move(disk, block=512):
    writes = moved_backup(lambda offset, length: bytes(disk[offset : offset + length]), block, len(disk))
    for offset, data in writes or []:
        assert offset + len(data) <= len(disk)
        disk[offset : offset + len(data)] = data
    return writes


@settings(deadline=None, max_examples=50)
@given(
    blocks=st.integers(200, 400),
    extra=st.integers(1, 500),
    block=st.sampled_from([512, 4096]),
    more=st.sampled_from([b"", b"later"]),
)
@example(blocks=200, extra=4, block=4096, more=b"")  # the new entries lie where the old header was
@example(blocks=200, extra=1, block=512, more=b"")
def test_a_larger_disk_looks_as_if_its_table_had_been_made_there(blocks, extra, block, more):
    disk = make_disk(blocks, block, more) + bytearray(extra * block)
    assert move(disk, block)
    wanted = make_disk(blocks + extra, block, more)
    # What is left of the old entries is harmless, and stays where it was; of the old header nothing is left.
    first, kept = (blocks - 1) * block - ENTRIES, len(wanted) - block - ENTRIES
    old = disk[first : min(first + ENTRIES, kept)]
    wanted[first : first + len(old)] = old
    assert not any(disk[offset : offset + 8] == b"EFI PART" for offset in range(first, kept, block))
    assert disk == wanted
    assert move(disk, block) == []


def test_a_disk_of_the_same_size():
    assert move(make_disk(300)) == []


def test_no_table():
    assert move(bytearray(300 * 512)) is None


@pytest.mark.parametrize("place, reason", [(600, "header"), (1030, "entries")])
def test_a_damaged_table_is_left_alone(place, reason):
    disk = make_disk(300) + bytearray(512)
    if place == 600:
        place = 512 + 30
    disk[place] ^= 1
    before = bytes(disk)
    with pytest.raises(ValueError, match=reason):
        move(disk)
    assert bytes(disk) == before


def test_a_smaller_disk():
    with pytest.raises(ValueError, match="300 blocks, and this one has 290"):
        move(make_disk(300)[: 290 * 512])


def test_a_disk_without_room_for_the_entries():
    disk = make_disk(300)
    disk[512:1024] = header(1, 299, 34, 298, 2, bytes(disk[1024 : 1024 + ENTRIES])).ljust(512, b"\0")
    with pytest.raises(ValueError, match="this one has 302"):
        move(disk + bytearray(2 * 512))
