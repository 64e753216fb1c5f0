# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The backup of a GUID partition table on a larger disk: read again by a reader that shares no code with the writer."""

from __future__ import annotations

import os
import struct
import zlib

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage import linux
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.block import BlockStore
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.gpt import (
    as_in_image,
    laid_over,
    moved_backup,
    tables,
)

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


def reader(disk):
    return lambda offset, length: bytes(disk[offset : offset + length])


@settings(deadline=None, max_examples=50)
@given(
    blocks=st.integers(200, 400),
    extra=st.integers(1, 500),
    block=st.sampled_from([512, 4096]),
    covered=st.sampled_from([None, 0xFFFFFFFF]),
)
@example(blocks=200, extra=4, block=4096, covered=None)
@example(blocks=200, extra=1, block=512, covered=None)
def test_what_was_moved_can_be_read_as_it_was(blocks, extra, block, covered):
    image = make_disk(blocks, block)
    if covered is not None:
        image[446 + 12 : 446 + 16] = struct.pack("<I", covered)
    (table,) = tables(reader(image))
    assert (table.block, table.backup) == (block, blocks - 1)
    disk = bytearray(image) + bytearray(extra * block)
    assert as_in_image(reader(disk), table, len(disk), len(image)) == []
    move(disk, block)
    overlay = as_in_image(reader(disk), table, len(disk), len(image))
    assert laid_over(overlay, 0, bytes(disk[: len(image)])) == image
    disk[-1] ^= 1  # the end of the new backup: it is not wholly moved
    assert as_in_image(reader(disk), table, len(disk), len(image)) == []


@pytest.mark.parametrize("extra", [1, 4, 20, 33, 300])
def test_a_loss_of_power_between_two_writes_leaves_a_table(extra):
    """The kernel and the firmware read the primary one; where both are whole, the backup is where that says."""
    disk = make_disk(300) + bytearray(extra * 512)
    writes = moved_backup(reader(disk), 512, len(disk))
    for offset, data in writes:
        (table,) = tables(reader(disk))
        assert table.entries or extra < 33  # where the new one lies over the old one
        assert disk[1024:1028] == b"type"
        disk[offset : offset + len(data)] = data
    (table,) = tables(reader(disk))
    assert (table.backup, table.entries) == (299 + extra, 299 + extra - 32)


def test_tables_of_what_has_none():
    assert tables(reader(b"")) == tables(reader(bytes(8192))) == ()
    damaged = make_disk(300)
    damaged[512 + 20] ^= 1
    assert tables(reader(damaged)) == ()


def test_a_header_that_names_blocks_that_no_disk_has():
    disk = make_disk(300) + bytearray(512)
    entries = bytes(disk[1024 : 1024 + ENTRIES])
    disk[512:1024] = header(1, 1 << 60, 34, 250, 2, entries).ljust(512, b"\0")
    assert tables(reader(disk)) == ()
    with pytest.raises(ValueError, match="no disk has"):
        move(disk)


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


@pytest.fixture
def moved_disk(tmp_path, monkeypatch):
    """A store on a disk that is two blocks larger than the image, with its table moved; and the image."""
    image = make_disk(200)
    (table,) = tables(reader(image))
    disk = bytearray(image) + bytearray(1024)
    move(disk)
    path = tmp_path / "disk"
    path.write_bytes(disk)
    monkeypatch.setattr(linux, "block_size", lambda fd: 512)
    monkeypatch.setattr(linux, "device_size", lambda fd: len(disk))
    store = BlockStore(os.open(path, os.O_RDWR), str(path), len(image), True)
    store.moves_gpt = True
    store.compare([table])
    yield store, bytes(image)
    store.close()


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_what_is_written_beside_a_moved_table_leaves_the_rest_of_it_as_in_the_image(moved_disk, data):
    """The backup of the entries may lie in two chunks, and one of them be right."""
    store, image = moved_disk
    buffer = memoryview(bytearray(len(image)))
    assert store.read(0, buffer) == len(image) and bytes(buffer) == image
    start = data.draw(st.integers(0, len(image) - 1))
    end = data.draw(st.integers(start + 1, len(image)))
    overlay = list(store._overlay)
    with store._descriptor as fd:
        before = os.pread(fd, end - start, start)
        store._before_write(fd, start, end - start)
        os.pwrite(fd, image[start:end], start)
        store.read(0, buffer)
        os.pwrite(fd, before, start)
    store._overlay = overlay
    is_image = bytes(buffer) == image
    assert is_image  # and not both, which would fill the screen
