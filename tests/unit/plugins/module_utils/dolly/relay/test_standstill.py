# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing has moved for too long: a source that gives nothing is named, and no node is given up for it."""

from __future__ import annotations

import dataclasses
import threading

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.plan.job import Image, NodeSpec, Plan
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay.standstill import LastResort
from ansible_collections.dolly.ring.plugins.module_utils.dolly.status.snapshot import Snapshot
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.source import Source
from ansible_collections.dolly.ring.tests.unit.plugins.module_utils.dolly.relay.relay_doubles import (
    CHUNK,
    RUN_ID,
    TIMEOUTS,
    make_context,
    until,
)

LIMITS = dataclasses.replace(TIMEOUTS, stall=1, flush=2)
WAITING = [Snapshot(1, "n1", 1, 1, "receiving", parent=0, blocked_on="parent")]


class Parting:
    """Notes with whom the server parts."""

    def __init__(self):
        self.parted = []

    def handle(self, event):
        self.parted.append(event.rank)

    def give_up(self, rank, error):
        self.parted.append(rank)


@pytest.fixture
def watch():
    nodes = (NodeSpec("n0", "127.0.0.1", 1), NodeSpec("n1", "127.0.0.1", 2))
    context = make_context(timeouts=LIMITS)
    parting = Parting()
    plan = Plan(RUN_ID, nodes, 1, Image(CHUNK, CHUNK), "readback", True, LIMITS)
    yield LastResort(context, plan, parting), parting
    context.reactor.close()


@pytest.mark.parametrize("read, is_source_slow", [(None, True), (7, False)])
def test_a_source_that_gives_nothing_is_named(watch, read, is_source_slow):
    """A pipe in which nothing comes, or a disk that hangs under the digests."""
    last_resort, parting = watch
    assert [last_resort.beat(WAITING, read, is_source_slow, now) for now in (0.0, 3.9)] == [None, None]
    error = last_resort.beat(WAITING, read, is_source_slow, 4.1)
    assert "waiting for the source" in error.sentence and parting.parted == []


def test_a_source_that_is_read_is_progress(watch):
    last_resort, parting = watch
    assert [last_resort.beat(WAITING, now, False, float(now)) for now in range(20)] == [None] * 20
    assert parting.parted == []


def test_a_node_that_stands_still_is_parted_with(watch):
    last_resort, parting = watch
    assert [last_resort.beat(WAITING, None, False, now) for now in (0.0, 1.9, 2.1)] == [None] * 3
    assert parting.parted == [1]


def test_a_source_that_hangs_under_the_digests_ends_the_run(ring, monkeypatch, request):
    released = threading.Event()
    request.addfinalizer(released.set)
    read = Source.read

    def hang(source, offset, view):
        released.wait(30)
        return read(source, offset, view)

    monkeypatch.setattr(Source, "read", hang)
    bench = ring(count=2, timeouts=LIMITS)
    until(lambda: bench.root.node.error is not None)
    assert "waiting for the source" in bench.root.node.error.sentence
    released.set()
    bench.join()
