# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attacks by a node that knows the secret of the run, as every node does: what it can do, and to whom."""

from __future__ import annotations

import json
import time

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.cli.ssh_ring import outweighed
from ansible_collections.dolly.ring.plugins.module_utils.dolly.plan.job import Image, NodeSpec, Plan
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay.down.subtree import MAX_EXTRAS, Subtree
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay.own_status import OwnStatus
from ansible_collections.dolly.ring.plugins.module_utils.dolly.run.receiver import result_of as member_result
from ansible_collections.dolly.ring.plugins.module_utils.dolly.run.sender import describe
from ansible_collections.dolly.ring.plugins.module_utils.dolly.run.sender import result_of as root_result
from ansible_collections.dolly.ring.plugins.module_utils.dolly.status.snapshot import Board, Snapshot
from ansible_collections.dolly.ring.tests.unit.plugins.module_utils.dolly.relay.relay_doubles import (
    CHUNK,
    IMAGE,
    RUN_ID,
    TIMEOUTS,
    assert_all_done,
    make_context,
    make_image,
    slow,
    until,
)

LEVELS = pytest.mark.parametrize("verify", ["readback", "mac"])


def digest_of(result):
    return result["digest"] or result["keyed_digest"]


@LEVELS
def test_a_node_that_was_fed_by_a_poser_is_not_done(ring, verify):
    """It cannot tell the two servers apart, for both have the secret. The digest of the right one can."""
    server = root_result(ring(count=1, verify=verify).join().root.node)
    fed = ring(make_image(len(IMAGE), seed=99), count=1, verify=verify).join()
    own = member_result(fed.members[1].node)
    assert (own["state"], own["changed"], own["verified"]) == ("done", True, True)
    unseen = {**server["nodes"][0], "state": "lost"}
    assert outweighed(unseen, own, digest_of(server))["state"] == "failed"
    assert outweighed(unseen, own, digest_of(root_result(fed.root.node)))["state"] == "done"


@LEVELS
def test_the_server_believes_no_node_with_another_image(ring, verify):
    bench = ring(verify=verify, targets={3: slow(0)})
    word, change = bench.members[2].node._word, bench.members[2].node._word.change
    word.change = lambda **changes: change(**{**changes, **({"digest": "ab" * 32} if "digest" in changes else {})})
    until(lambda: bench.targets[3].store is not None and bench.targets[3].store.reached.is_set())
    bench.targets[3].store.released.set()
    bench.join()
    result = root_result(bench.root.node)
    assert (result["state"], bench.states) == ("partial", ["done", "failed", "done"])
    node = result["nodes"][1]
    assert (node["verified"], node["error"]["kind"]) == (False, "WrongImage")
    assert "n2 holds another image than the server's (digest abab" in node["error"]["message"]


@LEVELS
def test_the_digest_can_be_had_from_a_server_that_dies_before_its_result(ring, verify):
    bench = ring(count=1, verify=verify).join()
    status, own = describe(bench.root.node), member_result(bench.members[1].node)
    assert digest_of(status) == digest_of(own) == digest_of(root_result(bench.root.node)) != ""
    assert (own["digest"] == "") == (verify == "mac")


def test_without_digests_there_is_nothing_to_compare(ring):
    bench = ring(count=1, verify="none").join()
    result = root_result(bench.root.node)
    assert (result["state"], result["digest"], result["keyed_digest"]) == ("done", None, None)
    assert result["nodes"][0]["verified"] is member_result(bench.members[1].node)["verified"] is False


def snapshot(rank, **changes):
    return Snapshot(rank, "n%d" % rank, 1, 7, **{"state": "receiving", **changes}).to_dict()


class Telling:
    """Node 0 of a plan, and what its children tell it."""

    def __init__(self, count=7, fanout=1, linked=()):
        nodes = tuple(NodeSpec("n%d" % rank, "127.0.0.1", 1 + rank) for rank in range(count))
        plan = Plan(RUN_ID, nodes, fanout, Image(7, CHUNK), "readback", True, TIMEOUTS)
        context = make_context()
        context.reactor.close()
        self.log = []
        context.log = self.log.append
        self.linked = set(linked)
        self.board = Board(0)
        self.subtree = Subtree(context, plan, self.board, self.linked.__contains__)

    def tells(self, via, *arguments, **changes):
        return self.subtree.tell(via, snapshot(*arguments, **changes))


class TestWhomANodeMaySpeakOf:
    @pytest.mark.parametrize(
        "fanout, via, rank, is_heard",
        [
            (1, 2, 1, False), (1, 2, 0, False), (1, 2, 2, True), (1, 2, 6, True), (1, 2, 7, False),
            (2, 1, 2, False), (2, 1, 5, False), (2, 1, 3, True), (2, 2, 6, True), (2, 2, 3, False), (2, 6, 2, False),
        ],
    )  # fmt: skip
    def test_itself_and_those_below_it(self, fanout, via, rank, is_heard):
        telling = Telling(fanout=fanout)
        assert telling.tells(via, rank, state="done") is is_heard
        assert (telling.board.get(rank) is not None) is is_heard and bool(telling.log) is not is_heard

    def test_only_by_the_names_of_the_plan(self):
        telling = Telling()
        assert not telling.subtree.tell(1, {**snapshot(2), "name": "n3"})
        assert "speaks of n3 at the place of n2" in telling.log[0]

    @pytest.mark.parametrize("changes", [{"parent": 5}, {"parent": 4}, {"parent": 6}, {"incarnation": 1026}])
    def test_nothing_that_cannot_be(self, changes):
        """A parent from another branch would have it adopt whom it likes; who has been started too often is unheard."""
        telling = Telling(fanout=2)
        assert not telling.subtree.tell(1, {**snapshot(3), **changes})
        assert telling.subtree.tell(1, {**snapshot(3), "parent": 1})

    @pytest.mark.parametrize(
        "changes",
        [
            {"observed_by": 0, "state": "lost"},
            {"observed_by": 2, "state": "lost"},
            {"observed_by": 3, "state": "lost"},
            {"observed_by": 1, "state": "excluded"},
        ],
    )
    def test_nobody_is_lost_by_the_word_of_who_is_not_above_it(self, changes):
        telling = Telling(fanout=2)
        assert not telling.subtree.tell(1, {**snapshot(3), **changes})
        assert telling.subtree.tell(1, {**snapshot(3), "observed_by": 1, "state": "lost"})

    def test_a_node_with_a_link_of_its_own_speaks_for_itself(self):
        telling = Telling(linked=(3,))
        assert not telling.tells(1, 3, state="done")
        assert telling.tells(3, 3) and telling.board.get(3).state == "receiving"
        assert telling.tells(1, 4)  # it may have gone there from node 3

    @pytest.mark.parametrize("last, is_taken", [("receiving", True), ("failed", False)])
    def test_what_came_by_its_new_parent_before_the_old_connection_was_found_dead(self, last, is_taken):
        telling = Telling(linked=(3,))
        telling.tells(3, 3, state=last)
        telling.subtree.tell(1, {**snapshot(3, state="done"), "version": 9})
        telling.linked.clear()
        assert telling.subtree.link_ended(3) is is_taken
        assert telling.board.get(3).state == ("done" if is_taken else last)
        assert not telling.subtree.link_ended(3)

    @pytest.mark.parametrize("name", ["detail", "error"])
    @pytest.mark.parametrize("value", ["x" * (15 << 20), ["x"] * 100000, {"x%d" % n: 1 for n in range(100000)}])
    def test_a_long_word_is_kept_without_what_makes_it_long(self, name, value):
        telling = Telling()
        error = {"kind": "TargetError", "message": "no room" * 1000, "fault": "node", "more": value}
        extra = {"detail": {"x": value}} if name == "detail" else {"error": error}
        assert telling.tells(1, 2, state="failed", **extra)
        kept = telling.board.get(2)
        assert len(json.dumps(kept.to_dict())) < MAX_EXTRAS and kept.state == "failed"
        assert name == "detail" or kept.error["message"].startswith("no roomno room")

    def test_a_flood_of_lies_fills_no_log(self):
        telling = Telling()
        for _unused in range(100):
            telling.tells(2, 1)
        assert len(telling.log) == 20


@pytest.mark.parametrize("fanout", [1, 2])
def test_a_leaf_that_says_that_others_are_done(ring, fanout):
    """It ended the run: the server had heard that everybody is done, while a node held half of the image."""
    bench = ring(count=2, fanout=fanout, targets={1: slow(2 * CHUNK)})
    liar = bench.members[2]

    def store():
        return bench.targets[1].store

    until(lambda: store() is not None and store().reached.is_set() and bench.states[1] != "waiting")
    lie = {**snapshot(1, state="done", digest=bench.root.node.image_check.root), "version": 2 ** 40}
    liar.call(lambda: liar.node._upstream.status([lie]))
    until(lambda: liar.node.word.state == "done" or fanout == 1)
    time.sleep(0.3)
    assert bench.states[0] == "receiving" and bench.root.is_running
    store().released.set()
    assert_all_done(bench.join())


def test_a_node_outbids_what_others_have_made_up_of_it(ring):
    """Once it has another parent: that one tells it what it knows."""
    bench = ring(count=2, targets={2: slow(2 * CHUNK)})
    liar = bench.members[1]

    def store():
        return bench.targets[2].store

    until(lambda: store() is not None and store().reached.is_set())
    lie = {**snapshot(2, held=5), "version": 2 ** 40, "incarnation": 900}
    liar.call(lambda: liar.node._upstream.status([lie]))
    until(lambda: bench.root.node.board.get(2).incarnation == 900)
    until(lambda: bench.members[1].node.word.state == "done")
    liar.kill()
    until(lambda: bench.root.node.board.get(2).incarnation == 901)
    store().released.set()
    bench.members[2].join()
    bench.root.join()
    assert bench.states[1] == bench.state_of(2) == "done"


class TestStartedAnew:
    def test_a_later_process_counts_for_more_whatever_the_clock_says(self):
        word = OwnStatus("n1", None)
        for told in (None, snapshot(1, state="failed"), {**snapshot(1), "version": 2 ** 40}):
            word.outbid(told, True)
        board = Board(0)
        board.merge(Snapshot.from_dict(snapshot(1, state="failed")))
        word.change(rank=1)
        assert board.merge(word.snapshot) and board.get(1).state == "waiting"

    def test_a_new_parent_changes_nothing_for_who_was_here_all_along(self):
        word = OwnStatus("n1", None)
        for _unused in range(9):
            word.change(held=word.snapshot.held + 1)
        before = word.snapshot
        word.outbid(snapshot(1), False)
        word.outbid({**snapshot(1), "state": "lost", "observed_by": 0}, False)
        assert word.snapshot is before

    @pytest.mark.parametrize("changes", [{"incarnation": 2}, {"version": 99}, {"state": "done"}])
    def test_what_it_never_said_is_outbid(self, changes):
        word = OwnStatus("n1", None)
        for _unused in range(9):
            word.change(held=word.snapshot.held + 1)
        told = {**snapshot(1), **changes}
        word.outbid(told, False)
        assert word.snapshot.incarnation == told["incarnation"] + 1
