# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images of sizes that are easy to get wrong, over files that are there already, and with holes."""

from __future__ import annotations

import pytest

from ansible_collections.dolly.ring.tests.integration.ring import images
from ansible_collections.dolly.ring.tests.integration.ring.images import CHUNK, MIB

GIB = 1024 * MIB


@pytest.mark.parametrize("size", [1, CHUNK - 1, CHUNK, CHUNK + 1])
def test_sizes_around_a_chunk(loopback, size):
    loopback.start_clients(2)
    rows = loopback.clone(loopback.image(size))
    assert all(row.verified for row in rows.values())


def test_a_longer_old_file_leaves_no_tail(loopback):
    old = loopback.target(1)
    images.make_image(old, 3 * CHUNK, seed=2)
    old.chmod(0o640)
    loopback.start_clients(2)
    loopback.clone(loopback.image(CHUNK + 1))
    assert old.stat().st_mode & 0o777 == 0o640


def test_what_an_earlier_run_left_half_done_is_no_part_of_the_image(loopback):
    partial = images.make_image(loopback.partial(1), 3 * CHUNK, seed=3)
    loopback.start_clients(1)
    loopback.clone(loopback.image(CHUNK + 1))
    assert not partial.exists()


def test_a_large_sparse_image(loopback):
    """It stays sparse on every node, and no node needs more memory for it than for a small one."""
    image = loopback.folder / "sparse.img"
    with image.open("wb") as file:
        file.truncate(2 * GIB)
        for place in (0, 700 * MIB + 5, GIB, 2 * GIB - 70_000):
            file.seek(place)
            file.write(b"data at %d " % place * 5000)
        file.truncate(2 * GIB)
    loopback.start_clients(3)
    loopback.start_server(image, "--fanout", "2")
    assert loopback.finish() == 0
    for index in (1, 2, 3):
        assert images.same_data(loopback.target(index), image)
        assert images.allocated(loopback.target(index)) < 2 * MIB
    for program in loopback.programs:
        assert 0 < program.peak_kib < 64 * 1024, program.name


def test_memory_does_not_grow_with_the_data(loopback):
    loopback.start_clients(2)
    loopback.clone(loopback.image(64 * MIB))
    for program in loopback.programs:
        assert 0 < program.peak_kib < 64 * 1024, program.name
