# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks that hang: while they are opened, written, flushed or put in their place, with the server alive or killed.

Nobody fails but the node at fault: as long as one node has everything, it serves the rest.
"""

from __future__ import annotations

import os
import random
import time

import pytest

from ansible_collections.dolly.ring.tests.integration.ring import images
from ansible_collections.dolly.ring.tests.integration.ring.images import CHUNK, MIB
from ansible_collections.dolly.ring.tests.integration.ring.networks import call, missing_programs
from ansible_collections.dolly.ring.tests.integration.ring.processes import until

IMAGE_SIZE = 3 * CHUNK + 4096
COUNT = 4
STALL_S, FLUSH_S = 3, 6
LIMITS = ("--stall-timeout", str(STALL_S), "--flush-timeout", str(FLUSH_S), "--dead-after=2", "--orphan-timeout=15")
PARTIAL = ".image.dolly-partial"
#: Each seed is another disk, call and moment; a night may try hundreds.
SEEDS = [int(seed) for seed in os.environ.get("DOLLY_HANG_SEEDS", "1").split(",")]


@pytest.fixture
def hang_in(loopback, make_faulty):
    """Gives a node a target that hangs in one call; the file that says that it does, and what cures it."""

    def give(index, name, call):
        mount, behind = make_faulty("%s=%s:%s" % (name, PARTIAL, call))
        loopback.target(index).symlink_to(mount / "image")
        cures.append(behind.with_name(behind.name + ".cured"))
        return behind.with_name(behind.name + ".hung"), cures[-1].touch

    cures = []
    yield give
    for cure in cures:
        cure.touch()


@pytest.fixture
def freezer(loopback, make_disk, undo):
    """Gives a node a target on a file system; what freezes that."""
    if missing_programs("mke2fs", "fsfreeze"):
        pytest.skip("missing here: mke2fs or fsfreeze")

    def give(index):
        device, _backing = make_disk(32 * MIB)
        place = loopback.folder / "freezing"
        place.mkdir()
        call("mke2fs", "-q", "-F", "-t", "ext4", str(device))
        call("mount", str(device), str(place))
        undo("umount", "--lazy", str(place))
        undo("fsfreeze", "--unfreeze", str(place))
        loopback.target(index).symlink_to(place / "image")
        return place

    return give


def start(rack, *options, server_fault=()):
    rack.start_clients(COUNT)
    return rack.start_server(rack.image(IMAGE_SIZE), *LIMITS, *options, fault=server_fault)


def kill_server_when_one_has_all(rack, chance):
    """At any moment from then on: those that have less need one that has all."""
    until(rack.target(1).exists, "node 1 to have everything")
    time.sleep(chance.random() * STALL_S)
    rack.server.kill()


def check(rack, bad, server_lives, cure):
    """`cure`: what lets the process of the node at fault end, which is stuck in the kernel."""
    check_others(rack, bad, server_lives, "target")
    cure()
    assert rack.clients[bad].wait() == 3
    assert "stall_timeout" in rack.clients[bad].log or "flush_timeout" in rack.clients[bad].log


def check_others(rack, bad, server_lives, reason):
    """Everybody else has the image, and the server says what is wrong with the node at fault."""
    if server_lives:
        assert rack.finish(expected_to_run=[bad]) == 3
        rows = rack.rows()
        assert [rows[index].state == "done" for index in rack.clients] == [index != bad for index in rack.clients]
        assert reason in rows[bad].reason, rows[bad].reason
    for index in rack.clients:
        if index != bad:
            assert rack.clients[index].wait() == 0
            rack.check_copy(index, rack.image(IMAGE_SIZE))


def run(rack, chance, server_lives, give):
    """`give(index)` makes the target of the node at fault."""
    bad = chance.randint(1 if server_lives else 2, COUNT)
    hung, cure = give(bad)
    start(rack)
    if not server_lives:
        kill_server_when_one_has_all(rack, chance)
    check(rack, bad, server_lives, cure)
    assert hung.exists(), "it never came to that"


LIVES = pytest.mark.parametrize("server_lives", [True, False], ids=["server alive", "server killed"])


@LIVES
@pytest.mark.parametrize("seed", SEEDS)
def test_a_disk_that_hangs_before_the_run_starts(loopback, hang_in, seed, server_lives):
    """The node never gets ready, so the others start without it where that is allowed."""
    chance = random.Random(seed)
    bad = chance.randint(1 if server_lives else 2, COUNT)
    hung, cure = hang_in(bad, chance.choice(("hang", "hang-alone")), "create")
    start(loopback, "--min-nodes", str(COUNT - 1), "--barrier-timeout", str(STALL_S))
    if not server_lives:
        kill_server_when_one_has_all(loopback, chance)
    check_others(loopback, bad, server_lives, "not ready in time")
    cure()
    assert loopback.clients[bad].wait() in (1, 3, 4)
    assert hung.exists() and not loopback.target(bad).exists()


@LIVES
@pytest.mark.parametrize("seed", SEEDS)
def test_a_disk_that_hangs_while_it_is_opened(loopback, hang_in, seed, server_lives):
    chance = random.Random(seed)
    name = chance.choice(("hang", "hang-alone"))
    run(loopback, chance, server_lives, lambda index: hang_in(index, name, "truncate"))


@LIVES
@pytest.mark.parametrize("seed", SEEDS)
def test_a_disk_that_hangs_in_its_flush_or_in_what_follows(loopback, hang_in, seed, server_lives):
    chance = random.Random(seed)
    name, where = chance.choice(("hang", "hang-alone")), chance.choice(("fsync", "rename"))
    run(loopback, chance, server_lives, lambda index: hang_in(index, name, where))


@LIVES
@pytest.mark.parametrize("seed", SEEDS)
def test_a_file_system_that_is_frozen_at_some_moment(loopback, freezer, seed, server_lives):
    """As soon as it is locked for the run, while it is written, or when everything is there."""
    chance = random.Random(seed)
    bad = chance.randint(1 if server_lives else 2, COUNT)
    place = freezer(bad)
    share = chance.choice((0.0, chance.random(), 1.0))
    start(loopback, server_fault=["slow-source=%d" % (8 * MIB)])
    until((place / PARTIAL).exists, "a node that is ready")
    until(lambda: images.allocated(place / PARTIAL) >= share * (IMAGE_SIZE - 2 * MIB), "the bytes")
    call("fsfreeze", "--freeze", str(place))
    if not server_lives:
        kill_server_when_one_has_all(loopback, chance)
    if (place / "image").exists():
        pytest.skip("it was through before it was frozen")
    check(loopback, bad, server_lives, lambda: call("fsfreeze", "--unfreeze", str(place)))
