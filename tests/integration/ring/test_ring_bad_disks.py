# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Targets that fail in earnest: bad spots, lost writes, no room, a file system that stands still.

In each case the node with the bad target says what happened, and the others have the image.
"""

from __future__ import annotations

import os
import random
import re
from pathlib import Path

import pytest

from ansible_collections.dolly.ring.tests.integration.loops import attach
from ansible_collections.dolly.ring.tests.integration.ring import images
from ansible_collections.dolly.ring.tests.integration.ring.images import CHUNK, MIB
from ansible_collections.dolly.ring.tests.integration.ring.networks import call, missing_programs
from ansible_collections.dolly.ring.tests.integration.ring.processes import until

IMAGE_SIZE = 3 * CHUNK + 4096
BAD = 2
#: Where a disk is bad, or how much room there is, is another place each night; the seed is in the test's name.
SEEDS = [int(seed) for seed in os.environ.get("DOLLY_FAULT_SEEDS", "1").split(",")]
SLOW = ("slow-source=%d" % (6 * MIB),)


@pytest.fixture
def faulty_target(loopback, make_faulty, undo):
    """Gives node 2 a target of the kind `file` or `device` with a fault; where its bytes can be looked at."""

    def give(kind, fault, value=""):
        name = ".image.dolly-partial" if kind == "file" else "disk"
        mount, _behind = make_faulty("%s=%s%s" % (fault, name, value))
        if kind == "file":
            loopback.target(BAD).symlink_to(mount / "image")
            return mount / name
        (mount / "disk").touch()
        os.truncate(mount / "disk", IMAGE_SIZE)
        device = attach(mount / "disk")
        undo("losetup", "--detach", device)
        loopback.target(BAD).symlink_to(device)
        return Path(device)

    return give


def run(rack, *options, fault=(), count=3):
    rack.start_clients(count)
    rack.start_server(rack.image(IMAGE_SIZE), "--stall-timeout", "4", *options, fault=fault)


def check_others(rack, *bad):
    """The survivors have the image, byte for byte; what the server says of the others."""
    rows = rack.rows()
    for index in rack.clients:
        if index not in bad:
            assert rows[index].state == "done" and rows[index].verified, rows[index].reason
            rack.check_copy(index, rack.image(IMAGE_SIZE))
    return [rows[index] for index in bad]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", ["file", "device"])
def test_a_bad_spot(loopback, faulty_target, kind, seed):
    place = random.Random(seed).randrange(IMAGE_SIZE)
    faulty_target(kind, "write-error", ":%d" % place)
    run(loopback)
    assert loopback.finish() == 3
    (row,) = check_others(loopback, BAD)
    assert row.state == "failed"
    told = re.search(r"failed in (\w+) at byte (\d+) \(errno 5, ", row.reason)
    assert told, row.reason
    if kind == "file":  # at once, with the place of the step that failed
        assert told.group(1) == "write" and int(told.group(2)) <= place < int(told.group(2)) + CHUNK
        assert not list((loopback.target(BAD).resolve()).parent.glob("image"))
    assert re.match(r"\d", row.size) and loopback.clients[BAD].code == 3
    assert str(loopback.target(BAD).resolve()) in row.reason
    assert ("is half-written" in loopback.clients[BAD].out) == (kind == "device")


@pytest.mark.parametrize("kind", ["file", "device"])
def test_a_flush_that_fails_although_everything_reads_back_good(loopback, faulty_target, kind):
    target = faulty_target(kind, "fsync-error")
    run(loopback)
    assert loopback.finish() == 3
    (row,) = check_others(loopback, BAD)
    assert row.state == "failed" and "failed in fsync" in row.reason and "errno 5" in row.reason
    assert images.digest(target, IMAGE_SIZE) == images.digest(loopback.image(IMAGE_SIZE))
    assert "does not match" not in loopback.clients[BAD].log
    assert not (target.parent / "image").exists()
    # What the page cache shows is no reason to leave anything out the next time.
    assert not loopback.state.exists() or not list(loopback.state.iterdir())
    assert not list(target.parent.glob("*.dolly-journal"))


def test_a_flush_that_fails_in_the_middle_fails_the_node_at_once(loopback, faulty_target):
    """The journal's flush is the first to see it; there is no need to wait for the end."""
    faulty_target("file", "fsync-error")
    loopback.start_client(BAD, fault=["journal-interval=0.1"])
    run(loopback, fault=["slow-source=%d" % (2 * MIB)])
    loopback.clients[BAD].wait_for_log("failed in fsync")
    assert not any(loopback.target(index).exists() for index in (1, 3)), "the others were not through yet"
    assert loopback.finish() == 3
    check_others(loopback, BAD)


@pytest.mark.parametrize("seed", SEEDS)
def test_no_room_left_at_some_point_and_more_room_the_next_time(loopback, make_mount, seed):
    room = random.Random(seed).randrange(CHUNK, IMAGE_SIZE) // 4096 * 4096
    small = make_mount(IMAGE_SIZE + MIB)
    loopback.target(BAD).symlink_to(small / "image")
    loopback.start_client(BAD, fault=["journal-interval=0.1"])
    loopback.start_clients(3)
    loopback.start_server(loopback.image(IMAGE_SIZE), fault=["slow-source=%d" % (3 * MIB)])
    partial = small / ".image.dolly-partial"
    until(partial.exists, "the first bytes")
    with (small / "filler").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, IMAGE_SIZE + MIB - 64 * 1024 - room)
    assert loopback.finish() == 3
    (row,) = check_others(loopback, BAD)
    assert row.state == "failed" and "No space left" in row.reason
    place = int(re.search(r"at byte (\d+)", row.reason).group(1))
    assert room - MIB <= place <= room + 64 * 1024
    assert loopback.clients[BAD].code == 3
    (small / "filler").unlink()
    loopback.next_run()
    loopback.start_clients(3)
    loopback.start_server(loopback.image(IMAGE_SIZE))
    assert loopback.finish() == 0
    counts = loopback.clients[BAD].counts
    assert counts.resumed + counts.received == IMAGE_SIZE
    assert counts.resumed >= (place // CHUNK) * CHUNK - CHUNK
    assert images.digest(small / "image") == images.digest(loopback.image(IMAGE_SIZE))


def test_a_file_system_that_stands_still(loopback, make_disk, undo):
    """A thread of the node hangs in the kernel, where no signal reaches it. Nobody waits for it."""
    if missing_programs("mke2fs", "fsfreeze"):
        pytest.skip("missing here: mke2fs or fsfreeze")
    device, _backing = make_disk(32 * MIB)
    place = loopback.folder / "frozen"
    place.mkdir()
    call("mke2fs", "-q", "-F", "-t", "ext4", str(device))
    call("mount", str(device), str(place))
    undo("umount", "--lazy", str(place))
    undo("fsfreeze", "--unfreeze", str(place))
    loopback.target(BAD).symlink_to(place / "image")
    run(loopback, "--dead-after", "2", "--orphan-timeout", "3", fault=SLOW)
    partial = place / ".image.dolly-partial"
    until(lambda: partial.exists() and images.allocated(loopback.partial(3)) > MIB, "the first bytes")
    call("fsfreeze", "--freeze", str(place))
    assert loopback.finish(expected_to_run=[BAD]) == 3
    (row,) = check_others(loopback, BAD)
    assert row.state == "lost" and "took nothing" in row.reason
    assert not (place / "image").exists()
    call("fsfreeze", "--unfreeze", str(place))
    assert loopback.clients[BAD].wait() != 0
    assert not (place / "image").exists()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_source_that_cannot_be_read_fails_the_run(loopback, make_faulty, seed):
    """Nobody succeeds, and the server says where it is bad: of what the kernel reads at once, the first byte."""
    bad = random.Random(seed).randrange(CHUNK, IMAGE_SIZE)
    mount, behind = make_faulty("read-error=image:%d" % bad)
    (behind / "image").write_bytes(loopback.image(IMAGE_SIZE).read_bytes())
    loopback.start_clients(3)
    server = loopback.start_server(mount / "image", fault=SLOW)
    loopback.finish()
    assert server.code not in (0, 3)
    found = re.search(r"cannot be read at byte (\d+)|at byte (\d+).*errno 5", server.log + server.out)
    assert found, server.report()
    offset = int(found.group(1) or found.group(2))
    assert bad - MIB < offset <= bad
    for index, client in loopback.clients.items():
        assert client.code not in (0, None)
        assert not loopback.target(index).exists()
