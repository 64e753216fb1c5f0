# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scheduler: every needed byte goes out, none on two lanes at once, repairs only from verified chunks."""

from __future__ import annotations

import collections
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.dolly.ring.plugins.module_utils.dolly.plan.job import Image
from ansible_collections.dolly.ring.plugins.module_utils.dolly.ranges import RangeSet
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay.down import scheduler as claims_module
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay.down.scheduler import Piece, Scheduler
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay.image.ledger import Ledger
from ansible_collections.dolly.ring.plugins.module_utils.dolly.wire.messages import Need
from ansible_collections.dolly.ring.tests.unit.plugins.module_utils.dolly.net.net_doubles import Background

CHUNK = 8
SIZE = 61
COUNT = -(-SIZE // CHUNK)
DATA_LIMIT, ZERO_LIMIT = 5, 20


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    monkeypatch.setattr(claims_module, "MAX_DATA", DATA_LIMIT)
    monkeypatch.setattr(claims_module, "MAX_ZERO", ZERO_LIMIT)


def make(held=(), zeros=(), size=SIZE):
    ledger = Ledger(Image(size, CHUNK), True)
    for start, end in held:
        ledger.add(start, end)
    for start, end in zeros:
        ledger.add(start, end, is_zero=True)
    return ledger, Scheduler(ledger)


def need(wanted, repair=(), received=None):
    return Need(1, tuple(wanted), tuple(repair), received or {})


def verify(ledger, index):
    start, end = ledger.image.chunk_bounds(index)
    taken = ledger.begin_write(start, end)
    if taken:
        ledger.add(start, end)
        ledger.end_write(taken)
    ledger.accept(index)


def claim_now(claims, lane):
    """What `claim` returns, None where it would wait."""
    return claims.claim(lane) if claims._find() is not None else None


def claim_all(claims, lane):
    pieces = []
    while True:
        piece = claim_now(claims, lane)
        if piece is None:
            return pieces
        pieces.append(piece)


class TestPieces:
    def test_in_order_and_cut(self):
        _ledger, claims = make(held=[(0, 12), (20, 22)])
        claims.open_lane(1)
        claims.replace(need([(1, SIZE)]))
        assert claim_all(claims, 1) == [
            Piece(1, 6, False),
            Piece(6, 11, False),
            Piece(11, 12, False),
            Piece(20, 22, False),
        ]
        assert claims.sent == 13

    def test_the_size_of_a_piece_can_be_told(self):
        ledger, _claims = make(held=[(0, 12)])
        claims = Scheduler(ledger, 4)
        claims.open_lane(1)
        claims.replace(need([(1, 9)]))
        assert claim_all(claims, 1) == [Piece(1, 5, False), Piece(5, 9, False)]

    def test_a_piece_is_large_unless_told_otherwise(self, monkeypatch):
        monkeypatch.undo()  # the limits are those of a real run
        size = 17 * 2 ** 20 + 5
        ledger = Ledger(Image(size, 2 ** 20), True)
        ledger.add(0, size)
        claims = Scheduler(ledger)
        claims.open_lane(1)
        claims.replace(need([(0, size)]))
        assert [piece.end - piece.start for piece in claim_all(claims, 1)] == [2 ** 23, 2 ** 23, 2 ** 20 + 5]

    def test_what_each_lane_has_and_had(self):
        _ledger, claims = make(held=[(0, 12)])
        claims.open_lane(1)
        claims.open_lane(2)
        claims.replace(need([(0, 11)]))
        assert [claims.claim(lane).start for lane in (1, 1, 2)] == [0, 5, 10]
        assert claims.by_lane() == ({1: (0, 2), 2: (0, 1)}, False)
        claims.replace(need([(0, 20)], received={1: 1}))
        assert claims.by_lane() == ({1: (1, 1), 2: (0, 1)}, True)

    def test_zeros_are_marked_and_not_counted_as_sent(self):
        _ledger, claims = make(held=[(0, 3), (43, 50)], zeros=[(3, 43)])
        claims.open_lane(1)
        claims.replace(need([(0, SIZE)]))
        assert claim_all(claims, 1) == [
            Piece(0, 3, False),
            Piece(3, 23, True),
            Piece(23, 43, True),
            Piece(43, 48, False),
            Piece(48, 50, False),
        ]
        assert claims.sent == 10

    def test_only_what_is_wanted(self):
        _ledger, claims = make(held=[(0, SIZE)])
        claims.open_lane(1)
        claims.replace(need([(3, 5), (9, 10)]))
        assert claim_all(claims, 1) == [Piece(3, 5, False), Piece(9, 10, False)]
        claims.replace(need([(30, 31)]))  # replaces, but what is on its way stays so
        assert claim_all(claims, 1) == [Piece(30, 31, False)]
        claims.replace(need([(3, 5), (9, 12)]))
        assert claim_all(claims, 1) == [Piece(10, 12, False)]


def calls(work):
    """How many functions written in Python `work` calls: what it costs, on any machine."""
    counted = collections.Counter()
    sys.setprofile(lambda frame, event, argument: counted.update((event,)))
    try:
        work()
    finally:
        sys.setprofile(None)
    return counted["call"]


class TestManyExtents:
    """A sparse image of many extents: each piece costs the same, however many there are."""

    EXTENT = 64

    def cost(self, monkeypatch, extents, repairs=0):
        monkeypatch.setattr(claims_module, "MAX_ZERO", 1 << 30)
        size = 2 * extents * self.EXTENT
        ledger = Ledger(Image(size, 1 << 20), True)
        ledger.hold_all(RangeSet((start, start + self.EXTENT) for start in range(0, size, 2 * self.EXTENT)))
        claims = Scheduler(ledger, self.EXTENT)
        claims.open_lane(1)
        repair = [(4 * number, 4 * number + 1) for number in range(repairs)]

        def work():
            for count in range(1, 2 * extents + 1 - 2 * repairs):
                if count % (extents // 4) == 1:
                    claims.replace(need([(0, size)], repair, {1: count // 2}))
                claims.claim(1)

        found = calls(work)
        assert claims.highest > size // 3
        return found

    def test_twice_as_many_cost_twice_as_much(self, monkeypatch):
        assert self.cost(monkeypatch, 800) < 2.3 * self.cost(monkeypatch, 400)

    def test_the_cost_of_one(self, monkeypatch):
        assert self.cost(monkeypatch, 800) < 40 * 1600

    def test_a_need_costs_nothing_for_what_is_under_way(self, monkeypatch):
        _ledger, claims = make(held=[(0, SIZE)])
        claims.open_lane(1)
        claims.replace(need([(0, SIZE)]))
        claim_all(claims, 1)
        assert calls(lambda: claims.replace(need([(0, SIZE)]))) < 40


def test_a_child_that_never_gets_enough_repairs():
    ledger, claims = make(held=[(0, 24)])
    verify(ledger, 1)
    claims.open_lane(1)
    for count in range(claims_module.MAX_REPAIRS * 24 // CHUNK + 1):
        assert not claims.is_greedy
        claims.replace(need([(8, 16)], repair=[(8, 16)], received={1: 2 * count}))
        claim_all(claims, 1)
    assert claims.is_greedy


class TestRepair:
    def test_waits_until_the_chunk_is_verified_here(self):
        ledger, claims = make(held=[(0, 24)])
        claims.open_lane(1)
        claims.replace(need([(8, 16)], repair=[(8, 16)]))
        assert claim_now(claims, 1) is None
        verify(ledger, 1)
        assert claim_all(claims, 1) == [Piece(8, 13, False), Piece(13, 16, False)]

    def test_does_not_hold_others_up(self):
        _ledger, claims = make(held=[(0, 24)])
        claims.open_lane(1)
        claims.replace(need([(4, 20)], repair=[(8, 16)]))
        assert claim_all(claims, 1) == [Piece(4, 8, False), Piece(16, 20, False)]

    def test_the_verified_one_of_two(self):
        ledger, claims = make(held=[(0, 24)])
        verify(ledger, 1)
        claims.open_lane(1)
        claims.replace(need([(0, 24)], repair=[(0, 24)]))
        assert claim_all(claims, 1) == [Piece(8, 13, False), Piece(13, 16, False)]

    def test_is_forgotten_with_the_next_need(self):
        _ledger, claims = make(held=[(0, 24)])
        claims.open_lane(1)
        claims.replace(need([(0, 3)], repair=[(0, 3)]))
        claims.replace(need([(0, 3)]))
        assert claim_all(claims, 1) == [Piece(0, 3, False)]


class TestLanes:
    def test_two_lanes_share_one_need(self):
        _ledger, claims = make(held=[(0, 20)])
        claims.open_lane(1)
        claims.open_lane(2)
        claims.replace(need([(0, 20)]))
        taken = [claim_now(claims, lane) for lane in (1, 2, 2, 1)]
        assert [piece[:2] for piece in taken] == [(0, 5), (5, 10), (10, 15), (15, 20)]

    def test_a_lane_that_stands_still_leaves_the_rest_to_the_other(self):
        _ledger, claims = make(held=[(0, 25)])
        claims.open_lane(1)
        claims.open_lane(2)
        claims.replace(need([(0, 25)]))
        # The need has an end, so nothing here waits: a lane that waited for its turn would be stuck for ever.
        taken = [Background(lambda: claims.claim(lane)).result() for lane in (1, 2, 2, 2, 2)]
        assert [piece.start for piece in taken] == [0, 5, 10, 15, 20]

    def test_a_dead_lanes_pieces_come_back_only_by_close_lane(self):
        _ledger, claims = make(held=[(0, 5)])
        claims.open_lane(1)
        claims.open_lane(2)
        claims.replace(need([(0, 5)]))
        assert claim_now(claims, 1) == Piece(0, 5, False)
        claims.replace(need([(0, 5)]))
        assert claim_now(claims, 2) is None
        claims.close_lane(1)
        assert claim_now(claims, 2) == Piece(0, 5, False)

    def test_what_arrived_is_counted_by_lane(self):
        _ledger, claims = make(held=[(0, 15)])
        claims.open_lane(1)
        claims.open_lane(2)
        claims.replace(need([(0, 15)]))
        assert [claim_now(claims, lane).start for lane in (1, 2, 1)] == [0, 5, 10]
        # The second lane's piece arrived, came out wrong and is wanted again.
        claims.replace(need([(0, 15)], received={2: 1}))
        assert claim_all(claims, 2) == [Piece(5, 10, False)]
        claims.replace(need([(0, 15)], received={1: 1, 2: 1}))
        assert claim_all(claims, 2) == [Piece(0, 5, False)]

    def test_counts_beyond_reason_do_no_harm(self):
        _ledger, claims = make(held=[(0, 5)])
        claims.open_lane(1)
        claims.replace(need([(0, 5)], received={1: 10 ** 9, 7: 3}))
        assert claim_all(claims, 1) == [Piece(0, 5, False)]

    def test_a_lane_that_is_not_open(self):
        _ledger, claims = make(held=[(0, 5)])
        claims.replace(need([(0, 5)]))
        assert claims.claim(1) is None
        claims.close_lane(1)

    def test_has_todo(self):
        _ledger, claims = make(held=[(0, 5)])
        claims.open_lane(1)
        assert claims.has_todo  # for all that is known: it has not said yet
        claims.replace(need([(0, 5)]))
        assert claims.has_todo
        claim_now(claims, 1)
        assert claims.has_todo
        claims.replace(need([], received={1: 1}))
        assert not claims.has_todo


class TestWaiting:
    def claimer(self, claims):
        claims.open_lane(1)
        return Background(lambda: claims.claim(1))

    def test_wakes_by_bytes(self):
        ledger, claims = make()
        claims.replace(need([(0, 5)]))
        waiting = self.claimer(claims)
        ledger.add(0, 5)
        assert waiting.result() == Piece(0, 5, False)

    def test_wakes_by_need(self):
        _ledger, claims = make(held=[(0, 5)])
        waiting = self.claimer(claims)
        claims.replace(need([(0, 5)]))
        assert waiting.result() == Piece(0, 5, False)

    def test_wakes_by_a_verified_chunk(self):
        ledger, claims = make(held=[(0, 8)])
        claims.replace(need([(0, 5)], repair=[(0, 5)]))
        waiting = self.claimer(claims)
        ledger.accept(0)
        assert waiting.result() == Piece(0, 5, False)

    def test_wakes_by_a_dead_lane(self):
        _ledger, claims = make(held=[(0, 5)])
        claims.replace(need([(0, 5)]))
        claims.open_lane(2)
        claim_now(claims, 2)
        waiting = self.claimer(claims)
        claims.close_lane(2)
        assert waiting.result() == Piece(0, 5, False)

    @pytest.mark.parametrize("end", ["close", "close_lane", "close the ledger"])
    def test_ends(self, end):
        ledger, claims = make()
        waiting = self.claimer(claims)
        {"close": claims.close, "close_lane": lambda: claims.close_lane(1), "close the ledger": ledger.close}[end]()
        assert waiting.result() is None


class Ring:
    """A parent with claims, and a model of the child and of the wires between them."""

    def __init__(self):
        self.ledger, self.claims = make()
        self.child = RangeSet()
        self.rejected = RangeSet()
        self.told = RangeSet()
        self.repair = RangeSet()
        self.received = {}
        self.wires = {}  # lane -> pieces on their way
        self.dead = {}  # the same for lanes whose thread has not ended yet
        self.next_lane = 1

    def step(self, name, *arguments):
        getattr(self, name)(*arguments)

    def arrive(self, start, length, is_zero):
        end = min(SIZE, start + length)
        for index in range(start // CHUNK, -(-end // CHUNK)):
            low, high = max(start, index * CHUNK), min(end, (index + 1) * CHUNK)
            taken = self.ledger.begin_write(low, high)
            if taken:
                self.ledger.add(low, high, is_zero)
                self.ledger.end_write(taken)

    def verify(self, index):
        if self.ledger.held.covers(*self.ledger.image.chunk_bounds(index)):
            self.ledger.accept(index)

    def reject_here(self, index):
        bounds = self.ledger.image.chunk_bounds(index)
        if self.ledger.held.covers(*bounds) and not self.ledger.verified.overlaps(*bounds):
            self.ledger.reject(index)

    def ask(self):
        missing = RangeSet.span(0, SIZE) - self.child
        self.rejected = self.rejected & missing
        self.told, self.repair = missing.copy(), self.rejected.copy()
        self.claims.replace(need(missing, self.rejected, dict(self.received)))

    def open(self):
        self.claims.open_lane(self.next_lane)
        self.wires[self.next_lane] = []
        self.next_lane += 1

    def pick(self, which):
        lanes = sorted(self.wires)
        return lanes[which % len(lanes)] if lanes else None

    def claim(self, which):
        lane = self.pick(which)
        if lane is None:
            return False
        piece = claim_now(self.claims, lane)
        if piece is None:
            return False
        self.check(piece)
        self.wires[lane].append(piece)
        return True

    def check(self, piece):
        start, end, is_zero = piece
        assert start < end
        assert self.told.covers(start, end)
        assert self.ledger.held.covers(start, end)
        for pieces in [*self.wires.values(), *self.dead.values()]:
            assert all(end <= other.start or other.end <= start for other in pieces)
        for bad in self.repair.within(start, end):
            assert self.ledger.verified.covers(*bad)
        assert end - start <= (ZERO_LIMIT if is_zero else DATA_LIMIT)
        assert is_zero == self.ledger.zeros.covers(start, end)
        assert is_zero or not self.ledger.zeros.overlaps(start, end)

    def deliver(self, which):
        lane = self.pick(which)
        if lane is not None and self.wires[lane]:
            piece = self.wires[lane].pop(0)
            self.child.add(piece.start, piece.end)
            self.received[lane] = self.received.get(lane, 0) + 1

    def reject(self, index):
        bounds = self.ledger.image.chunk_bounds(index)
        if self.child.covers(*bounds):
            self.child.discard(*bounds)
            self.rejected.add(*bounds)

    def die(self, which):
        lane = self.pick(which)
        if lane is not None:
            self.dead[lane] = self.wires.pop(lane)

    def bury(self):
        if self.dead:
            lane = min(self.dead)
            del self.dead[lane]
            self.claims.close_lane(lane)

    def finish(self):
        """Once the parent has all of it, the child gets all of it."""
        while self.dead:
            self.bury()
        if not self.wires:
            self.open()
        self.arrive(0, SIZE, False)
        for index in range(COUNT):
            self.verify(index)
        for _unused in range(4):
            self.ask()
            while self.claim(0):
                pass
            for lane in range(len(self.wires)):
                while self.wires[self.pick(lane)]:
                    self.deliver(lane)
        assert self.child.covers(0, SIZE)
        self.ask()
        assert not self.claims.has_todo


NUMBERS = st.integers(0, 5)
CHUNKS = st.integers(0, COUNT - 1)
STEPS = st.one_of(
    st.tuples(st.just("arrive"), st.integers(0, SIZE - 1), st.integers(1, 30), st.booleans()),
    st.tuples(st.just("verify"), CHUNKS),
    st.tuples(st.just("reject_here"), CHUNKS),
    st.tuples(st.just("ask")),
    st.tuples(st.just("open")),
    st.tuples(st.just("claim"), NUMBERS),
    st.tuples(st.just("claim"), NUMBERS),
    st.tuples(st.just("deliver"), NUMBERS),
    st.tuples(st.just("deliver"), NUMBERS),
    st.tuples(st.just("reject"), CHUNKS),
    st.tuples(st.just("die"), NUMBERS),
    st.tuples(st.just("bury")),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(STEPS, max_size=80))
def test_random_interleavings(steps):
    # Hypothesis runs this many times within one use of the fixture above, which is all it needs.
    ring = Ring()
    ring.open()
    ring.arrive(0, 20, False)
    ring.ask()
    for step in steps:
        ring.step(*step)
    ring.finish()
