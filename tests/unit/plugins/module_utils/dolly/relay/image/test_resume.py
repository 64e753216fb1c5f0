# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A claim counts when the target proves it; a journal says nothing that was not flushed before."""

from __future__ import annotations

import errno
import threading

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import TargetError
from ansible_collections.dolly.ring.plugins.module_utils.dolly.plan.job import Image
from ansible_collections.dolly.ring.plugins.module_utils.dolly.ranges import RangeSet
from ansible_collections.dolly.ring.plugins.module_utils.dolly.recovery.journal import Shape
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay.image import resume
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay.image.ledger import Ledger
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay.image.resume import (
    Journalist,
    claim,
    settle,
)
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay.work.finisher import Finisher
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay.work.verifier import Verifier
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.record import Record
from ansible_collections.dolly.ring.tests.unit.plugins.module_utils.dolly.net.net_doubles import Background
from ansible_collections.dolly.ring.tests.unit.plugins.module_utils.dolly.relay.relay_doubles import (
    WatchedStore,
    digests_of,
    make_image,
    until,
)

CHUNK = 1000
IMAGE = make_image(2 * CHUNK) + bytes(CHUNK) + make_image(700, seed=2)
SIZE = len(IMAGE)
SHAPE = Shape("target", SIZE, CHUNK)


class Context:
    """What the journalist needs of one: a log, and a thread to call on."""

    def __init__(self):
        self.lines = []
        self.log = self.lines.append
        self.reactor = self

    def call(self, work):
        work()


class Store(WatchedStore):
    """Fails to flush, or to be read, when told so."""

    error = None
    unreadable = ()

    def flush(self):
        if self.error is not None:
            raise self.error
        super().flush()

    def read(self, offset, view):
        if any(start <= offset < end for start, end in self.unreadable):
            raise TargetError(self.path, "read", offset, errno.EIO)
        return super().read(offset, view)


class Bench:
    def __init__(self, folder, content=bytes(SIZE)):
        self.store = Store(SIZE)
        self.store._image[:] = content
        self.store.record = Record(str(folder), "journal")
        self.store.record.load(SHAPE)
        self.ledger = Ledger(Image(SIZE, CHUNK), True)
        self.context = Context()
        self.broken = []
        self.journalist = Journalist(self.store, self.ledger, self.context, self.broken.append)

    @property
    def journal(self):
        return list(Record(self.store.record._directory, "journal").load(SHAPE))

    def put(self, index):
        start, end = self.ledger.image.chunk_bounds(index)
        taken = self.ledger.begin_write(start, end)
        assert taken
        self.store._image[start:end] = IMAGE[start:end]
        self.ledger.add(start, end)
        self.ledger.end_write(taken)

    def verify(self, *indexes):
        for index in indexes:
            self.put(index)
            self.ledger.accept(index)


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


class TestClaims:
    def run(self, bench, claimed, wanted=()):
        """Let the verifier work; what is missing when it has nothing left to do is put in."""
        claim(bench.ledger, RangeSet(claimed))
        bad = []
        run = Background(Verifier(bench.store, bench.ledger, bad.append).run)
        bench.ledger.learn(0, digests_of(IMAGE, CHUNK))
        until(lambda: not bench.ledger.claimed)
        assert [start // CHUNK for start, end in self.chunks(bench.ledger.missing())] == list(wanted)
        for index in wanted:
            bench.put(index)
        run.result()
        assert bench.ledger.is_complete
        assert bad == [] and bench.ledger.repaired == 0
        assert bench.store.content == IMAGE

    def chunks(self, ranges):
        return [(at, at + CHUNK) for start, end in ranges for at in range(start, end, CHUNK)]

    def test_what_is_there_need_not_come(self, tmp_path):
        bench = Bench(tmp_path, IMAGE)
        self.run(bench, [(0, SIZE)])
        assert bench.ledger.resumed == SIZE and bench.ledger.received == 0

    def test_nobody_asks_for_a_claim_before_it_was_checked(self, tmp_path):
        bench = Bench(tmp_path, IMAGE)
        claim(bench.ledger, RangeSet.span(0, 2 * CHUNK))
        assert list(bench.ledger.missing()) == [(2 * CHUNK, SIZE)]
        assert not bench.ledger.held and not bench.ledger.verified
        assert not bench.ledger.begin_write(0, CHUNK)

    def test_zeros_are_known_as_zeros_again(self, tmp_path):
        bench = Bench(tmp_path, IMAGE)
        self.run(bench, [(CHUNK, SIZE)], wanted=[0])
        assert list(bench.ledger.zeros) == [(2 * CHUNK, 3 * CHUNK)]

    def test_a_byte_that_changed_costs_its_chunk(self, tmp_path):
        bench = Bench(tmp_path, IMAGE)
        bench.store._image[CHUNK + 7] ^= 1
        self.run(bench, [(0, SIZE)], wanted=[1])
        assert bench.ledger.resumed == SIZE - CHUNK

    def test_another_image_costs_reading_alone(self, tmp_path):
        self.run(Bench(tmp_path, make_image(SIZE, seed=5)), [(0, SIZE)], wanted=[0, 1, 2, 3])

    def test_what_cannot_be_read_is_asked_for(self, tmp_path):
        """Writing may heal a sector; whether it did is found out when it is read back."""
        bench = Bench(tmp_path, IMAGE)
        bench.store.unreadable = [(CHUNK, 2 * CHUNK)]
        claim(bench.ledger, RangeSet.span(0, SIZE))
        run = Background(Verifier(bench.store, bench.ledger, lambda index: None).run)
        bench.ledger.learn(0, digests_of(IMAGE, CHUNK))
        until(lambda: not bench.ledger.claimed)
        bench.store.unreadable = ()
        bench.put(1)
        run.result()
        assert bench.ledger.is_complete


class TestJournalist:
    def test_what_was_verified_is_claimed_after_a_flush(self, bench):
        bench.verify(0, 3)
        bench.put(1)  # held, and not verified
        bench.journalist.write()
        assert bench.store.events == ["flush"]
        assert bench.journal == [(0, CHUNK), (3 * CHUNK, SIZE)]

    def test_nothing_new_is_no_reason_to_write(self, bench):
        bench.journalist.write()
        bench.verify(0)
        bench.journalist.write()
        bench.journalist.write()
        assert bench.store.events == ["flush"]

    def test_what_is_verified_during_the_flush_is_not_claimed(self, bench):
        flush = bench.store.flush

        def flush_while_more_comes():
            flush()
            bench.verify(1)

        bench.verify(0)
        bench.store.flush = flush_while_more_comes
        bench.journalist.write()
        assert bench.journal == [(0, CHUNK)]

    def test_claims_that_were_not_checked_yet_stay(self, bench):
        claim(bench.ledger, RangeSet.span(0, 2 * CHUNK))
        bench.verify(3)
        bench.journalist.write()
        assert bench.journal == [(0, 2 * CHUNK), (3 * CHUNK, SIZE)]
        settle(bench.ledger, 0, False)
        bench.journalist.write()
        assert bench.journal == [(CHUNK, 2 * CHUNK), (3 * CHUNK, SIZE)]

    @pytest.mark.parametrize(
        "operation, code, stays",
        [
            ("fsync", errno.EIO, False),
            ("write", errno.EIO, False),
            ("fsync", errno.ENOSPC, False),
            ("write", errno.ENOSPC, True),
            ("zero", errno.EDQUOT, True),
            ("fsync", errno.ECANCELED, True),
        ],
    )
    @pytest.mark.parametrize("is_last", [False, True])
    def test_a_target_that_lost_a_write_is_not_believed_again(self, bench, operation, code, stays, is_last):
        bench.verify(0)
        bench.journalist.write()
        before = bench.journal
        bench.store.error = TargetError("memory", operation, 0, code)
        if is_last:
            bench.journalist.finish(False)  # even when there was nothing new to claim
        else:
            bench.verify(1)
            bench.journalist.write()
        assert bench.journal == (before if stays else [])
        assert bench.broken == ([] if code == errno.ECANCELED else [bench.store.error])

    def test_a_journal_that_cannot_be_written_hurts_nobody_and_is_told_once(self, tmp_path):
        bench = Bench(tmp_path / "there")
        (tmp_path / "there").write_text("no directory")
        bench.verify(0)
        bench.journalist.write()
        bench.verify(1)
        bench.journalist.write()
        assert bench.broken == []
        assert len(bench.context.lines) == 1 and "journal" in bench.context.lines[0]

    def test_nothing_is_kept_without_a_shape(self, bench):
        bench.store.record.shape = None
        bench.verify(0)
        bench.journalist.start()
        bench.journalist.finish(False)
        assert bench.store.events == [] and bench.journal == []


class TestFinisher:
    def make(self, bench):
        finisher = Finisher(bench.store, bench.ledger, True, True, lambda index: None)
        finisher.keep_journal(bench.context, bench.broken.append)
        return finisher

    def test_a_run_that_is_through_leaves_no_journal(self, bench):
        bench.ledger.learn(0, digests_of(IMAGE, CHUNK))
        bench.verify(0)
        bench.journalist.write()
        assert bench.journal
        bench.verify(1, 2, 3)
        self.make(bench).run()
        assert not bench.store.record.exists()

    def test_a_run_that_was_stopped_leaves_all_that_it_verified(self, bench):
        bench.ledger.learn(0, digests_of(IMAGE, CHUNK))
        finisher = self.make(bench)
        bench.verify(0, 2)
        bench.ledger.close()
        finisher.run()
        assert bench.journal == [(0, CHUNK), (2 * CHUNK, 3 * CHUNK)]

    def test_a_journal_is_written_while_it_goes_on(self, bench, monkeypatch):
        monkeypatch.setattr(resume, "INTERVAL_S", 0.01)
        run = Background(self.make(bench).run)
        bench.verify(1)
        until(lambda: bench.journal == [(CHUNK, 2 * CHUNK)])
        bench.ledger.close()
        run.result()

    def test_a_flush_that_hangs_holds_only_the_end_up(self, bench, monkeypatch):
        monkeypatch.setattr(resume, "INTERVAL_S", 0.01)
        bench.ledger.learn(0, digests_of(IMAGE, CHUNK))
        hangs, entered = threading.Event(), threading.Event()
        flush = bench.store.flush

        def hang():
            entered.set()
            assert hangs.wait(20)
            flush()

        bench.store.flush = hang
        run = Background(self.make(bench).run)
        bench.put(0)
        assert entered.wait(20)
        for index in (1, 2, 3):
            bench.put(index)
        until(lambda: bench.ledger.is_complete)
        hangs.set()
        run.result()
        assert "commit" in bench.store.events
