# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images with a block map: what it leaves out is neither sent nor written."""

from __future__ import annotations

import pytest

from ansible_collections.dolly.ring.tests.integration.ring import images
from ansible_collections.dolly.ring.tests.integration.ring.images import CHUNK, MIB
from ansible_collections.dolly.ring.tests.unit.plugins.module_utils.dolly.plan.block_maps import (
    BLOCK,
    make_map,
)

IMAGE_SIZE = 3 * CHUNK + 700
#: In blocks of 4 KiB: two parts of the first chunk, half of the second, nothing of the third, the tail.
RANGES = [(0, 0), (100, 511), (1024, 1535), (3072, 3072)]
MAPPED = (1 + 412 + 512) * BLOCK + 700


def write_map(loopback):
    """A block map beside the rack's image; its path."""
    path = loopback.folder / "image.bmap"
    path.write_bytes(make_map(loopback.image(IMAGE_SIZE).read_bytes(), RANGES))
    return path


@pytest.fixture
def bmap(loopback):
    return write_map(loopback)


def mapped_over(old, image):
    """What a target has to hold afterwards."""
    expected = bytearray(old)
    for first, last in RANGES:
        start, end = first * BLOCK, min((last + 1) * BLOCK, IMAGE_SIZE)
        expected[start:end] = image[start:end]
    return bytes(expected)


def test_files_and_disks(loopback, make_disk, bmap):
    """A disk keeps its own bytes where nothing is mapped, a new file has holes there."""
    image = loopback.image(IMAGE_SIZE)
    device, backing = make_disk(IMAGE_SIZE + MIB - 700)
    old = backing.read_bytes()
    loopback.target(2).symlink_to(device)
    images.make_image(loopback.target(3), IMAGE_SIZE, seed=9)  # an old file; the new one takes its name
    record = loopback.folder / "writes"
    loopback.start_client(1)
    loopback.start_client(2, fault=["record-writes=%s" % record])
    loopback.start_clients(3)
    loopback.start_server(image, "--bmap", str(bmap))
    assert loopback.finish() == 0

    assert all(row.verified for row in loopback.rows().values())
    assert backing.read_bytes() == mapped_over(old, image.read_bytes())
    for index in (1, 3):
        assert loopback.target(index).read_bytes() == mapped_over(bytes(IMAGE_SIZE), image.read_bytes())
        assert images.allocated(loopback.target(index)) <= MAPPED + BLOCK
    written = [tuple(map(int, line.split())) for line in record.read_text().splitlines()]
    assert sum(end - start for start, end in written) == MAPPED
    covers = "covers: mapped blocks, %d of %d bytes" % (MAPPED, IMAGE_SIZE)
    assert covers in loopback.server.out and covers in loopback.clients[2].out


def test_a_flipped_byte_is_repaired(loopback, bmap):
    image = loopback.image(IMAGE_SIZE)
    loopback.start_client(1, fault=["flip-once=%d" % (1100 * BLOCK)])
    loopback.start_clients(2)
    loopback.start_server(image, "--bmap", str(bmap), "--fanout", "2")
    assert loopback.finish() == 0
    assert loopback.rows()[1].repaired == 1
    for index in (1, 2):
        assert loopback.target(index).read_bytes() == mapped_over(bytes(IMAGE_SIZE), image.read_bytes())


def test_another_image_of_the_same_size(loopback, bmap):
    """The range is named, and no node says that it has the image."""
    other = images.make_image(loopback.folder / "other.img", IMAGE_SIZE, seed=3)
    loopback.start_clients(2)
    loopback.start_server(other, "--bmap", str(bmap))
    assert loopback.finish() == 4
    assert "blocks 0 to 0, from byte 0 on" in loopback.server.log and str(bmap) in loopback.server.log
    for index in (1, 2):
        assert loopback.clients[index].code != 0
        assert not loopback.target(index).exists()


@pytest.mark.parametrize("fault", ["size", "digit", "verify", "missing"])
def test_a_map_that_does_not_fit_is_refused_before_anything_starts(loopback, bmap, fault):
    image = loopback.image(IMAGE_SIZE + BLOCK if fault == "size" else IMAGE_SIZE)
    said = {"size": "is for %d bytes" % IMAGE_SIZE, "digit": "damaged", "verify": "verify none", "missing": "No such"}
    if fault == "digit":
        bmap.write_bytes(bmap.read_bytes().replace(b"> 100-511 <", b"> 101-512 <"))
    if fault == "missing":
        bmap.unlink()
    options = ["--verify", "none"] if fault == "verify" else []
    loopback.start_server(image, "--bmap", str(bmap), *options, nodes=[1])
    assert loopback.finish() == 1
    assert said[fault] in loopback.server.log


def test_compared_with_a_map(loopback, make_disk, bmap):
    """What the map leaves out may differ; of what it names only the chunk that differs comes."""
    image = loopback.image(IMAGE_SIZE)
    device, backing = make_disk(IMAGE_SIZE + MIB - 700)
    old = bytearray(mapped_over(backing.read_bytes(), image.read_bytes()))
    old[1100 * BLOCK] ^= 1
    backing.write_bytes(old)
    loopback.target(1).symlink_to(device)
    loopback.target(2).write_bytes(mapped_over(b"\x77" * IMAGE_SIZE, image.read_bytes()))
    before = loopback.target(2).stat()
    loopback.start_clients(2)
    loopback.start_server(image, "--bmap", str(bmap), "--compare")
    assert loopback.finish() == 0
    assert backing.read_bytes() == mapped_over(old, image.read_bytes())
    after = loopback.target(2).stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert "received %d bytes" % (512 * BLOCK) in loopback.clients[1].log
    assert "received 0 bytes" in loopback.clients[2].log
