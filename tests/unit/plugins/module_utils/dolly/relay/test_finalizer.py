# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Targets that are to differ from the image in the end: not before nobody below needs the image any more."""

from __future__ import annotations

import dataclasses
import threading

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import (
    Aborted,
    TableNotMoved,
    TargetError,
)
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay import finalizer
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay.down.child import ChildLink
from ansible_collections.dolly.ring.plugins.module_utils.dolly.run.receiver import result_of as member_result
from ansible_collections.dolly.ring.plugins.module_utils.dolly.wire.messages import Need
from ansible_collections.dolly.ring.tests.unit.plugins.module_utils.dolly.net.net_doubles import PATIENCE_S
from ansible_collections.dolly.ring.tests.unit.plugins.module_utils.dolly.relay.relay_doubles import (
    CHUNK,
    IMAGE,
    TIMEOUTS,
    MemoryTarget,
    SlowStore,
    WatchedStore,
    until,
)

SPOILT = b"moved"


class FinalizingStore(WatchedStore):
    """Is spoilt for everybody who reads it once it is finalized."""

    needs_finalizing = True

    def finalize(self) -> None:
        self._image[: len(SPOILT)] = SPOILT
        self.events.append("finalize")


class SlowFinalizingStore(FinalizingStore, SlowStore):
    pass


class FailsToFinalize(FinalizingStore):
    def finalize(self) -> None:
        raise TableNotMoved(self.path, "Input/output error")


class HangsInFinalize(FinalizingStore):
    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.finalizing = threading.Event()
        self.released = threading.Event()

    def finalize(self) -> None:
        self.finalizing.set()
        self.released.wait(PATIENCE_S)
        super().finalize()


class HangsInSend(FinalizingStore):
    """A disk that gives nothing from `hang_at` on until it is let go."""

    def __init__(self, size: int, hang_at: int) -> None:
        super().__init__(size)
        self.hang_at = hang_at
        self.hanging = threading.Event()
        self.released = threading.Event()

    def send(self, lane, offset: int, length: int) -> None:
        if offset + length > self.hang_at:
            self.hanging.set()
            self.released.wait(PATIENCE_S)
        super().send(lane, offset, length)


def target(kind=FinalizingStore, **more):
    return MemoryTarget(lambda size: kind(size, **more))


def is_final(bench, rank):
    content = bench.content(rank)
    return content[: len(SPOILT)] == SPOILT and content[len(SPOILT) :] == IMAGE[len(SPOILT) :]


@pytest.mark.parametrize("count, fanout", [(1, 1), (4, 1), (6, 2)])
def test_every_target_is_finalized_after_it_was_served_from(ring, count, fanout):
    targets = {rank: target() for rank in range(1, count + 1)}
    bench = ring(count=count, fanout=fanout, targets=targets).join()
    assert [bench.root.node.state, *bench.states] == ["done"] * (count + 1)
    assert all(is_final(bench, rank) for rank in targets)
    assert [entry["repaired"] for entry in bench.root.node.nodes()] == [0] * count
    for one in targets.values():
        assert one.store.events == ["flush", "commit", "finalize", "close"]


def test_a_node_that_is_complete_waits_for_the_slowest_below_it(ring):
    slowest = target(SlowFinalizingStore, limit=0)
    bench = ring(targets={1: target(), 2: target(), 3: slowest})
    until(lambda: slowest.store is not None and slowest.store.reached.is_set())
    until(lambda: bench.states[:2] == ["serving"] * 2)
    assert all("finalize" not in bench.targets[rank].store.events for rank in (1, 2))
    slowest.store.released.set()
    bench.join()
    assert bench.states == ["done"] * 3 and all(is_final(bench, rank) for rank in (1, 2, 3))
    assert "done" not in bench.words[1][: bench.words[1].index("serving")]


def test_a_child_that_gets_a_parent_late_is_served_from_what_is_still_the_image(ring):
    """Node 2 dies in the middle: node 3 gets the rest from node 1, which is complete by then."""
    slowest = target(SlowFinalizingStore, limit=2 * CHUNK)
    bench = ring(targets={1: target(), 2: target(), 3: slowest})
    until(lambda: slowest.store is not None and slowest.store.reached.is_set())
    until(lambda: bench.states[0] == "serving")
    bench.members[2].kill()
    slowest.store.released.set()
    for rank in (1, 3):
        bench.members[rank].join()
        assert bench.state_of(rank) == "done" and is_final(bench, rank)
    bench.join()


def test_what_cannot_be_finalized_is_no_success_and_no_bad_copy(ring):
    bench = ring(targets={2: target(FailsToFinalize)}).join()
    assert bench.states == ["done", "failed", "done"]
    result = member_result(bench.members[2].node)
    assert result["state"] == "failed" and result["changed"] and not result["half_written"] and result["synced"]
    assert result["error"]["kind"] == "TableNotMoved" and "is complete on" in result["error"]["message"]


def test_a_run_that_is_called_off_takes_nothing_from_who_is_complete(ring):
    slowest = target(SlowFinalizingStore, limit=0)
    bench = ring(count=2, targets={1: target(), 2: slowest})
    until(lambda: bench.states[0] == "serving")
    bench.root.call(lambda: bench.root.node.fail(Aborted("somebody ended it")))
    bench.members[1].join()
    slowest.store.released.set()
    bench.join()
    assert [bench.state_of(rank) for rank in (1, 2)] == ["done", "failed"]
    assert is_final(bench, 1)
    assert member_result(bench.members[1].node)["state"] == "done"


def test_without_a_server_it_is_done_all_the_same(ring):
    slowest = target(SlowFinalizingStore, limit=0)
    bench = ring(count=2, targets={1: target(), 2: slowest}, timeouts=_quick())
    until(lambda: bench.states[0] == "serving")
    until(lambda: bench.members[2].node.store is not None)
    bench.root.kill()
    slowest.store.released.set()
    bench.members[1].join()
    bench.members[2].join()
    assert [bench.state_of(rank) for rank in (1, 2)] == ["done"] * 2
    assert is_final(bench, 1) and is_final(bench, 2)


def test_a_node_that_is_told_to_end_finishes_its_target(ring):
    slowest = target(SlowFinalizingStore, limit=0)
    bench = ring(count=2, targets={1: target(), 2: slowest})
    until(lambda: bench.states[0] == "serving")
    bench.members[1].node.stop(Aborted("a signal"))
    bench.members[1].join()
    assert bench.state_of(1) == "done" and is_final(bench, 1)
    slowest.store.released.set()
    bench.join()
    assert bench.states == ["done"] * 2


def test_a_disk_that_hangs_while_it_is_finalized_ends_the_node_alone(ring):
    hung = target(HangsInFinalize)
    bench = ring(targets={2: hung}, timeouts=_quick())
    until(lambda: hung.store is not None and hung.store.finalizing.is_set())
    until(lambda: bench.states[1] in ("failed", "lost"))
    hung.store.released.set()
    bench.join()
    assert bench.states == ["done", "failed", "done"]
    error = member_result(bench.members[2].node)["error"]
    assert error["kind"] == "TableNotMoved" and "flush_timeout" in error["message"]


def test_a_disk_that_cannot_be_read_any_more_gives_its_children_away(ring):
    slowest = target(SlowFinalizingStore, limit=0)
    bench = ring(count=2, targets={1: target(), 2: slowest})
    until(lambda: bench.states[0] == "serving")
    node = bench.members[1].node
    bench.members[1].call(lambda: node.storage_failed(TargetError("the disk", "read", 0, 5)))
    slowest.store.released.set()
    bench.join()
    assert bench.states == ["done"] * 2 and is_final(bench, 1)
    assert "could not be read any more" in member_result(node)["notes"][0]


def test_a_new_parent_hears_that_it_is_done_before_the_goodbye(ring, monkeypatch):
    """It is done between the greeting of the new parent and the plan, before which that one takes no news."""
    hung = target(HangsInFinalize)
    bench = ring(count=2, targets={1: target(), 2: hung})
    until(lambda: hung.store is not None and hung.store.finalizing.is_set())
    send = ChildLink._send

    def send_later(link, message):
        link._context.reactor.after(0.5, lambda: send(link, message))

    monkeypatch.setattr(ChildLink, "_send", send_later)
    node = bench.members[2].node
    first = node._upstream.epoch
    bench.members[1].kill()
    until(lambda: node._upstream.epoch > first)
    hung.store.released.set()
    bench.members[2].join()
    bench.root.join()
    assert bench.state_of(2) == "done" and bench.states[1] == "done"


def test_a_target_that_was_finalized_is_no_damaged_one(ring):
    """A child that lacks nothing asks for a repair all the same."""
    hung = target(HangsInFinalize)
    bench = ring(count=2, targets={1: target(), 2: hung})
    until(lambda: hung.store is not None and hung.store.finalizing.is_set() and bench.states[0] == "done")
    first, whole = bench.members[1], ((0, CHUNK),)
    first.call(lambda: first.node.repair_wanted(Need(1, whole, whole, {}, 0, 0)))
    until(lambda: not first.call(lambda: first.node._repairs.is_looking))
    hung.store.released.set()
    bench.join()
    assert bench.states == ["done"] * 2 and bench.state_of(1) == "done"


@pytest.mark.parametrize("is_child_alive", [True, False])
def test_a_disk_that_hangs_while_it_is_read_for_others_ends_the_node_alone(ring, is_child_alive):
    hung = target(HangsInSend, hang_at=3 * CHUNK)
    bench = ring(count=2, targets={1: hung}, timeouts=dataclasses.replace(_quick(), stall=4))
    until(lambda: hung.store is not None and hung.store.hanging.is_set() and bench.states[0] == "serving")
    if not is_child_alive:
        bench.members[2].kill()
    until(lambda: bench.state_of(1) == "failed")
    hung.store.released.set()
    bench.join()
    assert bench.root.node.error is None
    assert bench.states == ["failed", "done" if is_child_alive else "lost"]
    error = member_result(bench.members[1].node)["error"]
    assert error["kind"] == "TableNotMoved" and "still reads" in error["message"]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(finalizer, "_LET_GO_S", 0.5)


def _quick():
    return dataclasses.replace(TIMEOUTS, flush=2, dead_after=2, orphan=8)
