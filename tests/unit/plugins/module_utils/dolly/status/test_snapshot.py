# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshots merge in any order to the same board."""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.dolly.ring.plugins.module_utils.dolly.status import snapshot as progress
from ansible_collections.dolly.ring.plugins.module_utils.dolly.status.snapshot import Board, Snapshot


def own(version, state="receiving", rank=1, incarnation=0, **more):
    return Snapshot(rank, "n%d" % rank, incarnation, version, state, **more)


FULL = Snapshot(
    3, "n3", 1, 7, "failed", parent=1, epoch=2, held=10, verified=8, total=20, repaired=1, rate=1.5,
    seconds=2, blocked_on="self", digest="a" * 64, synced=True, changed=True,
    error={"kind": "BadChunk", "tries": 3}, detail={"write": [1, 2.5, None]},
)

# Small ranges of everything, so that ties and near misses are common.
OWN = st.builds(
    Snapshot, st.integers(1, 2), st.just("n"), st.integers(0, 1), st.integers(0, 3),
    st.sampled_from(["ready", "receiving", "done", "failed"]), held=st.integers(0, 1),
    parent=st.sampled_from([None, 0, 1]),
)
OPINION = st.builds(
    Snapshot, st.integers(1, 2), st.just("n"), st.integers(0, 1), st.integers(-1, 3),
    st.sampled_from(progress.OPINIONS), observed_by=st.integers(0, 1), held=st.integers(0, 1),
    parent=st.sampled_from([None, 0, 1]),
)
SNAPSHOTS = st.lists(OWN | OPINION, max_size=12)


def merged(snapshots):
    board = Board()
    for snapshot in snapshots:
        board.merge(snapshot)
    return board


@given(SNAPSHOTS, st.randoms(use_true_random=False))
@settings(max_examples=400)
def test_any_order_gives_the_same_board(snapshots, chance):
    shuffled = snapshots + snapshots[:3]
    chance.shuffle(shuffled)
    one, two = merged(snapshots), merged(shuffled)
    assert one.all() == two.all()
    assert [one.children_of(rank) for rank in (0, 1)] == [two.children_of(rank) for rank in (0, 1)]


@given(SNAPSHOTS, SNAPSHOTS, SNAPSHOTS)
def test_boards_merge_associatively_and_idempotently(first, second, third):
    left = merged(merged(first + second).all() + third)
    right = merged(first + merged(second + third).all())
    assert left.all() == right.all()
    before = left.serial
    changes = [left.merge(snapshot) for snapshot in left.all() + first + second + third]
    assert not any(changes)
    assert left.serial == before


@given(SNAPSHOTS)
def test_what_the_rules_promise(snapshots):
    board = Board()
    for snapshot in snapshots:
        old = board.get(snapshot.rank)
        changed = board.merge(snapshot)
        new = board.get(snapshot.rank)
        assert changed == (new != old)
        if old is None:
            continue
        assert new.incarnation >= old.incarnation
        if old.is_terminal and new.incarnation == old.incarnation:
            assert new.is_terminal
        own_word = snapshot.observed_by is None
        if own_word and not old.is_terminal and (snapshot.incarnation, snapshot.version) > (
                old.incarnation, old.version):
            assert new == snapshot


@given(SNAPSHOTS)
def test_children_are_those_whose_snapshot_says_so(snapshots):
    board = merged(snapshots)
    for rank in (0, 1, 2):
        assert board.children_of(rank) == [child.rank for child in board.all() if child.parent == rank]


@given(SNAPSHOTS)
def test_states_are_counted(snapshots):
    board = merged(snapshots)
    for states in (("done",), ("receiving", "lost"), ()):
        assert board.count(states) == sum(one.state in states for one in board.all())


@given(st.lists(OWN | OPINION, max_size=12), st.integers(0, 12))
def test_changes_since_a_serial_bring_another_board_up_to_date(snapshots, cut):
    board, copied = merged(snapshots[:cut]), merged(snapshots[:cut])
    serial = board.serial
    for snapshot in snapshots[cut:]:
        board.merge(snapshot)
    changes = board.changed_since(serial)
    for snapshot in changes:
        assert copied.merge(snapshot)
    assert copied.all() == board.all()
    assert board.changed_since(board.serial) == []


def test_changes_come_oldest_first_and_only_once():
    board = Board()
    for snapshot in (own(1, rank=1), own(1, rank=2), own(2, rank=1)):
        assert board.merge(snapshot)
    assert [(item.rank, item.version) for item in board.changed_since(0)] == [(2, 1), (1, 2)]
    assert [item.rank for item in board.changed_since(2)] == [1]


def test_newer_words_win():
    board = merged([own(2), own(1, held=9)])
    assert board.get(1).version == 2
    assert board.merge(own(0, incarnation=1)) and board.get(1).incarnation == 1


def test_a_terminal_state_never_goes_back():
    board = merged([own(2, "done")])
    assert not board.merge(own(3))
    assert not board.declare(1, "n1", "lost")
    assert board.get(1).state == "done"
    assert board.merge(own(0, incarnation=1)), "a new incarnation starts anew"


def test_an_opinion_that_travelled_does_not_override_a_terminal_state():
    lost = own(9, "lost", observed_by=4)
    assert merged([own(2, "failed"), lost]).get(1).state == "failed"
    assert merged([lost, own(2, "failed")]).get(1).state == "failed"


def test_an_opinion_gives_way_to_a_newer_word_only():
    board = merged([own(5, held=70, parent=0)])
    assert board.declare(1, "n1", "lost", {"kind": "PeerLost"})
    found = board.get(1)
    assert (found.state, found.version, found.held, found.observed_by) == ("lost", 5, 70, 0)
    assert found.error == {"kind": "PeerLost"} and board.children_of(0) == [1]
    assert not board.merge(own(5, held=70, parent=0))
    assert not board.merge(own(4))
    assert board.merge(own(6)) and board.get(1).state == "receiving"


def test_an_opinion_about_a_node_that_never_spoke():
    board = Board(observer=7)
    assert board.declare(1, "n1", "unreachable")
    assert board.get(1).observed_by == 7
    assert not board.declare(1, "n1", "unreachable")
    assert board.merge(own(0, "waiting")) and board.get(1).state == "waiting"


def test_the_stronger_opinion_stays():
    board = merged([own(1)])
    assert board.declare(1, "n1", "unreachable")
    assert board.declare(1, "n1", "excluded")
    assert not board.declare(1, "n1", "lost")
    assert board.get(1).state == "excluded"


@pytest.mark.parametrize("state", ["done", "ready", "", "LOST"])
def test_nobody_declares_what_only_the_node_can_know(state):
    with pytest.raises(ValueError, match="state"):
        Board().declare(1, "n1", state)


def test_snapshot_survives_the_wire():
    assert Snapshot.from_dict(json.loads(json.dumps(FULL.to_dict()))) == FULL
    lost = own(-1, "lost", observed_by=0)
    assert Snapshot.from_dict(json.loads(json.dumps(lost.to_dict()))) == lost


@pytest.mark.parametrize("state, expected", [
    ("done", True), ("failed", True), ("flushing", False), ("waiting", False)])
def test_terminal_states(state, expected):
    assert own(1, state).is_terminal is expected


DEEP = {}
for _unused in range(50):
    DEEP = {"x": DEEP}


@pytest.mark.parametrize("name, value", [
    ("rank", -1), ("rank", True), ("rank", None), ("name", ""), ("name", 5), ("name", "a\x1b[2J"),
    ("name", "a" * 256), ("incarnation", -1), ("incarnation", 2 ** 63), ("version", -1), ("version", 1.0),
    ("state", "lost"), ("state", "DONE"), ("state", []), ("parent", -1), ("parent", "0"), ("epoch", None),
    ("held", -1), ("verified", 1.5), ("total", -1), ("repaired", True), ("rate", float("nan")),
    ("rate", -1.0),
    ("rate", "1"), ("rate", 10 ** 400), ("seconds", float("inf")), ("seconds", False), ("blocked_on", None),
    ("blocked_on", "\n"), ("digest", "a" * 63), ("digest", "A" * 64), ("digest", None), ("synced", 1),
    ("changed", None), ("error", "x"), ("error", {"x": float("nan")}), ("detail", None), ("detail", []),
    ("detail", DEEP), ("detail", {"x": (1, 2)}), ("observed_by", -1), ("observed_by", 0),
])
def test_hostile_snapshots_are_refused_by_name(name, value):
    data = copy.deepcopy(FULL.to_dict())
    data[name] = value
    with pytest.raises(ValueError, match="state" if name == "observed_by" and value == 0 else name):
        Snapshot.from_dict(data)


@pytest.mark.parametrize("data", [None, [], "x", 5, {}, {**FULL.to_dict(), "extra": 1}])
def test_what_is_no_snapshot_is_refused(data):
    with pytest.raises(ValueError, match="snapshot"):
        Snapshot.from_dict(data)


def test_words_of_a_peer_are_printable():
    """They reach terminals and logs at every node on the way: a title, a cleared screen, a forged line must not."""
    error = {"kind": "PeerLost", "message": "\x1b]0;title\x07\x1b[2Jbad\nnews\u202e", "names": ["a\x9bb"]}
    snapshot = Snapshot.from_dict({**Snapshot(1, "n1", 1, 1, "failed").to_dict(), "error": error})
    assert snapshot.error == {
        "kind": "PeerLost", "message": "\\x1b]0;title\\x07\\x1b[2Jbad\\nnews\\u202e", "names": ["a\\x9bb"]
    }  # fmt: skip
    assert Snapshot.from_dict(snapshot.to_dict()) == snapshot
