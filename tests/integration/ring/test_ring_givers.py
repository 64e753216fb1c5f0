# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node that others are behind, and that is no good giver any more: nobody else loses anything.

Its disk cannot be read, or its bytes turn after it has verified them, at a random moment of the run. Each seed is
another moment: DOLLY_FAULT_SEEDS=1,2,3 tries three.
"""

from __future__ import annotations

import os
import random
import time

import pytest

from ansible_collections.dolly.ring.tests.integration.ring import images
from ansible_collections.dolly.ring.tests.integration.ring.images import CHUNK, MIB
from ansible_collections.dolly.ring.tests.integration.ring.processes import until

SEEDS = [int(seed) for seed in os.environ.get("DOLLY_FAULT_SEEDS", "1").split(",")]
CHUNKS = 12
IMAGE_SIZE = CHUNKS * CHUNK + 100
CLIENTS = 4
#: Those behind the giver take no more, until it has happened.
LIMIT = 2 * MIB
#: Nothing beyond it can have been read from the giver for them: that, and what sockets have room for.
AHEAD = LIMIT + 14 * MIB


class Scene:
    """A ring with a giver, and those behind it, who are slow."""

    def __init__(self, rack, seed, *faults):
        self.rack = rack
        self.chance = random.Random(seed)
        self.fanout = self.chance.choice((1, 1, 2))
        self.giver = self.chance.choice((1, 2) if self.fanout == 1 else (1,))
        first = self.giver * self.fanout + 1  # of its children; nobody behind one of them is before it
        self.image = rack.image(IMAGE_SIZE)
        for index in range(1, CLIENTS + 1):
            fault = faults if index == self.giver else ("halt=%d" % LIMIT,) if index >= first else ()
            rack.start_client(index, fault=fault)
        rack.await_listening()
        is_fast = self.chance.random() < 0.4  # else the giver is not done when it happens
        slow = () if is_fast else ("slow-source=%d" % (8 * MIB),)
        rack.start_server(self.image, "--fanout", str(self.fanout), "--stall-timeout", "60", fault=slow)

    @property
    def held(self):
        """Where the giver has its bytes just now: the file, and how many there are."""
        partial, target = self.rack.partial(self.giver), self.rack.target(self.giver)
        path = target if target.exists() else partial
        return path, images.allocated(path)

    def await_moment(self):
        """At random: when the giver is done, or has some of it."""
        least = self.chance.choice((0.4, 0.6, 0.8, 0.9, 1.0)) * IMAGE_SIZE
        until(lambda: self.held[1] >= max(least, AHEAD + MIB), "the giver to have something to give")
        time.sleep(0.3 * self.chance.random())

    def finish(self):
        """The rest of the run; the word of the giver on itself, and the server's."""
        for index in self.rack.clients:
            self.rack.cure(index)
        code = self.rack.finish()
        rows = self.rack.rows()
        for index, client in self.rack.clients.items():
            if index != self.giver:
                assert rows[index].state == "done" and rows[index].verified, rows[index].reason
                assert client.code == 0
            if rows[index].state == "done":
                self.rack.check_copy(index, self.image)
        assert (code == 0) == (rows[self.giver].state == "done")
        assert (self.rack.clients[self.giver].code == 0) == (rows[self.giver].state == "done")
        return rows[self.giver]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_giver_that_cannot_be_read_any_more(loopback, seed):
    """If it was done by then it stays so; if not, it alone fails."""
    scene = Scene(loopback, seed, "blind")
    scene.await_moment()
    was_done = loopback.target(scene.giver).exists()
    (loopback.node_folder(scene.giver) / "blind").touch()
    row = scene.finish()
    print("giver %d of fanout %d: %s, done before: %s" % (scene.giver, scene.fanout, row.state, was_done))
    if row.state == "failed":
        assert "errno 5" in row.reason
    else:
        assert "the children of this node get another parent" in loopback.clients[scene.giver].log


@pytest.mark.parametrize("seed", SEEDS)
def test_a_giver_whose_bytes_turn_after_it_has_verified_them(loopback, seed):
    """It asks for them again, or if it was done it is so no more, and its own disk is named."""
    scene = Scene(loopback, seed)
    scene.await_moment()
    path, held = scene.held
    was_done = path == loopback.target(scene.giver)
    # Where it still has to be read for those behind it, or nobody would ever look at it again.
    place = scene.chance.randrange(AHEAD, held - 64 * 1024)
    with path.open("r+b") as file:
        file.seek(place)
        byte = file.read(1)
        file.seek(place)
        file.write(bytes([byte[0] ^ 0x20]))
    row = scene.finish()
    print(
        "giver %d of fanout %d: %s, repaired %d, done before: %s"
        % (scene.giver, scene.fanout, row.state, row.repaired, was_done)
    )
    if row.state == "failed":
        assert str(path.parent) in row.reason and "not to be trusted" in row.reason
        assert str(place // CHUNK * CHUNK) in row.reason
    else:
        assert row.repaired
