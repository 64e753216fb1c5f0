# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole rings in one process: every node on its own reactor thread, targets in memory, loopback between them."""

from __future__ import annotations

import dataclasses
import hashlib
import threading
import time

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly import workers
from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import SourceChanged
from ansible_collections.dolly.ring.plugins.module_utils.dolly.ranges import RangeSet
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay.server import Policy, Server
from ansible_collections.dolly.ring.plugins.module_utils.dolly.run.receiver import result_of as member_result
from ansible_collections.dolly.ring.plugins.module_utils.dolly.run.sender import result_of as root_result
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.source import Source
from ansible_collections.dolly.ring.tests.unit.plugins.module_utils.dolly.net.net_doubles import PATIENCE_S
from ansible_collections.dolly.ring.tests.unit.plugins.module_utils.dolly.relay.relay_doubles import (
    CHUNK,
    IMAGE,
    TIMEOUTS,
    MemoryTarget,
    RefusingTarget,
    SlowCommitStore,
    SlowTarget,
    WatchedStore,
    assert_all_done,
    failing,
    flipping,
    make_image,
    slow,
    until,
)


class TestClone:
    @pytest.mark.parametrize("count, fanout", [(1, 1), (4, 1), (6, 2), (5, 3)])
    def test_shapes(self, ring, count, fanout):
        assert_all_done(ring(count=count, fanout=fanout).join())

    @pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 9 * CHUNK])
    def test_sizes(self, ring, size):
        bench = ring(make_image(size), 2).join()
        assert_all_done(bench)
        assert root_result(bench.root.node)["bytes"] == size
        assert root_result(bench.root.node)["digest"] == bench.members[2].node.word.digest != ""

    def test_verify_none(self, ring):
        bench = ring(verify="none").join()
        assert_all_done(bench)
        assert member_result(bench.members[1].node)["verified"] is False
        assert [entry["verified"] for entry in bench.root.node.nodes()] == [False] * 3

    def test_a_sparse_image(self, ring, tmp_path):
        data = make_image(CHUNK)
        with open(str(tmp_path / "source"), "wb") as file:
            file.seek(8 * CHUNK)
            file.write(data)
            file.truncate(20 * CHUNK)
        bench = ring(bytes(8 * CHUNK) + data + bytes(11 * CHUNK), 2, holes=True).join()
        assert_all_done(bench)
        for rank in (1, 2):
            assert bench.targets[rank].store.received == CHUNK
            assert bench.targets[rank].store.zeroed == 19 * CHUNK
        assert bench.root.node.sent == CHUNK

    def test_zeros_that_were_written_are_not_sent(self, ring):
        """No hole tells of them; the server sees them while it digests."""
        data = make_image(CHUNK)
        bench = ring(data + bytes(2 * CHUNK) + data, 2).join()
        assert_all_done(bench)
        for rank in (1, 2):
            assert bench.targets[rank].store.zeroed == 2 * CHUNK
        assert bench.root.node.sent == 2 * CHUNK

    def test_results(self, ring):
        bench = ring(policy=Policy(wants_sha256=True)).join()
        result = root_result(bench.root.node)
        assert result["sha256"] == hashlib.sha256(IMAGE).hexdigest()
        assert (result["state"], result["error"], result["sent"]) == ("done", None, len(IMAGE))
        mine = member_result(bench.members[2].node)
        assert (mine["state"], mine["bytes"], mine["position"]) == ("done", len(IMAGE), 2)
        assert mine["verified"] and mine["synced"] and mine["changed"]
        assert mine["digest"] == result["digest"]

    def test_every_store_is_committed_before_it_is_closed(self, ring):
        bench = ring().join()
        for target in bench.targets.values():
            assert target.calls == ["prepare", "begin"]
            assert target.store.events == ["flush", "commit", "close"]

    def test_nobody_says_done_before_commit_returned(self, ring):
        target = MemoryTarget(SlowCommitStore)
        bench = ring(targets={2: target})
        until(lambda: target.store is not None and target.store.committing.is_set())
        until(lambda: bench.state_of(2) == "flushing")
        until(lambda: bench.states[0] == "done")
        assert bench.states[1] != "done"
        assert "done" not in bench.words[2]
        target.store.released.set()
        assert_all_done(bench.join())


class TestWrongBytes:
    @pytest.mark.parametrize("rank", [1, 2, 3])
    def test_a_flipped_byte_is_repaired(self, ring, rank):
        bench = ring(targets={rank: flipping(2 * CHUNK + 5)}).join()
        assert_all_done(bench)
        repaired = [entry["repaired"] for entry in bench.root.node.nodes()]
        assert repaired[: rank - 1] == [0] * (rank - 1)
        assert repaired[rank - 1] == 1  # those below may have been served the wrong byte before it was found

    def test_twice(self, ring):
        bench = ring(count=2, targets={1: flipping(5, 2)}).join()
        assert_all_done(bench)
        assert bench.members[1].node.word.repaired == 2

    def test_nothing_is_sent_again_before_the_server_has_heard_that_it_was_wrong(self, ring, monkeypatch):
        wanted, send, sent, early = Server.repair_wanted, Source.send, [], []

        def send_noted(source, lane, offset, length):
            sent.extend([offset] if offset <= 2 * CHUNK < offset + length else [])
            send(source, lane, offset, length)

        def hear_slowly(root, need):
            before = len(sent)
            time.sleep(0.2)
            early.append(len(sent) - before)
            wanted(root, need)

        monkeypatch.setattr(Source, "send", send_noted)
        monkeypatch.setattr(Server, "repair_wanted", hear_slowly)
        assert_all_done(ring(count=1, targets={1: flipping(2 * CHUNK + 5)}).join())
        assert early[0] == 0 and len(sent) == 2

    def test_a_disk_that_lies_for_good(self, ring):
        bench = ring(targets={2: flipping(2 * CHUNK + 5, 100)}).join()
        assert bench.states == ["done", "failed", "done"]
        assert bench.root.node.nodes()[1]["error"]["kind"] == "BadChunk"
        assert bench.is_whole(1) and bench.is_whole(3)
        assert "commit" not in bench.targets[2].store.events


class TestFailingTargets:
    @pytest.mark.parametrize("rank", [1, 2, 3, 4])
    def test_hurts_only_that_node(self, ring, rank):
        bench = ring(count=4, targets={rank: failing(3 * CHUNK)}).join()
        assert bench.states == ["failed" if one == rank else "done" for one in (1, 2, 3, 4)]
        assert bench.root.node.state == "partial"
        error = bench.root.node.nodes()[rank - 1]["error"]
        assert (error["kind"], error["operation"], error["offset"]) == ("TargetError", "write", 3 * CHUNK)
        for one in {1, 2, 3, 4} - {rank}:
            assert bench.is_whole(one)
        assert bench.targets[rank].store.events[-1] == "abort"

    def test_a_failing_node_takes_no_grandchildren(self, ring):
        bench = ring(count=5, targets={2: failing(3 * CHUNK)}).join()
        assert bench.states == ["done", "failed", "done", "done", "done"]
        assert bench.members[2].node.downstream.healer.adopted == 0
        # Only the child of the one that failed had to change its parent.
        assert [bench.members[rank].node.word.parent for rank in (1, 3, 4, 5)] == [0, 1, 3, 4]

    def test_neighbours(self, ring):
        bench = ring(count=5, targets={2: failing(2 * CHUNK), 3: failing(CHUNK)}).join()
        # The third one may be gone before its new parent has reached it; by its own word it failed.
        assert bench.states in (["done", "failed", one, "done", "done"] for one in ("failed", "unreachable"))
        assert bench.state_of(3) == "failed"

    def test_all(self, ring):
        bench = ring(count=2, targets={1: failing(0), 2: failing(0)}).join()
        assert bench.states == ["failed", "failed"]
        assert bench.root.node.state == "failed"


class TestBarrier:
    def test_a_refusal_ends_the_run_before_anything_is_touched(self, ring):
        bench = ring(targets={2: RefusingTarget()}).join()
        assert bench.root.node.state == "failed"
        assert bench.root.node.error.to_dict()["kind"] == "NotEnoughNodes"
        assert "mounted" in bench.root.node.error.sentence and "missing: n2 (" in bench.root.node.error.sentence
        for target in bench.targets.values():
            assert target.calls == ["prepare", "release"]
        assert [bench.state_of(rank) for rank in (1, 2, 3)] == ["failed"] * 3

    def test_an_unreachable_node_ends_the_run(self, ring):
        timeouts = dataclasses.replace(TIMEOUTS, connect=0.3)
        bench = ring(absent=(2,), timeouts=timeouts).join()
        assert bench.states[1] == "unreachable"
        assert bench.root.node.error.sentence.count("n2") == 1
        assert "missing: n1 cannot connect to n2 at 127.0.0.1 port " in bench.root.node.error.sentence
        assert [bench.state_of(rank) for rank in (1, 3)] == ["failed", "failed"]
        assert not any("begin" in target.calls for target in bench.targets.values())

    @pytest.mark.parametrize("absent", [1, 2, 3])
    def test_with_enough_nodes_it_starts(self, ring, absent):
        timeouts = dataclasses.replace(TIMEOUTS, connect=0.3)
        bench = ring(absent=(absent,), timeouts=timeouts, policy=Policy(min_nodes=2)).join()
        assert bench.states == ["unreachable" if rank == absent else "done" for rank in (1, 2, 3)]
        assert bench.root.node.state == "partial"

    def test_a_refusing_node_is_left_out(self, ring):
        bench = ring(targets={2: RefusingTarget()}, policy=Policy(min_nodes=2)).join()
        assert bench.states == ["done", "failed", "done"]
        assert bench.targets[2].calls == ["prepare", "release"]

    @pytest.mark.parametrize("rank", [1, 2, 3])
    def test_who_is_late_is_excluded(self, ring, rank):
        late = SlowTarget("prepare")
        bench = ring(targets={rank: late}, policy=Policy(min_nodes=1))
        until(lambda: bench.states.count("ready") == 2)
        bench.root.call(bench.root.node._end_barrier)  # a test of real processes waits for it
        bench.root.join()
        late.released.set()
        bench.join()
        assert [state for one, state in enumerate(bench.states, 1) if one != rank] == ["done", "done"]
        assert bench.states[rank - 1] in ("excluded", "failed")
        assert bench.state_of(rank) == "failed"
        assert "begin" not in late.calls
        assert late.calls[-1] == "release"


class Changing:
    """A source of which a chunk changes between its digest and its way out, while the last one is still read."""

    def __init__(self, monkeypatch, index):
        self.reached, self.released = threading.Event(), threading.Event()
        send, read = Source.send, Source.read

        def read_slowly(source, offset, view):
            if offset + len(view) >= source.size:
                self.reached.set()
                self.released.wait(PATIENCE_S)
            return read(source, offset, view)

        def send_late(source, *arguments):
            self.reached.wait(PATIENCE_S)
            with open(source.path, "r+b") as file:
                file.seek(index * CHUNK)
                file.write(b"something else")
            send(source, *arguments)

        monkeypatch.setattr(Source, "read", read_slowly)
        monkeypatch.setattr(Source, "send", send_late)
        monkeypatch.setattr(Source, "check_unchanged", lambda source: None)  # times of change are not what tells


class TestSource:
    def test_a_checksum_that_matches(self, ring):
        assert_all_done(ring(policy=Policy(checksum=hashlib.sha256(IMAGE).hexdigest())).join())

    def test_a_checksum_that_does_not(self, ring):
        bench = ring(policy=Policy(checksum="0" * 64)).join()
        assert bench.root.node.error.to_dict()["kind"] == "ChecksumMismatch"
        assert bench.root.node.state == "failed"
        assert not any("begin" in target.calls for target in bench.targets.values())
        assert bench.state_of(1) == "failed"

    def test_a_source_that_changes_while_it_is_read(self, ring):
        stuck = slow(CHUNK)
        bench = ring(count=2, targets={1: stuck})
        until(lambda: stuck.store is not None and stuck.store.reached.is_set())
        with open(str(bench.path), "r+b") as file:
            file.seek(4 * CHUNK)
            file.write(b"something else")
        # Either the digests are not complete yet, or a chunk comes out wrong and the source is looked at again.
        stuck.store.released.set()
        bench.join()
        assert bench.root.node.state == "failed"
        assert bench.root.node.error.to_dict()["kind"] == "SourceChanged"
        assert [bench.state_of(rank) for rank in (1, 2)] == ["failed", "failed"]

    @pytest.mark.parametrize("count, fanout", [(1, 1), (3, 1), (3, 2)])
    def test_without_digests_a_source_that_changed_is_noticed_too(self, ring, monkeypatch, count, fanout):
        """No node may say that it is done before the server has looked at the source for the last time."""
        send = Source.send

        def send_and_change(source, lane, offset, length):
            send(source, lane, offset, length)
            with open(source.path, "r+b") as file:
                file.write(b"something else")

        monkeypatch.setattr(Source, "send", send_and_change)
        bench = ring(count=count, fanout=fanout, verify="none").join()
        assert bench.root.node.error.to_dict()["kind"] == "SourceChanged"
        assert [bench.state_of(rank) for rank in bench.members] == ["failed"] * count
        assert not any("commit" in bench.targets[rank].store.events for rank in bench.members)

    def test_without_digests_no_node_is_good_that_got_bytes_after_the_last_look(self, ring):
        """Its parent was told that the source is as it was, and died; the rest comes from a source that changed."""
        late = slow(2 * CHUNK)
        bench = ring(count=2, verify="none", targets={2: late})
        until(lambda: bench.state_of(1) == "done" and late.store is not None and late.store.reached.is_set())
        time.sleep(0.2)  # what the parent has to pass on is here by now
        with open(bench.path, "r+b") as file:
            file.seek(4 * CHUNK)
            file.write(b"changed")
        bench.members[1].kill()
        until(lambda: bench.members[2].node._upstream.epoch > 1)
        late.store.released.set()
        bench.members[2].join()
        bench.root.join()
        assert bench.state_of(2) == "failed" and bench.root.node.error.to_dict()["kind"] == "SourceChanged"

    def test_without_digests_one_that_is_through_waits_for_no_other(self, ring):
        stuck = slow(CHUNK)
        bench = ring(count=2, fanout=2, verify="none", targets={2: stuck})
        until(lambda: bench.state_of(1) == "done")
        assert bench.state_of(2) == "receiving"
        stuck.store.released.set()
        assert_all_done(bench.join())

    def test_a_bad_chunk_comes_again_only_after_another_look_at_the_source(self, ring, monkeypatch):
        """It came three times, and the node blamed its own disk before the server had found the time to look."""
        changing = Changing(monkeypatch, 1)
        bench = ring(count=2)
        node = bench.members[1].node
        until(lambda: node.word.repaired)
        # It is asked for again and again while the server still reads what comes behind it.
        serial = node._upstream._link._serial
        until(lambda: bench.state_of(1) == "failed" or node._upstream._link._serial > serial + 5)
        assert (bench.state_of(1), node.word.repaired) == ("receiving", 1)
        changing.released.set()
        bench.join()
        assert bench.root.node.error.to_dict() == SourceChanged(str(bench.path), CHUNK).to_dict()
        for rank in (1, 2):
            assert bench.state_of(rank) == "failed"
            assert "changed at byte %d" % CHUNK in bench.members[rank].node.error.sentence

    def test_no_node_is_done_when_the_last_look_at_the_source_fails(self, ring, monkeypatch):
        def changed(source):
            raise SourceChanged(source.path, 0)

        monkeypatch.setattr(Source, "check_unchanged", changed)
        bench = ring().join()
        assert bench.root.node.state == "failed"
        assert [bench.state_of(rank) for rank in (1, 2, 3)] == ["failed"] * 3


class TheSame(WatchedStore):
    """Holds the image already, by the word of who opens it."""

    def __init__(self, size):
        super().__init__(size)
        self._image[:] = IMAGE

    @property
    def claimed(self):
        return RangeSet.span(0, self.size)


def test_what_is_there_already_is_not_asked_for_before_its_claims_are_known(ring, monkeypatch):
    """A node asks twice a second, and its own thread may hear late that the target is open."""
    start = workers.Worker.start

    def start_and_tell_late(worker):
        work = worker._work
        if worker._thread.name == "dolly-begin":
            worker._work = lambda: (work(), time.sleep(0.7))
        start(worker)

    monkeypatch.setattr(workers.Worker, "start", start_and_tell_late)
    target = MemoryTarget(TheSame)
    bench = ring(count=1, targets={1: target}).join()
    assert_all_done(bench)
    assert target.store.received == 0
    assert bench.members[1].node.word.resumed == len(IMAGE)


def test_a_target_that_opens_when_the_node_has_failed_is_given_up(ring):
    target = SlowTarget("begin")
    bench = ring(count=1, targets={1: target})
    target.entered.wait(PATIENCE_S)
    node = bench.members[1].node
    bench.members[1].call(lambda: node.fail(SourceChanged("source", 0)))
    target.released.set()
    bench.join()
    assert target.store.events == ["abort"]


def test_watched_store_is_what_it_says():
    store = WatchedStore(3)
    store.abort()
    assert store.content == bytes(3) and store.events == ["abort"]
