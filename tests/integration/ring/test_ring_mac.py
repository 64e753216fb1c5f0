# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs that verify by MAC, with real processes: what they find, with every kind of source and target."""

from __future__ import annotations

import gzip
import json

import pytest

from ansible_collections.dolly.ring.tests.integration.ring import images
from ansible_collections.dolly.ring.tests.integration.ring.images import CHUNK, MIB
from ansible_collections.dolly.ring.tests.integration.ring.processes import results
from ansible_collections.dolly.ring.tests.integration.ring.test_ring_block_maps import (
    IMAGE_SIZE as MAPPED_SIZE,
)
from ansible_collections.dolly.ring.tests.integration.ring.test_ring_block_maps import mapped_over, write_map
from ansible_collections.dolly.ring.tests.integration.ring.test_ring_compare import copy_of, received
from ansible_collections.dolly.ring.tests.integration.ring.test_ring_resume import IMAGE_SIZE as RESUMED_SIZE
from ansible_collections.dolly.ring.tests.integration.ring.test_ring_resume import (
    break_off,
    check_resumed,
    claimed,
    start,
)
from ansible_collections.dolly.ring.tests.integration.ring.test_ring_streams import (
    check_done,
    compressed,
    config,
    parts_of,
    piped,
)

IMAGE_SIZE = 3 * CHUNK + 100
PLACE = CHUNK + 12345
MAC = ("--verify", "mac")


@pytest.mark.parametrize("bad", [1, 2, 3])
def test_a_byte_that_turns_over_on_a_target_is_repaired(loopback, bad):
    loopback.start_client(bad, fault=["flip-once=%d" % PLACE])
    loopback.start_clients(3)
    rows = loopback.clone(loopback.image(IMAGE_SIZE), *MAC)
    assert rows[bad].repaired == 1
    assert all(rows[index].repaired == 0 for index in range(1, bad))
    assert all(row.verified for row in rows.values())
    assert "does not match its digest" in loopback.clients[bad].log


def test_a_target_that_never_keeps_a_byte_fails_alone(loopback):
    loopback.start_client(2, fault=["flip-always=%d" % PLACE])
    loopback.start_clients(3)
    loopback.start_server(loopback.image(IMAGE_SIZE), *MAC)
    assert loopback.finish() == 3
    assert [loopback.rows()[index].state for index in (1, 2, 3)] == ["done", "failed", "done"]
    assert not loopback.target(2).exists()


@pytest.mark.parametrize("level", ["mac", "readback"])
def test_no_digest_is_left(loopback, level):
    """And so it was a MAC that was compared; the SHA-256 of the image is told where it is asked for."""
    image = loopback.image(IMAGE_SIZE)
    loopback.start_client(1, "--json")
    loopback.start_clients(1)
    checksum = "sha256:" + images.digest(image)
    loopback.start_server(image, "--verify", level, "--checksum", checksum, "--json")
    assert loopback.finish() == 0
    loopback.check_copy(1, image)
    own, result = (json.loads(program.out) for program in (loopback.clients[1], loopback.server))
    assert result["sha256"] == images.digest(image)
    assert own["verified"] is True and result["nodes"][0]["verified"] is True
    if level == "mac":
        assert own["digest"] == result["nodes"][0]["digest"] == "" and result["digest"] is None
    else:
        assert own["digest"] == result["nodes"][0]["digest"] == result["digest"] != ""


def test_a_pipe_to_files(loopback):
    content = loopback.image(2 * CHUNK + 1234).read_bytes()
    with piped(loopback, content):
        loopback.start_client(1, fault=["flip-once=%d" % PLACE])
        loopback.start_clients(2)
        loopback.start_server("-", *MAC)
        check_done(loopback, content)
    assert loopback.rows()[1].repaired == 1


def test_to_the_standard_output(loopback):
    loopback.start_clients(2)
    loopback.start_server(loopback.image(IMAGE_SIZE), "-O", "-", *MAC)
    assert loopback.finish() == 0
    for client in loopback.clients.values():
        assert client.out_path.read_bytes() == loopback.image(IMAGE_SIZE).read_bytes()
        assert next(iter(results(client.log).values())).verified


def test_an_archive_that_is_stored_plain(loopback):
    content = loopback.image(MIB + 77).read_bytes() + bytes(MIB)
    packed = loopback.folder / "packed"
    packed.write_bytes(gzip.compress(content))
    loopback.start_clients(2)
    loopback.start_server(packed, *MAC, fault=[compressed()])
    check_done(loopback, content)


def test_in_parts_and_to_a_device(loopback, make_disk):
    image = loopback.image(IMAGE_SIZE)
    loopback.start_clients(1)
    loopback.start_server(image, *MAC, fault=[config(outfile={"split_size": 3 * MIB})])
    assert loopback.finish() == 0
    assert b"".join(parts_of(loopback.target(1))) == image.read_bytes()
    loopback.next_run()
    device, backing = make_disk(IMAGE_SIZE + MIB - 100)
    loopback.target(2).symlink_to(device)
    loopback.start_client(2)
    loopback.await_listening()
    loopback.start_server(image, *MAC)
    assert loopback.finish() == 0
    assert images.digest(backing, IMAGE_SIZE) == images.digest(image)


def test_a_block_map(loopback):
    image = loopback.image(MAPPED_SIZE)
    loopback.start_client(1, fault=["flip-once=%d" % (1100 * 4096)])
    loopback.start_clients(2)
    loopback.start_server(image, "--bmap", str(write_map(loopback)), *MAC)
    assert loopback.finish() == 0
    assert loopback.rows()[1].repaired == 1
    for index in (1, 2):
        assert loopback.target(index).read_bytes() == mapped_over(bytes(MAPPED_SIZE), image.read_bytes())


def test_a_run_that_was_killed_goes_on(loopback):
    """The journal is a hint: what an earlier run verified in its way is digested with the keys of this one."""
    image = loopback.image(RESUMED_SIZE)
    break_off(loopback, image)
    known = [claimed(loopback.journal(index)) for index in (1, 2)]
    start(loopback, 2)
    loopback.clone(image, *MAC)
    for index in (1, 2):
        check_resumed(loopback, image, index, known[index - 1] * CHUNK)


def test_comparing(loopback):
    image = loopback.image(4 * CHUNK - 1000)
    copy_of(image, loopback.target(1), [2], 4 * CHUNK - 1000)
    copy_of(image, loopback.target(2), [], 4 * CHUNK - 1000)
    loopback.start_clients(2)
    loopback.clone(image, "--compare", *MAC)
    assert [received(loopback.clients[index]) for index in (1, 2)] == [CHUNK, 0]


def test_a_node_whose_python_lacks_the_library_is_refused(loopback):
    loopback.start_client(2, fault=["no-library"])
    loopback.start_clients(2)
    loopback.start_server(loopback.image(IMAGE_SIZE), *MAC)
    assert loopback.finish() == 4
    for log in (loopback.clients[2].log, loopback.server.log):
        assert "verify mac" in log and "_hashlib" in log and "What would allow it: verify readback" in log
    assert not any(loopback.target(index).exists() or loopback.partial(index).exists() for index in (1, 2))


def test_a_server_whose_python_lacks_the_library_is_refused(loopback):
    loopback.start_server(loopback.image(IMAGE_SIZE), *MAC, nodes=[1], fault=["no-library"])
    assert loopback.finish() == 1
    assert "What would allow it: verify readback" in loopback.server.log


def test_without_the_library_sha_256_is_compared(loopback):
    loopback.start_client(1, fault=["no-library"])
    loopback.start_clients(1)
    assert loopback.clone(loopback.image(IMAGE_SIZE), fault=["no-library"])[1].verified
