# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Both ends of a lane over a real connection, and pieces that must not be believed."""

from __future__ import annotations

import contextlib

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import (
    PeerLost,
    ProtocolError,
    TargetError,
)
from ansible_collections.dolly.ring.plugins.module_utils.dolly.net.lane import Lane
from ansible_collections.dolly.ring.plugins.module_utils.dolly.plan.job import Image
from ansible_collections.dolly.ring.plugins.module_utils.dolly.ranges import RangeSet
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay.down.scheduler import Scheduler
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay.down.send_lane import SendLane
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay.image.ledger import Ledger
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay.image.resume import settle
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay.up.receive_lane import ReceiveLane
from ansible_collections.dolly.ring.plugins.module_utils.dolly.wire.codec import LaneOpener, Sealer
from ansible_collections.dolly.ring.plugins.module_utils.dolly.wire.messages import DATA, ZERO, Need
from ansible_collections.dolly.ring.tests.unit.plugins.module_utils.dolly.net.net_doubles import (
    Background,
    tcp_pair,
)
from ansible_collections.dolly.ring.tests.unit.plugins.module_utils.dolly.relay.relay_doubles import (
    FailingStore,
    WatchedStore,
    make_image,
    until,
)

KEY = bytes(32)
CHUNK = 4096
SIZE = 10 * CHUNK + 123
IMAGE = make_image(SIZE)


class Bench:
    """A receiving end; the test speaks for the sender."""

    def __init__(self, store=None, mapped=None):
        near, self.far = tcp_pair()
        self.lane = Lane(near, "parent")
        self.ledger = Ledger(Image(SIZE, CHUNK, mapped=mapped), True)
        self.store = store or WatchedStore(SIZE)
        self.receiving = ReceiveLane(self.lane, LaneOpener(KEY, "parent"), self.store, self.ledger)
        self.sealer = Sealer(KEY)
        self.run = Background(self.receiving.run)

    def send(self, kind, start, end):
        self.far.sendall(self.sealer.data(kind, start, end - start))
        if kind == DATA:
            self.far.sendall(IMAGE[start:end])

    def await_pieces(self, count):
        until(lambda: self.receiving.received == count or not self.run.is_running)
        assert self.receiving.received == count

    def close(self):
        self.lane.abort()
        self.far.close()
        until(lambda: not self.run.is_running)
        self.lane.close()


@pytest.fixture
def bench():
    made = Bench()
    yield made
    made.close()


class MovingStore(WatchedStore):
    """What was compared in one place is in another one as soon as something is written."""

    has_moved = False

    def begin_changes(self):
        has_moved, self.has_moved = self.has_moved, True
        return not has_moved


class VerifiedMeanwhile(RangeSet):
    """A set of verified bytes; while it is copied the verifier ends with a chunk that it read in the old place."""

    __slots__ = ("happen",)

    def copy(self):
        found, happen = super().copy(), Background(self.happen)
        with contextlib.suppress(AssertionError):
            happen.result(0.3)  # in vain, where the ledger is locked
        return found


def test_what_is_verified_in_the_old_place_while_it_moves_is_looked_at_again():
    bench = Bench(MovingStore(SIZE))
    try:
        ledger = bench.ledger
        ledger.claimed.add(CHUNK, 2 * CHUNK)
        ledger.verifying = 1
        ledger.verified = VerifiedMeanwhile([(2 * CHUNK, 3 * CHUNK)])
        ledger.verified.happen = lambda: settle(ledger, 1, True)
        bench.send(DATA, 0, CHUNK)
        bench.await_pieces(1)
        until(lambda: ledger.verifying is None)
        assert not ledger.verified.overlaps(CHUNK, 3 * CHUNK)
        assert list(ledger.claimed) == [(CHUNK, 3 * CHUNK)]
    finally:
        bench.close()


class TestReceiving:
    def test_pieces_and_an_orderly_end(self, bench):
        bench.send(DATA, 0, 100)
        bench.send(ZERO, 100, CHUNK)
        bench.send(DATA, CHUNK, SIZE)
        bench.far.close()
        bench.run.result()
        assert bench.receiving.received == 3
        assert bench.store.content == IMAGE[:100] + bytes(CHUNK - 100) + IMAGE[CHUNK:]
        assert list(bench.ledger.held) == [(0, SIZE)]
        assert list(bench.ledger.zeros) == [(100, CHUNK)]

    def test_a_late_duplicate_is_skipped(self, bench):
        bench.send(DATA, 0, CHUNK)
        bench.await_pieces(1)
        bench.store._image[10] ^= 0xFF  # would be made good by a second write
        wrong = bytes(bench.store._image[:CHUNK])
        bench.send(DATA, 0, CHUNK)
        bench.send(DATA, 5, 50)
        bench.send(ZERO, 0, CHUNK)
        bench.send(DATA, 2 * CHUNK, 2 * CHUNK + 10)
        bench.await_pieces(5)
        assert bench.store.content[:CHUNK] == wrong
        assert bench.store.content[2 * CHUNK : 2 * CHUNK + 10] == IMAGE[2 * CHUNK : 2 * CHUNK + 10]
        assert (bench.store.received, bench.store.zeroed) == (CHUNK + 10, 0)
        assert bench.ledger.zeros == RangeSet()

    def test_of_a_piece_over_whole_and_other_chunks_the_others_are_written(self, bench):
        bench.send(DATA, CHUNK, 2 * CHUNK)
        bench.send(DATA, 100, 3 * CHUNK)
        bench.await_pieces(2)
        assert bench.store.received == 3 * CHUNK - 100
        assert bench.store.content[100 : 3 * CHUNK] == IMAGE[100 : 3 * CHUNK]

    @pytest.mark.parametrize("kind", [DATA, ZERO])
    @pytest.mark.parametrize("start, end", [(0, CHUNK + 1), (CHUNK - 1, CHUNK), (3 * CHUNK, SIZE)])
    def test_a_piece_that_the_block_map_leaves_out(self, kind, start, end):
        bench = Bench(mapped=RangeSet([(0, 100), (CHUNK, 3 * CHUNK)]))
        bench.send(DATA, CHUNK, 2 * CHUNK)
        bench.send(kind, start, end)
        with pytest.raises(ProtocolError, match="block map"):
            bench.run.result()
        assert (bench.store.received, bench.store.zeroed) == (CHUNK, 0)
        bench.close()

    @pytest.mark.parametrize("start, end", [(SIZE - 1, SIZE + 1), (SIZE, SIZE + 1), (1 << 40, (1 << 40) + 1)])
    @pytest.mark.parametrize("kind", [DATA, ZERO])
    def test_a_piece_beyond_the_image(self, bench, kind, start, end):
        bench.far.sendall(bench.sealer.data(kind, start, end - start))
        with pytest.raises(ProtocolError):
            bench.run.result()
        assert bench.store.content == bytes(SIZE)
        assert not bench.ledger.held

    def test_a_forged_header(self, bench):
        bench.far.sendall(Sealer(bytes([1]) * 32).data(DATA, 0, 100) + IMAGE[:100])
        with pytest.raises(ProtocolError):
            bench.run.result()
        assert bench.store.received == 0

    def test_a_replayed_header(self, bench):
        header = bench.sealer.data(ZERO, 0, CHUNK)
        bench.far.sendall(header * 2)
        with pytest.raises(ProtocolError):
            bench.run.result()
        assert bench.receiving.received == 1

    def test_a_peer_that_goes_amid_a_piece(self, bench):
        bench.far.sendall(bench.sealer.data(DATA, 0, CHUNK) + IMAGE[:1000])
        bench.far.close()
        with pytest.raises(PeerLost):
            bench.run.result()
        assert bench.receiving.received == 0
        assert bench.ledger.held == RangeSet.span(0, 1000)  # what has arrived need not come again
        taken = bench.ledger.begin_write(0, CHUNK)
        assert taken  # and nobody is left in it as a writer
        bench.ledger.add(0, CHUNK)
        bench.ledger.learn(0, bytes(32))
        bench.ledger.end_write(taken)
        assert bench.ledger.next_chunk(0.0) == 0

    def test_a_target_that_fails(self):
        bench = Bench(FailingStore(SIZE, CHUNK))
        bench.send(DATA, 0, CHUNK)
        bench.send(DATA, CHUNK, 2 * CHUNK)
        with pytest.raises(TargetError) as caught:
            bench.run.result()
        assert caught.value.fields["offset"] == CHUNK
        assert list(bench.ledger.held) == [(0, CHUNK)]
        bench.close()

    def test_zeros_count_as_waiting_for_the_target(self, bench):
        bench.send(ZERO, 0, CHUNK)
        bench.await_pieces(1)
        until(lambda: bench.lane.is_waiting_for_peer)


class Link:
    """A sender and a receiver joined by one lane."""

    def __init__(self, zeros=()):
        near, far = tcp_pair()
        source = WatchedStore(SIZE)
        source._image[:] = IMAGE
        self.upper = Ledger(Image(SIZE, CHUNK), True)
        self.upper.hold_all(RangeSet(zeros))
        for start, end in zeros:
            source.zero(start, end - start)
        self.claims = Scheduler(self.upper)
        self.claims.open_lane(1)
        self.source = source
        self.sending = SendLane(1, Lane(near, "child"), Sealer(KEY), source, self.claims)
        self.lower = Ledger(Image(SIZE, CHUNK), True)
        self.store = WatchedStore(SIZE)
        self.receiving = ReceiveLane(Lane(far, "parent"), LaneOpener(KEY, "parent"), self.store, self.lower)
        self.threads = [Background(self.sending.run), Background(self.receiving.run)]

    def close(self):
        self.claims.close()
        self.threads[0].result()
        self.sending.lane.close()
        self.threads[1].result()
        self.receiving.lane.close()


def test_both_ends():
    link = Link(zeros=[(CHUNK, 5 * CHUNK + 10)])
    link.claims.replace(Need(1, ((0, SIZE),)))
    until(lambda: not link.lower.missing())
    assert link.store.content == link.source.content
    assert link.lower.zeros == RangeSet([(CHUNK, 5 * CHUNK + 10)])
    assert link.store.zeroed == 4 * CHUNK + 10
    link.close()


def test_sending_ends_when_the_child_goes():
    link = Link()
    link.receiving.lane.abort()
    link.threads[1].result()
    link.receiving.lane.close()
    with pytest.raises(PeerLost):
        while True:
            link.claims.replace(Need(1, ((0, SIZE),), (), {1: 10 ** 6}))
            link.threads[0].result(0.05) if not link.threads[0].is_running else None
    link.sending.lane.close()


def test_sending_ends_when_its_own_storage_fails():
    link = Link()
    link.source.close()
    link.claims.replace(Need(1, ((0, SIZE),)))
    with pytest.raises(TargetError):
        link.threads[0].result()
    link.sending.lane.close()
    with pytest.raises(PeerLost):  # a header had gone out, its bytes never came
        link.threads[1].result()
    link.receiving.lane.close()
