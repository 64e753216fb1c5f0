# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wrong bytes: whoever is at fault is named, and nobody else loses the image."""

from __future__ import annotations

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import BadChunk, BitRot, DamagedOnTheWay
from ansible_collections.dolly.ring.plugins.module_utils.dolly.plan.job import Image
from ansible_collections.dolly.ring.plugins.module_utils.dolly.ranges import RangeSet
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay.image.ledger import Ledger
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay.work import recheck
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.memory import MemoryStore
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.source import Source
from ansible_collections.dolly.ring.tests.unit.plugins.module_utils.dolly.relay.relay_doubles import (
    CHUNK,
    IMAGE,
    BadMemoryStore,
    LyingStore,
    MemoryTarget,
    SlowStore,
    UnreadableStore,
    assert_all_done,
    digests_of,
    flipping,
    make_image,
    until,
)

MIB = 1 << 20
#: More than fits in the buffers of the sockets between two nodes.
LARGE = make_image(48 * MIB)
#: Where it turns: the last chunk, so that it has not been sent yet.
PLACE = 47 * MIB + 5


def bad_memory(place):
    return MemoryTarget(lambda size: BadMemoryStore(size, place))


def error_of(bench, rank):
    return bench.members[rank].node.error


class TestOnTheWay:
    def test_what_one_giver_always_damages_comes_from_another_one(self, ring):
        bench = ring(count=3, targets={1: bad_memory(2 * CHUNK + 5)}).join()
        assert_all_done(bench)
        assert bench.members[2].node.word.parent == 0
        assert bench.members[3].node.word.parent == 2

    def test_the_server_is_the_last_one_and_is_named(self, ring, monkeypatch):
        send = Source.send
        bad = []

        def damage(source, lane, offset, length):
            if lane.peer == "n1" and offset <= 5 < offset + length:
                bad.append(offset)
                data = bytearray(IMAGE[offset : offset + length])
                data[5 - offset] ^= 1
                lane.from_view(memoryview(data))
            else:
                send(source, lane, offset, length)

        monkeypatch.setattr(Source, "send", damage)
        bench = ring(count=3).join()
        assert bench.states == ["failed", "done", "done"]
        error = error_of(bench, 1)
        assert isinstance(error, DamagedOnTheWay), error
        assert error.fields == {"peer": "n0", "offset": 0, "tries": 3}
        assert bench.is_whole(2) and bench.is_whole(3)

    def test_a_target_that_turns_what_came_right_is_named(self, ring):
        bench = ring(count=3, targets={2: flipping(2 * CHUNK + 5, times=1000)}).join()
        assert bench.states == ["done", "failed", "done"]
        assert isinstance(error_of(bench, 2), BadChunk)
        assert error_of(bench, 2).fields["tries"] == 3


class TestTurning:
    @pytest.fixture
    def behind(self, ring):
        """Node 1 is far ahead of node 2."""

        def start(store_1, is_ready):
            slow = MemoryTarget(lambda size: SlowStore(size, 4 * MIB))
            bench = ring(LARGE, 3, chunk=MIB, targets={1: MemoryTarget(store_1), 2: slow})
            until(lambda: slow.store is not None and slow.store.reached.is_set())
            until(lambda: is_ready(bench))
            return bench, bench.targets[1].store, slow.store.released

        return start

    def test_a_giver_that_is_done_takes_its_word_back(self, behind):
        bench, store, released = behind(UnreadableStore, lambda bench: bench.state_of(1) == "done")
        store._image[PLACE] ^= 1
        released.set()
        bench.join()
        assert bench.states == ["failed", "done", "done"]
        assert bench.state_of(1) == "failed"
        assert isinstance(error_of(bench, 1), BitRot)
        assert error_of(bench, 1).fields["offset"] == 47 * MIB
        assert bench.is_whole(2) and bench.is_whole(3)

    def test_a_giver_that_cannot_be_read_any_more_is_done_and_gives_its_children_away(self, behind):
        bench, store, released = behind(UnreadableStore, lambda bench: bench.state_of(1) == "done")
        store.is_blind = True
        released.set()
        assert_all_done(bench.join())
        assert bench.members[2].node.word.parent == 0
        assert "could not be read any more" in store.notes[0]


class TestRecheck:
    class Bench:
        """A node that has verified the image; its threads are none."""

        def __init__(self):
            self.store, self.ledger = MemoryStore(len(IMAGE)), Ledger(Image(len(IMAGE), CHUNK), True)
            self.store._image[:] = IMAGE
            self.ledger.hold_all(RangeSet())
            self.ledger.learn(0, digests_of(IMAGE, CHUNK))
            self.ledger.accept(0, 6)
            self.ends = []
            self.recheck = recheck.Recheck(self.store, self.ledger, self, self.ends.append)

        def run(self, _name, work, on_end):
            try:
                work()
            except Exception as error:
                on_end(error)
            else:
                on_end(None)

    @pytest.fixture
    def bench(self):
        return self.Bench()

    def test_a_chunk_that_is_right_is_served_again(self, bench):
        bench.recheck.doubt([(CHUNK, 2 * CHUNK)], 10.0)
        assert bench.ends == [None] and not bench.ledger.doubtful
        assert bench.ledger.verified.covers(0, len(IMAGE))

    def test_a_chunk_that_has_turned_has_to_come_again(self, bench):
        bench.store._image[CHUNK + 7] ^= 1
        bench.recheck.doubt([(CHUNK + 100, CHUNK + 200)], 10.0)
        assert bench.ends == [None] and not bench.ledger.doubtful
        assert list(bench.ledger.rejected) == [(CHUNK, 2 * CHUNK)]
        assert list(bench.ledger.missing()) == [(CHUNK, 2 * CHUNK)]
        assert not bench.ledger.seal()

    def test_after_the_seal_it_is_the_end_of_the_node(self, bench):
        assert bench.ledger.seal()
        bench.store._image[CHUNK + 7] ^= 1
        bench.recheck.doubt([(CHUNK, 2 * CHUNK)], 10.0)
        assert isinstance(bench.ends[0], BitRot)
        assert bench.ledger.doubtful.covers(CHUNK, 2 * CHUNK), "and nobody gets it from here"

    def test_so_it_is_when_it_turns_again_and_again(self, bench):
        for number in range(recheck.MAX_REPAIRS + 1):
            bench.ledger.held.add(CHUNK, 2 * CHUNK)
            bench.ledger.accept(1)
            bench.store._image[CHUNK + number] ^= 1
            bench.recheck.doubt([(CHUNK, 2 * CHUNK)], 10.0 * number)
        assert bench.ends[:-1] == [None] * recheck.MAX_REPAIRS
        assert isinstance(bench.ends[-1], BitRot)

    def test_it_is_not_read_for_each_time_that_a_child_asks(self, bench):
        reads = []
        read = bench.store.read
        bench.store.read = lambda offset, view: reads.append(offset) or read(offset, view)
        for now in (10.0, 10.5, 11.0, 11.5):
            bench.recheck.doubt([(0, CHUNK)], now)
        assert len(reads) == 1
        bench.recheck.doubt([(0, CHUNK)], 12.5)
        assert len(reads) == 2


def test_zeros_that_a_device_only_says_that_it_wrote(ring):
    """They were believed, because `zero` had returned; with verified: true the device held what it had before."""
    image = make_image(CHUNK) + bytes(3 * CHUNK) + make_image(CHUNK, seed=3)
    bench = ring(image, 2, targets={1: MemoryTarget(LyingStore)}).join()
    assert_all_done(bench)
    assert bench.targets[1].store.zeroed == 3 * CHUNK
    assert bench.members[1].node.word.repaired == 3
