# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a ledger says of a window, and what its parent may forget."""

from __future__ import annotations

import contextlib
import hashlib
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import ChecksumMismatch, ProtocolError
from ansible_collections.dolly.ring.plugins.module_utils.dolly.net.lane import Lane
from ansible_collections.dolly.ring.plugins.module_utils.dolly.plan.job import (
    MAX_SIZE,
    Image,
    NodeSpec,
    Plan,
    Timeouts,
)
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay.down.downstream import Downstream
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay.down.scheduler import Scheduler
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay.image.ledger import Ledger
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay.up.receive_lane import ReceiveLane
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay.work.drain import Drain
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay.work.stream_reader import StreamReader
from ansible_collections.dolly.ring.plugins.module_utils.dolly.status.profile import Stopwatch
from ansible_collections.dolly.ring.plugins.module_utils.dolly.status.snapshot import Board
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.window import Ring, WindowStore
from ansible_collections.dolly.ring.plugins.module_utils.dolly.wire.codec import LaneOpener, Sealer
from ansible_collections.dolly.ring.plugins.module_utils.dolly.wire.messages import DATA, Need
from ansible_collections.dolly.ring.tests.unit.plugins.module_utils.dolly.net.net_doubles import (
    Background,
    tcp_pair,
)
from ansible_collections.dolly.ring.tests.unit.plugins.module_utils.dolly.relay.relay_doubles import (
    PATIENCE_S,
    MemoryTarget,
    make_context,
    make_image,
    until,
)

CHUNK = 10
WINDOW = 40


def windowed(verifies=False, size=None):
    ledger = Ledger(Image(size, CHUNK), verifies)
    ledger.open_window(WINDOW)
    return ledger


STEPS = st.lists(st.tuples(st.sampled_from("receive sink keep".split()), st.integers(0, 60)), max_size=60)


@given(STEPS)
def test_whatever_happens_no_wanted_byte_is_overwritten(steps):
    """A byte is asked for only where its place in the ring is free, and base passes neither sink nor children."""
    ledger, sunk, kept = windowed(), 0, 0
    for what, amount in steps:
        before = ledger.base
        if what == "receive":
            gap = next(iter(ledger.missing()), None)
            if gap is not None:
                ledger.add(gap[0], min(gap[1], gap[0] + amount % WINDOW + 1))
        elif what == "sink":
            sunk = max(sunk, min(ledger.held.span_end, sunk + amount))
            ledger.sink(sunk)
        else:
            kept = min(ledger.held.span_end, kept + amount)
            ledger.keep(kept, kept)
        assert ledger.base == max(before, min(sunk, kept))
        assert ledger.limit == ledger.base + WINDOW
        assert ledger.missing().span_end <= ledger.limit
        assert ledger.safe == sunk
        assert not ledger.missing().within(0, ledger.base)
        assert ledger.held.span_end <= ledger.limit


def test_a_late_duplicate_is_told_from_new_bytes():
    ledger = windowed()
    ledger.add(0, 15)
    assert not ledger.begin_write(0, 10)
    assert ledger.runs(10, 20) == [(10, 15, True), (15, 20, False)]
    plain = Ledger(Image(100, CHUNK), False)
    plain.add(0, 15)
    assert plain.runs(10, 20) == [(10, 20, False)]


@pytest.mark.parametrize("verifies", [False, True])
def test_nothing_is_passed_on_that_somebody_still_writes(verifies):
    """A late lane may have bytes of it still to write, and their place must not be a newer byte's by then."""
    ledger = windowed(verifies)
    late, other = ledger.begin_write(10, 20), ledger.begin_write(0, 20)
    ledger.add(0, 20)
    ledger.end_write(other)
    ledger.accept(0)
    assert ledger.next_to_sink(0, 100) == 10
    waiting = Background(lambda: ledger.next_to_sink(10, 100))
    with pytest.raises(AssertionError):
        waiting.result(0.1)
    ledger.end_write(late)
    ledger.accept(1)
    assert waiting.result() == 20


class KeepingSink:
    """Keeps what it gets."""

    path, is_lasting = "sink", True

    def __init__(self):
        self.notes, self.content, self.is_finished = [], bytearray(), False

    def write(self, view, offset):
        self.content += view

    def finish(self, size):
        self.is_finished = True

    def close(self):
        pass

    abort = close


class SlowSink(KeepingSink):
    """Takes nothing from `limit` on until it is let go."""

    def __init__(self, limit):
        super().__init__()
        self.limit, self.released = limit, threading.Event()

    def write(self, view, offset):
        if offset >= self.limit:
            self.released.wait(PATIENCE_S)
        super().write(view, offset)


class LateLane:
    """Two lanes that bring the same first chunk into a window; the one is in the middle of it all the time."""

    def __init__(self, image):
        self.image = image
        self.ledger, self.sink = windowed(), SlowSink(WINDOW)
        self.store = WindowStore(Ring(WINDOW), self.sink, None)
        self.ledger.keep(MAX_SIZE, 0)
        self.drain = Background(Drain(self.store, self.ledger).run)
        self.fars, self.sealers, self.receiving, self.runs = [], [], [], []
        for _number in range(2):
            near, far = tcp_pair()
            opener = LaneOpener(bytes(32), "parent")
            self.fars.append(far)
            self.sealers.append(Sealer(bytes(32)))
            self.receiving.append(ReceiveLane(Lane(near, "parent"), opener, self.store, self.ledger))
            self.runs.append(Background(self.receiving[-1].run))

    def piece(self, lane, start, end):
        return self.sealers[lane].data(DATA, start, end - start) + self.image[start:end]

    def send_newer(self):
        held = self.ledger.held.total
        self.fars[1].sendall(self.piece(1, WINDOW, 2 * WINDOW))
        until(lambda: self.ledger.held.total == held + WINDOW)

    def finish(self):
        self.sink.released.set()
        for far, run in zip(self.fars, self.runs):
            far.close()
            run.result()
        self.ledger.end(2 * WINDOW)
        self.drain.result()


def test_a_late_lane_does_not_write_over_a_newer_byte():
    lanes = LateLane(make_image(2 * WINDOW, seed=4))
    ledger, late = lanes.ledger, lanes.piece(0, 0, CHUNK)
    lanes.fars[0].sendall(late[:-5])
    until(lambda: ledger.received == CHUNK - 5)
    lanes.fars[1].sendall(lanes.piece(1, 0, WINDOW))
    until(lambda: ledger.held.total == WINDOW)
    with contextlib.suppress(AssertionError):
        until(lambda: ledger.base == WINDOW, 0.3)  # in vain: somebody writes there
        lanes.send_newer()
    lanes.fars[0].sendall(late[-5:])
    until(lambda: lanes.receiving[0].received == 1 and ledger.base == WINDOW)
    if ledger.held.total == WINDOW:
        lanes.send_newer()
    lanes.finish()
    assert lanes.sink.content == lanes.image


def test_the_sink_gets_verified_chunks_in_order():
    ledger = windowed(verifies=True)
    ledger.add(0, 30)
    digests = b"".join(hashlib.sha256(b"%d" % index).digest() for index in range(3))
    ledger.learn(0, digests)
    ledger.accept(1)
    assert ledger.safe == 0
    ledger.accept(0)
    assert ledger.next_to_sink(0, 100) == 20
    assert ledger.next_to_sink(0, 5) == 5
    ledger.accept(2)
    ledger.end(30)
    assert ledger.is_complete
    assert ledger.next_to_sink(30, 100) == 30
    ledger.close()
    assert ledger.next_to_sink(30, 100) is None


def test_the_last_chunk_waits_for_the_end():
    ledger = Ledger(Image(None, CHUNK), True)
    ledger.add(0, 13)
    ledger.learn(0, bytes(64))
    assert ledger.next_chunk(0) == 0
    ledger.accept(0)
    assert ledger.next_chunk(0) is None and ledger.limit == MAX_SIZE
    ledger.end(13)
    assert ledger.next_chunk(0) == 1
    ledger.accept(1)
    assert ledger.is_complete and ledger.safe == 13
    with pytest.raises(ProtocolError):
        ledger.end(14)


def test_an_end_before_bytes_that_came_is_refused():
    ledger = Ledger(Image(None, CHUNK), False)
    ledger.add(0, 13)
    with pytest.raises(ProtocolError, match="before bytes"):
        ledger.end(12)


def test_news_comes_by_steps_of_a_window():
    ledger, heard = windowed(), []
    ledger.watch(lambda: heard.append(ledger.base))
    ledger.keep(MAX_SIZE, 0)
    for end in range(1, 33):
        ledger.sink(end)
    assert 8 <= len(heard) <= 33  # a sixteenth of the window is two bytes, and both base and safe have moved


def test_a_child_holds_the_window_until_it_says_otherwise():
    ledger = windowed()
    claims = Scheduler(ledger)
    ledger.sink(20)
    ledger.keep(12, 0)
    assert ledger.base == 12 and claims.kept(True) == 12
    claims.replace(Need(1, ((5, 30),), (), {}, 5, 3))
    assert claims.kept(False) == 5 and claims.kept(True) == 3
    assert claims.gone == (5, 12)
    claims.replace(Need(2, ((12, 30),), (), {}, 12, 12))
    assert claims.gone is None


def test_only_what_is_in_the_window_is_sent():
    ledger = windowed()
    ledger.add(0, 30)
    ledger.sink(25)
    ledger.keep(18, 18)
    claims = Scheduler(ledger)
    claims.open_lane(1)
    claims.replace(Need(1, ((0, 40),)))
    piece = claims.claim(1)
    assert (piece.start, piece.end) == (18, 30) and claims.highest == 30


# --- the server's end of a pipe ---------------------------------------------------------------------


class Reading:
    """A stream of these bytes, a few at a time."""

    path = "-"

    def __init__(self, data, step):
        self.data, self.step = data, step

    def read(self, view, is_wanted):
        piece = self.data[: min(self.step, len(view))] if is_wanted() else b""
        view[: len(piece)] = piece
        self.data = self.data[len(piece) :]
        return len(piece)

    def close(self):
        pass


def take_in(data, step=7, checksum="", wants=True):
    ledger, said = windowed(), []
    ring = Ring(WINDOW)
    ledger.keep(MAX_SIZE, MAX_SIZE)
    intake = StreamReader(
        Reading(data, step), ring, ledger, lambda first, digests: said.append((first, digests)),
        said.append, checksum, Stopwatch(),
    )
    intake.run(wants)
    return intake, ledger, ring, said


@given(st.binary(max_size=150), st.integers(1, 30))
def test_a_pipe_is_digested_chunk_by_chunk(data, step):
    intake, ledger, ring, said = take_in(data, step)
    digests = [hashlib.sha256(data[at : at + CHUNK]).digest() for at in range(0, len(data), CHUNK)]
    assert [one[1] for one in said if isinstance(one, tuple)] == digests
    assert [one for one in said if not isinstance(one, tuple)] == [len(data)]
    assert ledger.is_complete and ledger.manifest.is_complete and ledger.size == len(data)
    assert intake.sha256 == hashlib.sha256(data).hexdigest()
    tail = memoryview(bytearray(len(data) - ledger.base))
    ring.read(ledger.base, tail)
    assert tail == data[ledger.base :] and ledger.base <= max(0, len(data) + CHUNK - WINDOW)


def test_the_window_forgets_only_when_it_needs_the_room():
    _intake, ledger, _ring, _said = take_in(bytes(range(35)))
    assert ledger.base == 0


def test_a_pipe_with_another_checksum_never_ends():
    with pytest.raises(ChecksumMismatch):
        take_in(b"abc", checksum="0" * 64)
    intake, ledger, _ring, said = take_in(b"abc", checksum=hashlib.sha256(b"abc").hexdigest(), wants=False)
    assert ledger.size == 3 and 3 in said and intake.sha256


# --- whole rings ------------------------------------------------------------------------------------


class GatedStore(WindowStore):
    """Takes nothing from `limit` on until it is let go."""

    def __init__(self, limit, *args):
        super().__init__(*args)
        self.limit = limit
        self.released = threading.Event()

    def receive(self, lane, offset, length):
        if offset >= self.limit:
            self.released.wait(PATIENCE_S)
        return super().receive(lane, offset, length)


def test_an_orphan_whose_need_the_window_has_let_go_of_climbs_to_the_server(make_ring):
    """The last node lags by more than what its grandparent keeps; chunks are large, so that sockets hide none of it."""
    chunk, room = 1 << 20, 16
    image = make_image(40 * chunk)
    sinks = {rank: KeepingSink() for rank in (1, 2, 3)}
    limits = {1: 1 << 60, 2: 1 << 60, 3: chunk}
    targets = {
        rank: MemoryTarget(
            lambda size, rank=rank: GatedStore(limits[rank], Ring(room * chunk), sinks[rank], size)
        )
        for rank in sinks
    }
    bench = make_ring(image, chunk=chunk, targets=targets)
    last = bench.members[3].node
    try:
        until(lambda: targets[3].store is not None)
        until(lambda: bench.members[1].node.ledger.base >= 12 * chunk)
        bench.members[2].kill()
        targets[3].store.released.set()
        until(lambda: last.word.parent == 0, 3 * PATIENCE_S)
        for running in (bench.root, bench.members[1], bench.members[3]):
            running.join()
        assert [bench.states[0], bench.states[2]] == ["done", "done"]
        for rank in (1, 3):
            assert sinks[rank].content == image and sinks[rank].is_finished
    finally:
        if targets[3].store is not None:
            targets[3].store.released.set()


@pytest.mark.parametrize("pass_on", [lambda down: down.manifest(0, bytes(32)), lambda down: down.end(5)])
def test_a_child_that_dies_of_what_is_passed_on_keeps_it_from_nobody(pass_on):
    nodes = tuple(NodeSpec("n%d" % rank, "127.0.0.1", 9) for rank in range(3))
    plan = Plan("run-1", nodes, 2, Image(None, CHUNK), "none", True, Timeouts())
    context = make_context()
    context.reactor.close()  # nothing is to run on it
    down = Downstream(context, plan, 0, windowed(), Board(0), None)
    heard = []

    class Dying:
        is_linked, is_told_end = True, False

        def __init__(self, rank):
            self.rank = rank

        def hear(self, *_what):
            heard.append(self.rank)
            down._links.pop(self.rank)

        manifest = end = hear

    down._links.update({rank: Dying(rank) for rank in (1, 2)})
    pass_on(down)
    assert heard == [1, 2] and down.is_finished
