# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs that compare: only what differs is sent, and what does not differ is not touched."""

from __future__ import annotations

import os
import re

from ansible_collections.dolly.ring.tests.integration.ring import images
from ansible_collections.dolly.ring.tests.integration.ring.images import CHUNK, MIB

COUNT = 20
IMAGE_SIZE = COUNT * CHUNK - 1000
SMALL = 4 * CHUNK - 1000


def received(client):
    """What a client says that came over the network."""
    return int(re.search(r"received (\d+) bytes", client.log).group(1))


def copy_of(image, target, changed=(), size=IMAGE_SIZE):
    """An old target: the image but for a byte in each chunk of `changed`."""
    data = bytearray(image.read_bytes()[:size].ljust(size, b"\x55"))
    for index in changed:
        data[index * CHUNK + 77] ^= 1
    target.write_bytes(data)
    return target


def times(path):
    found = path.stat()
    return found.st_ino, found.st_mtime_ns, found.st_ctime_ns


def test_nothing_differs(loopback, make_disk):
    """Neither file nor disk is written to."""
    image = loopback.image(IMAGE_SIZE)
    device, backing = make_disk(IMAGE_SIZE + 1000 + MIB)
    with backing.open("r+b") as file:
        file.write(image.read_bytes())
    loopback.target(1).symlink_to(device)
    before = times(copy_of(image, loopback.target(2)))
    record = loopback.folder / "writes"
    for index in (1, 2):
        loopback.start_client(index, fault=["record-writes=%s" % record])
    loopback.start_clients(2)
    loopback.start_server(image, "--compare")
    assert loopback.finish() == 0
    assert [row.state for row in loopback.rows().values()] == ["done", "done"]
    assert all(row.verified for row in loopback.rows().values())
    assert not record.exists()
    assert times(loopback.target(2)) == before
    assert not loopback.partial(2).exists()
    assert [received(client) for client in loopback.clients.values()] == [0, 0]


def test_one_chunk_of_twenty_differs(loopback, make_disk):
    """At most 6 % of the image comes; a file takes its name as a whole, a disk is patched."""
    image = loopback.image(IMAGE_SIZE)
    device, backing = make_disk(IMAGE_SIZE + 1000)
    with backing.open("r+b") as file:
        file.write(copy_of(image, loopback.folder / "old", [7]).read_bytes())
    loopback.target(1).symlink_to(device)
    before = times(copy_of(image, loopback.target(2), [0]))
    copy_of(image, loopback.target(3), [COUNT - 1])
    loopback.start_clients(3)
    loopback.start_server(image, "--compare", "--fanout", "2")
    assert loopback.finish() == 0
    assert images.digest(backing, IMAGE_SIZE) == images.digest(image)
    for index in (2, 3):
        loopback.check_copy(index, image)
    assert times(loopback.target(2))[0] != before[0]
    for client in loopback.clients.values():
        assert 0 < received(client) <= IMAGE_SIZE * 6 // 100


def test_old_files_of_other_sizes(loopback):
    """What both have in common is compared all the same, and no old tail stays."""
    image = loopback.image(SMALL)
    sizes = {1: SMALL - CHUNK - 5, 2: SMALL + CHUNK, 3: SMALL - 1, 4: SMALL + 1}
    for index, size in sizes.items():
        copy_of(image, loopback.target(index), size=size)
    loopback.start_clients(4)
    loopback.clone(image, "--compare")
    for index, size in sizes.items():
        assert 0 < received(loopback.clients[index]) <= max(SMALL - size, 0) + CHUNK


def test_a_target_that_is_not_there_yet(loopback):
    loopback.start_clients(2)
    loopback.clone(loopback.image(SMALL), "--compare")


def test_a_copy_that_went_wrong_is_found(loopback):
    """The old file was compared; the copy of it that takes its place is digested again."""
    image = loopback.image(SMALL)
    copy_of(image, loopback.target(1), [1], SMALL)
    loopback.start_client(1, fault=["bad-copy=%d" % (2 * CHUNK + 5)])
    loopback.start_clients(1)
    loopback.clone(image, "--compare")
    assert CHUNK < received(loopback.clients[1]) <= 2 * CHUNK


def test_without_digests_there_is_nothing_to_compare(loopback):
    loopback.start_server(loopback.image(1), "--compare", "--verify", "none", nodes=[1])
    assert loopback.finish() == 1
    assert "verify none" in loopback.server.log
    assert not os.path.exists(loopback.target(1))


def test_what_cannot_be_read_back_is_not_compared(loopback):
    """Refused before anything is written, and not sent as a whole in silence."""
    loopback.start_clients(1)
    loopback.start_server(loopback.image(1), "--compare", "-O", "-")
    assert loopback.finish() == 4
    assert "can be compared" in loopback.clients[1].log
