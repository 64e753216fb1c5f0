# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is whose child: by table, and for any board the same as by looking at every node."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.dolly.ring.plugins.module_utils.dolly.plan import topology
from ansible_collections.dolly.ring.plugins.module_utils.dolly.recovery.membership import Membership
from ansible_collections.dolly.ring.plugins.module_utils.dolly.status.snapshot import Board, Snapshot


def family(count, fanout=1, **words):
    """A ring of `count` clients; words like n3=("done", 1): state and parent of rank 3."""
    board = Board(0)
    for name, (state, parent) in words.items():
        if state in ("lost", "unreachable"):
            board.merge(Snapshot(int(name[1:]), name, 1, 1, "receiving", parent=parent))
            board.declare(int(name[1:]), name, state)
        else:
            board.merge(Snapshot(int(name[1:]), name, 1, 1, state, parent=parent))
    return Membership(fanout, count + 1, board)


def test_children_are_those_of_the_plan_until_they_say_something_else():
    assert family(6, fanout=2).children_of(1) == [3, 4]
    assert family(6, fanout=2, n3=("receiving", 0)).children_of(1) == [4]
    assert family(6, fanout=2, n6=("receiving", 1)).children_of(1) == [3, 4, 6]
    assert family(6, fanout=2, n3=("receiving", 0)).children_of(0) == [1, 2, 3]


def test_a_node_that_has_said_nothing_of_a_parent_has_the_one_of_the_plan():
    assert family(3, n2=("waiting", None)).children_of(1) == [2]


def test_a_word_that_makes_no_sense_makes_no_children():
    assert family(3, n2=("receiving", 3), n9=("receiving", 3)).children_of(3) == []


def test_a_node_that_works_is_an_orphan():
    made = family(4, n2=("receiving", 1), n3=("receiving", 2))
    assert made.orphans_of(1) == (2,)


def test_a_node_that_nobody_heard_of_is_an_orphan():
    assert family(4).orphans_of(1) == (2,)


def test_a_node_that_has_ended_is_none_unless_somebody_behind_it_works():
    assert family(2, n2=("done", 1)).orphans_of(1) == ()
    assert family(2, n2=("failed", 1)).orphans_of(1) == ()
    assert family(2, n2=("lost", 1)).orphans_of(1) == ()
    assert family(3, n2=("done", 1), n3=("receiving", 2)).orphans_of(1) == (2,)
    assert family(3, n2=("lost", 1)).orphans_of(1) == (2,)


def test_who_is_no_member_is_no_orphan():
    made = family(3)
    made.members = frozenset((1, 3))
    assert made.orphans_of(1) == ()
    assert made.orphans_of(2) == (3,)


def test_a_chain_that_is_longer_than_the_stack():
    """Every node done: the answer must not need a stack frame for each."""
    count = 3000
    made = family(count, **{"n%d" % rank: ("done", rank - 1) for rank in range(2, count + 1)})
    assert made.orphans_of(1) == ()


STATES = st.sampled_from(("receiving", "done", "failed", "lost"))


@settings(max_examples=100, deadline=None)
@given(
    st.integers(1, 4),
    st.dictionaries(st.integers(1, 12), st.tuples(STATES, st.one_of(st.none(), st.integers(0, 11)))),
)
def test_children_are_the_same_as_by_looking_at_every_node(fanout, words):
    made = family(12, fanout, **{"n%d" % rank: word for rank, word in words.items()})

    def parent(rank):
        said = words.get(rank, ("", None))[1]
        return said if said is not None else topology.parent(rank, fanout)

    for rank in range(13):
        assert made.children_of(rank) == [child for child in range(rank + 1, 13) if parent(child) == rank]
