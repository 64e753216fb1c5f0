# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verifier believes the target alone, and not a target that is wrong three times."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import BadChunk, TargetError
from ansible_collections.dolly.ring.plugins.module_utils.dolly.plan.job import Image
from ansible_collections.dolly.ring.plugins.module_utils.dolly.ranges import RangeSet
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay.image.ledger import Ledger
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay.work.verifier import MAX_TRIES, Verifier
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.memory import MemoryStore
from ansible_collections.dolly.ring.tests.unit.plugins.module_utils.dolly.net.net_doubles import Background
from ansible_collections.dolly.ring.tests.unit.plugins.module_utils.dolly.relay.relay_doubles import (
    digests_of,
    make_image,
    until,
)

CHUNK = 1000
IMAGE = make_image(2 * CHUNK) + bytes(CHUNK) + make_image(700, seed=2)


class Bench:
    """A store that is filled by hand. `refill` is what a bad chunk is replaced by when it is asked for."""

    def __init__(self):
        self.ledger = Ledger(Image(len(IMAGE), CHUNK), True)
        self.store = MemoryStore(len(IMAGE))
        self.bad = []
        self.verifier = Verifier(self.store, self.ledger, self.bad.append)

    def put(self, index, data=None):
        start, end = self.ledger.image.chunk_bounds(index)
        taken = self.ledger.begin_write(start, end)
        assert taken
        self.store._image[start:end] = IMAGE[start:end] if data is None else data
        self.ledger.add(start, end)
        self.ledger.end_write(taken)

    def put_all(self):
        for index in range(4):
            self.put(index)


@pytest.fixture
def bench():
    return Bench()


def flipped(index):
    data = bytearray(IMAGE[index * CHUNK : (index + 1) * CHUNK])
    data[len(data) // 2] ^= 1
    return bytes(data)


def test_good_chunks(bench):
    bench.ledger.learn(0, digests_of(IMAGE, CHUNK))
    bench.put_all()
    bench.verifier.run()
    assert bench.ledger.is_complete
    assert bench.bad == []


def test_chunks_and_digests_in_any_order(bench):
    run = Background(bench.verifier.run)
    digests = digests_of(IMAGE, CHUNK)
    bench.put(3)
    bench.ledger.learn(3, digests[96:])
    bench.ledger.learn(0, digests[:64])
    bench.put(1)
    bench.put(0)
    bench.put(2)
    assert run.is_running
    bench.ledger.learn(2, digests[64:96])
    run.result()
    assert bench.ledger.is_complete


def test_a_flipped_byte_is_found_asked_for_and_repaired(bench):
    bench.ledger.learn(0, digests_of(IMAGE, CHUNK))
    for index in (0, 2, 3):
        bench.put(index)
    bench.put(1, flipped(1))
    run = Background(bench.verifier.run)
    until(lambda: bench.bad)
    assert bench.bad == [1]
    assert list(bench.ledger.missing()) == [(CHUNK, 2 * CHUNK)]
    bench.put(1)
    run.result()
    assert bench.ledger.is_complete
    assert bench.ledger.repaired == 1


def test_the_last_of_too_many_tries(bench):
    bench.ledger.learn(0, digests_of(IMAGE, CHUNK))
    run = Background(bench.verifier.run)
    for tries in range(1, MAX_TRIES + 1):
        bench.put(1, flipped(1))
        until(lambda tries=tries: len(bench.bad) == tries or not run.is_running)
    with pytest.raises(BadChunk) as caught:
        run.result()
    assert caught.value.fields == {"path": "memory", "offset": CHUNK, "tries": MAX_TRIES}
    assert bench.bad == [1] * (MAX_TRIES - 1)


def test_tries_are_counted_by_chunk(bench):
    bench.ledger.learn(0, digests_of(IMAGE, CHUNK))
    run = Background(bench.verifier.run)
    for index in range(2):
        for _unused in range(MAX_TRIES - 1):
            before = len(bench.bad)
            bench.put(index, flipped(index))
            until(lambda before=before: len(bench.bad) > before)
    bench.put_all()
    run.result()
    assert bench.ledger.is_complete


def test_zeros_are_not_read_back_but_compared(bench):
    bench.ledger.learn(0, digests_of(IMAGE, CHUNK))
    for index in (0, 1, 3):
        bench.put(index)
    taken = bench.ledger.begin_write(2 * CHUNK, 3 * CHUNK)
    bench.ledger.add(2 * CHUNK, 3 * CHUNK, is_zero=True)
    bench.ledger.end_write(taken)
    bench.verifier.run()
    assert bench.ledger.is_complete


def test_zeros_where_the_image_has_none(bench):
    bench.ledger.learn(0, digests_of(IMAGE, CHUNK))
    taken = bench.ledger.begin_write(0, CHUNK)
    bench.ledger.add(0, CHUNK, is_zero=True)
    bench.ledger.end_write(taken)
    run = Background(bench.verifier.run)
    until(lambda: bench.bad)
    assert bench.bad == [0]
    bench.put_all()
    run.result()


def test_target_that_cannot_be_read(bench):
    bench.ledger.learn(0, digests_of(IMAGE, CHUNK))
    bench.put(0)
    bench.store.close()
    with pytest.raises(TargetError):
        bench.verifier.run()


def test_closing_the_ledger_ends_it(bench):
    run = Background(bench.verifier.run)
    bench.ledger.close()
    run.result()
    assert not bench.ledger.is_complete


class TestZeroRuns:
    """Runs of zeros are accepted together, and none too many."""

    COUNT = 7  # the last chunk is a short one

    def make(self, wrong=None, held=range(7)):
        size = (self.COUNT - 1) * CHUNK + 10
        ledger = Ledger(Image(size, CHUNK), True)
        digests = [hashlib.sha256(bytes(min(CHUNK, size - index * CHUNK))).digest() for index in range(self.COUNT)]
        if wrong is not None:
            digests[wrong] = hashlib.sha256(b"data").digest()
        ledger.learn(0, b"".join(digests))
        for index in held:
            start, end = ledger.image.chunk_bounds(index)
            taken = ledger.begin_write(start, end)
            assert taken
            ledger.add(start, end, is_zero=True)
            ledger.end_write(taken)
        return ledger

    def run(self, ledger):
        bad = []
        background = Background(Verifier(MemoryStore(ledger.size), ledger, bad.append).run)
        until(lambda: ledger.verifying is None and not ledger._backlog)
        ledger.close()
        background.result()
        return bad

    def test_all_of_them(self):
        ledger = self.make()
        assert self.run(ledger) == []
        assert ledger.is_complete

    @pytest.mark.parametrize("wrong", range(7))
    def test_one_that_is_no_zeros_by_its_digest(self, wrong):
        ledger = self.make(wrong)
        assert self.run(ledger) == [wrong]
        assert list(RangeSet.span(0, ledger.size) - ledger.verified) == [ledger.image.chunk_bounds(wrong)]

    @pytest.mark.parametrize("missing", range(7))
    def test_one_that_is_not_there(self, missing):
        ledger = self.make(held=[index for index in range(7) if index != missing])
        assert self.run(ledger) == []
        assert list(RangeSet.span(0, ledger.size) - ledger.verified) == [ledger.image.chunk_bounds(missing)]

    @given(st.integers(0, 6), st.integers(1, 9), st.sets(st.integers(0, 6)))
    def test_against_counting(self, first, most, missing):
        ledger = self.make(held=[index for index in range(7) if index not in missing])
        expected = 0
        while expected < most and first + expected < 6 and first + expected not in missing:
            expected += 1
        assert ledger.zero_run(first, hashlib.sha256(bytes(CHUNK)).digest(), most) == expected

    def test_one_that_is_being_written(self):
        ledger = self.make(held=[0, 1, 3])
        assert ledger.begin_write(2 * CHUNK, 3 * CHUNK)
        ledger.add(2 * CHUNK, 3 * CHUNK, is_zero=True)
        assert ledger.zero_run(0, hashlib.sha256(bytes(CHUNK)).digest(), 10) == 2
