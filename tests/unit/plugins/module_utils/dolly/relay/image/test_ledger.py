# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ledger against a model in which every byte is one entry of a dictionary."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import ProtocolError
from ansible_collections.dolly.ring.plugins.module_utils.dolly.plan.job import Image
from ansible_collections.dolly.ring.plugins.module_utils.dolly.ranges import RangeSet
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay.image.ledger import Ledger
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay.image.resume import (
    claim,
    is_claimed,
    settle,
)
from ansible_collections.dolly.ring.tests.unit.plugins.module_utils.dolly.net.net_doubles import Background

CHUNK = 8
SIZE = 29  # three whole chunks and a ragged one
COUNT = 4
DIGESTS = [hashlib.sha256(bytes([index])).digest() for index in range(COUNT)]


def make(verifies=True, size=SIZE):
    return Ledger(Image(size, CHUNK), verifies)


def bounds(index):
    return index * CHUNK, min(SIZE, (index + 1) * CHUNK)


def write_chunk(ledger, index, is_zero=False):
    start, end = bounds(index)
    taken = ledger.begin_write(start, end)
    assert taken == RangeSet.span(start, end)
    ledger.add(start, end, is_zero)
    ledger.end_write(taken)


def as_set(ranges):
    return {offset for start, end in ranges for offset in range(start, end)}


class Model:
    """The same facts, each kept the plainest way."""

    def __init__(self):
        self.held = set()
        self.zeros = set()
        self.verified = set()
        self.known = set()
        self.claimed = set()
        self.spared = set()
        self.stale = None
        self.writers = []  # sets of bytes
        self.verifying = None

    def chunk(self, index):
        return set(range(*bounds(index)))

    def is_due(self, index):
        """Whether the verifier has to be given a chunk before it may wait again."""
        is_new = self.chunk(index) <= self.held and not self.chunk(index) <= self.verified
        return (
            index in self.known
            and (is_new or self.chunk(index) <= self.claimed)
            and not any(taken & self.chunk(index) for taken in self.writers)
            and index != self.verifying
        )


@st.composite
def parts(draw):
    index = draw(st.integers(0, COUNT - 1))
    start, end = bounds(index)
    if draw(st.booleans()):  # else hardly any chunk would ever be whole
        return start, end
    if draw(st.booleans()):
        end = SIZE  # over several chunks, as runs of zeros come
    first = draw(st.integers(start, end - 1))
    return first, draw(st.integers(first + 1, end))


STEPS = st.one_of(
    st.tuples(st.just("begin"), parts()),
    st.tuples(st.just("arrive"), st.integers(0, 5), st.booleans()),
    st.tuples(st.just("break off"), st.integers(0, 5)),
    st.tuples(st.just("learn"), st.integers(0, COUNT - 1), st.integers(1, COUNT)),
    st.tuples(st.just("fill"), st.integers(0, COUNT - 1)),
    st.tuples(st.just("take")),
    st.tuples(st.just("accept")),
    st.tuples(st.just("reject")),
    st.tuples(st.just("claim"), st.integers(0, COUNT - 1)),
)


class Player:
    """Carries out steps on the ledger and on the model."""

    def __init__(self):
        self.ledger = make()
        self.model = Model()
        self.taken = []  # by the ledger's word, for each of the model's writers

    def step(self, name, *arguments):
        getattr(self, name.replace(" ", "_"))(*arguments)

    def begin(self, part):
        model = self.model
        free = set(range(*part))
        for index in range(COUNT):
            if model.chunk(index) <= model.held or model.chunk(index) <= model.claimed:
                free -= model.chunk(index)
        taken = self.ledger.begin_write(*part)
        assert as_set(taken) == free
        if free:
            model.writers.append(free)
            self.taken.append(taken)

    def arrive(self, which, is_zero):
        if self.model.writers:
            which %= len(self.model.writers)
            change, taken = self.model.writers.pop(which), self.taken.pop(which)
            for part in taken:
                self.ledger.add(*part, is_zero)
            self.ledger.end_write(taken)
            self.model.held |= change
            self.model.zeros = self.model.zeros | change if is_zero else self.model.zeros - change

    def break_off(self, which):
        if self.model.writers:
            which %= len(self.model.writers)
            self.model.writers.pop(which)
            self.ledger.end_write(self.taken.pop(which))

    def claim(self, index):
        """A store that was just opened claims what nobody has written to; one that has moved, what was verified."""
        model, chunk = self.model, self.model.chunk(index)
        is_verified = chunk <= model.verified
        if (chunk & model.held and not is_verified) or any(chunk & taken for taken in model.writers):
            return
        if model.verifying is not None and model.chunk(model.verifying) <= model.claimed:
            model.stale = model.verifying
        claim(self.ledger, RangeSet.span(*bounds(index)))
        model.claimed |= chunk
        for known in (model.held, model.verified, model.zeros, model.spared):
            known -= chunk

    def fill(self, index):
        before = len(self.model.writers)
        self.begin(bounds(index))
        if len(self.model.writers) == before:
            return
        self.arrive(len(self.model.writers) - 1, False)

    def learn(self, first, count):
        last = min(COUNT, first + count)
        self.ledger.learn(first, b"".join(DIGESTS[first:last]))
        self.model.known |= set(range(first, last))

    def take(self):
        if self.model.verifying is not None:
            return  # there is one verifier, and it says accept or reject before it asks again
        due = [index for index in range(COUNT) if self.model.is_due(index)]
        index = self.ledger.next_chunk(0.0)
        if index is None:
            assert due == []
        else:
            assert index in due
        self.model.verifying = index

    def accept(self):
        if self.settled(True):
            return
        if self.model.verifying is not None:
            self.ledger.accept(self.model.verifying)
            self.model.verified |= self.model.chunk(self.model.verifying)
            self.model.verifying = None

    def settled(self, matches):
        """The verifier asks the ledger what kind of chunk it has got."""
        index = self.model.verifying
        if index is None or not self.model.chunk(index) <= self.model.claimed:
            assert index is None or not is_claimed(self.ledger, index)
            return False
        assert is_claimed(self.ledger, index)
        settle(self.ledger, index, matches, is_zero=matches and index == 1)
        chunk = self.model.chunk(index)
        self.model.verifying = None
        if self.model.stale == index:
            self.model.stale = None
            return True  # it is digested again
        self.model.claimed -= chunk
        if matches:
            self.model.held |= chunk
            self.model.verified |= chunk
            self.model.spared |= chunk
            self.model.zeros |= chunk if index == 1 else set()
        return True

    def reject(self):
        if self.settled(False):
            return
        if self.model.verifying is not None:
            self.ledger.reject(self.model.verifying)
            chunk = self.model.chunk(self.model.verifying)
            for known in (self.model.held, self.model.zeros, self.model.verified):
                known -= chunk
            self.model.verifying = None

    def compare(self):
        ledger, model = self.ledger, self.model
        assert as_set(ledger.held) == model.held
        assert as_set(ledger.zeros) == model.zeros
        assert as_set(ledger.verified) == model.verified
        assert model.verified <= model.held
        assert as_set(ledger.claimed) == model.claimed
        assert as_set(ledger.missing()) == set(range(SIZE)) - model.held - model.claimed
        assert not model.claimed & model.held
        assert ledger.resumed == len(model.spared)
        assert ledger.is_complete == (len(model.verified) == SIZE)

    def drain(self):
        """In the end every chunk that can be verified is."""
        while self.model.writers:
            self.break_off(0)
        for _unused in range(COUNT + 2):
            self.accept()
            self.take()
        assert self.model.verifying is None


@settings(max_examples=150, deadline=None)
@given(st.lists(STEPS, max_size=60))
def test_against_the_model(steps):
    player = Player()
    player.learn(0, 1)
    for step in steps:
        player.step(*step)
        player.compare()
    player.drain()


class TestWriting:
    def test_nobody_writes_into_a_whole_chunk(self):
        ledger = make()
        write_chunk(ledger, 1)
        assert not ledger.begin_write(8, 16)
        assert not ledger.begin_write(11, 12)
        assert ledger.begin_write(0, 8)

    def test_the_last_chunk_is_whole_when_the_image_ends(self):
        ledger = make()
        write_chunk(ledger, 3)
        assert not ledger.begin_write(24, 29)

    def test_a_late_writer_holds_verifying_up(self):
        ledger = make()
        ledger.learn(0, DIGESTS[0])
        late, early = ledger.begin_write(0, 4), ledger.begin_write(0, 8)
        assert late and early
        ledger.add(0, 8)
        ledger.end_write(early)
        assert ledger.next_chunk(0.0) is None
        ledger.end_write(late)
        assert ledger.next_chunk(0.0) == 0

    def test_data_over_zeros_and_zeros_over_data(self):
        ledger = make()
        ledger.add(0, 8, is_zero=True)
        ledger.add(2, 3)
        assert ledger.is_zero(0, 2) and ledger.is_zero(3, 8) and not ledger.is_zero(0, 8)
        ledger.add(2, 3, is_zero=True)
        assert ledger.is_zero(0, 8)


class TestVerifying:
    def test_a_chunk_needs_its_digest_and_all_of_its_bytes(self):
        ledger = make()
        write_chunk(ledger, 0)
        assert ledger.next_chunk(0.0) is None
        ledger.learn(0, DIGESTS[0] + DIGESTS[1])
        assert ledger.next_chunk(0.0) == 0
        ledger.accept(0)
        assert ledger.next_chunk(0.0) is None

    def test_rejected_chunk_must_come_again(self):
        ledger = make()
        ledger.learn(0, DIGESTS[0])
        write_chunk(ledger, 0)
        assert ledger.next_chunk(0.0) == 0
        ledger.reject(0)
        assert ledger.repaired == 1
        assert ledger.missing().covers(0, 8)
        assert ledger.next_chunk(0.0) is None
        write_chunk(ledger, 0)
        assert ledger.next_chunk(0.0) == 0

    def test_a_rejected_chunk_is_known_as_that_at_once(self):
        # The two were told one after the other: a NEED in between asked for a repair as for anything else.
        ledger = make()
        ledger.learn(0, DIGESTS[0])
        write_chunk(ledger, 0)
        assert ledger.next_chunk(0.0) == 0
        ledger.reject(0)
        assert (ledger.missing() & ledger.rejected).covers(*bounds(0))
        write_chunk(ledger, 0)
        assert ledger.next_chunk(0.0) == 0
        ledger.accept(0)
        assert not ledger.rejected

    def test_digests_that_come_twice_while_a_chunk_is_read_back(self):
        # A new parent sends all digests again. The chunk was queued again, and then read back half-written.
        ledger = make()
        ledger.learn(0, DIGESTS[0])
        write_chunk(ledger, 0)
        assert ledger.next_chunk(0.0) == 0
        ledger.learn(0, DIGESTS[0])
        ledger.reject(0)
        assert ledger.next_chunk(0.0) is None

    def test_a_chunk_that_comes_back_before_the_verifier_asks_on(self):
        ledger = make()
        ledger.learn(0, DIGESTS[0])
        write_chunk(ledger, 0)
        assert ledger.next_chunk(0.0) == 0
        ledger.reject(0)
        write_chunk(ledger, 0)
        assert ledger.next_chunk(0.0) == 0

    def test_contradicting_digests(self):
        ledger = make()
        ledger.learn(0, DIGESTS[0])
        with pytest.raises(ProtocolError):
            ledger.learn(0, DIGESTS[1])
        with pytest.raises(ProtocolError):
            ledger.learn(COUNT, DIGESTS[0])
        assert ledger.digest(0) == DIGESTS[0]
        assert ledger.digest(1) is None

    def test_nothing_is_queued_where_nothing_is_verified(self):
        ledger = make(verifies=False)
        ledger.learn(0, b"".join(DIGESTS))
        for index in range(COUNT):
            write_chunk(ledger, index)
        assert ledger.next_chunk(0.0) is None
        assert ledger.is_complete

    def test_says_which_chunk_is_read_back(self):
        ledger = make()
        ledger.learn(0, DIGESTS[0])
        write_chunk(ledger, 0)
        assert ledger.verifying is None
        ledger.next_chunk(0.0)
        assert ledger.verifying == 0
        ledger.accept(0)
        assert ledger.verifying is None


class TestWaiting:
    def test_close_ends_every_wait(self):
        ledger = make()
        waits = [Background(ledger.next_chunk), Background(ledger.wait_complete)]
        ledger.close()
        assert [wait.result() for wait in waits] == [None, None]

    def test_a_closed_ledger_gives_out_nothing(self):
        ledger = make()
        ledger.learn(0, DIGESTS[0])
        write_chunk(ledger, 0)
        ledger.close()
        assert ledger.next_chunk() is None

    def test_next_chunk_wakes_by_the_last_byte(self):
        ledger = make()
        ledger.learn(0, b"".join(DIGESTS))
        wait = Background(ledger.next_chunk)
        write_chunk(ledger, 2)
        assert wait.result() == 2

    def test_next_chunk_wakes_by_a_digest(self):
        ledger = make()
        write_chunk(ledger, 2)
        wait = Background(ledger.next_chunk)
        ledger.learn(2, DIGESTS[2])
        assert wait.result() == 2

    def test_wait_complete(self):
        ledger = make(verifies=False)
        wait = Background(ledger.wait_complete)
        for index in range(COUNT):
            assert wait.is_running
            write_chunk(ledger, index)
        wait.result()


def test_an_empty_image_is_complete():
    ledger = make(size=0)
    assert ledger.is_complete
    ledger.wait_complete()
    assert not ledger.missing()


def test_the_node_with_the_source_holds_all():
    ledger = make()
    ledger.hold_all(RangeSet([(8, 16)]))
    assert not ledger.missing()
    assert ledger.is_zero(8, 16)
    assert not ledger.is_zero(0, 9)
