# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The healer: each event's actions by table, and rules that hold for any order of events."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.dolly.ring.plugins.module_utils.dolly.recovery.healer import (
    ADOPTION_PATIENCE_S,
    ANSWER_PATIENCE_S,
    ChildFellBehind,
    ChildGone,
    ChildLinked,
    DeclareChild,
    DemoteChild,
    DialChild,
    DropChild,
    GiveUp,
    Healer,
    KnockAt,
    Knocked,
    KnockFailed,
    MadeLeaf,
    ParentFound,
    ParentGone,
    Settled,
    SetUp,
    Ticked,
    Whole,
)

RANK = 5
ANCESTORS = (4, 2, 0)


def healer(*linked):
    made = Healer(RANK, ANCESTORS)
    made.handle(SetUp(linked), 0.0)
    for rank in linked:
        made.handle(ChildLinked(rank), 0.0)
    return made


#: Name -> (children that are linked, the event, what follows, children afterwards)
CHILDREN = {
    "set up": ((), SetUp((6, 7)), [DialChild(6, False), DialChild(7, False)], [6, 7]),
    "set up without children": ((), SetUp(()), [], []),
    "set up twice": ((6,), SetUp((6, 7)), [DialChild(7, False)], [6, 7]),
    "linked": ((6,), ChildLinked(6), [], [6]),
    "lost, with orphans": (
        (6,),
        ChildGone(6, "lost", "silent", (7, 8)),
        [DeclareChild(6, "lost", "silent"), DialChild(7, True), DialChild(8, True)],
        [7, 8],
    ),
    "unreachable": (
        (6,),
        ChildGone(6, "unreachable", "refused", (7,)),
        [DeclareChild(6, "unreachable", "refused"), DialChild(7, True)],
        [7],
    ),
    "failed: it has said so itself": ((6,), ChildGone(6, "failed", "disk", (7,)), [DialChild(7, True)], [7]),
    "finished": ((6,), ChildGone(6, "finished", "", ()), [], []),
    "superseded: it lives elsewhere": ((6,), ChildGone(6, "superseded", "", (7,)), [], []),
    "an orphan that is here already": ((6, 7), ChildGone(6, "failed", "", (7,)), [], [7]),
    "an orphan that cannot be one": ((6,), ChildGone(6, "failed", "", (RANK, 4, 0)), [], []),
    "fell behind": (
        (6,),
        ChildFellBehind(6, "slow", (7, 8)),
        [DemoteChild(6), DialChild(7, True), DialChild(8, True)],
        [6, 7, 8],
    ),
    "fell behind, and its child is here already": (
        (6, 7),
        ChildFellBehind(6, "slow", (7,)),
        [DemoteChild(6)],
        [6, 7],
    ),
    "a knock": ((), Knocked(9), [DialChild(9, True)], [9]),
    "a knock of a child that is linked": ((9,), Knocked(9), [DropChild(9), DialChild(9, True)], [9]),
    "a knock of this node": ((), Knocked(RANK), [], []),
    "a knock from above": ((), Knocked(4), [], []),
    "a knock of the server": ((), Knocked(0), [], []),
}


@pytest.mark.parametrize("name", CHILDREN)
def test_children(name):
    linked, event, actions, children = CHILDREN[name]
    made = healer(*linked)
    assert made.handle(event, 1.0) == actions
    assert made.children == children


def test_a_knock_of_a_child_that_is_being_dialled():
    made = Healer(RANK, ANCESTORS)
    made.handle(Knocked(9), 0.0)
    assert made.handle(Knocked(9), 0.1) == []
    made.handle(ChildGone(9, "unreachable", ""), 0.2)
    assert made.handle(Knocked(9), 0.3) == [DialChild(9, True)]
    assert made.adopted == 2


def test_a_leaf_adopts_nobody():
    """Its parent has taken its children; those that it was about to adopt look for another one."""
    made = healer(6, 7)
    assert made.handle(ChildGone(6, "lost", "silent", (8,)), 1.0)[1:] == [DialChild(8, True)]
    assert made.handle(MadeLeaf(), 2.0) == [DropChild(8)]
    assert made.is_leaf and made.children == [7]
    assert made.handle(Knocked(9), 3.0) == []
    assert made.handle(ChildGone(7, "lost", "silent", (8,)), 4.0) == [DeclareChild(7, "lost", "silent")]


def play(made, events):
    """Handle (time, event) pairs; what followed, with the time."""
    found = []
    for now, event in events:
        found += [(now, action) for action in made.handle(event, now)]
    return found


def ticks(start, end, step=0.5):
    return [(start + step * number, Ticked()) for number in range(1, int((end - start) / step) + 1)]


@pytest.mark.parametrize("event", [Whole(), Settled(22.0)])
def test_an_orphan_that_lacks_nothing_adopts_and_answers(event):
    made = healer(6)
    made.handle(event, 0.0)
    made.handle(ParentGone(4, 60.0), 1.0)
    assert DialChild(7, True) in made.handle(ChildGone(6, "failed", "its disk hangs", (7,)), 1.0)
    assert DialChild(9, True) in made.handle(Knocked(9), 1.0)


def test_one_that_is_whole_and_flushes_never_gives_up():
    made = healer()
    made.handle(Whole(), 0.0)
    made.handle(ParentGone(4, 60.0), 1.0)
    for now in range(2, 2000):
        for action in made.handle(Ticked(), float(now)):
            assert isinstance(action, KnockAt)
            made.handle(KnockFailed(action.rank), float(now))
    assert made.handle(Settled(22.0), 2000.0) == [GiveUp("no parent took this node in time")]


def test_an_orphan_adopts_nobody():
    """It may have been away for long: what it knows of its grandchildren is no reason to take them from others."""
    made = healer(6)
    made.handle(ParentGone(4, 60.0), 1.0)
    assert made.handle(ChildGone(6, "lost", "silent", (7,)), 2.0) == [DeclareChild(6, "lost", "silent")]
    made.handle(ParentFound(2), 3.0)
    assert made.handle(Knocked(7), 4.0) == [DialChild(7, True)]


class TestOrphan:
    def test_waits_to_be_adopted_then_knocks_at_its_ancestors_nearest_first(self):
        made = healer()
        found = play(made, [(10.0, ParentGone(4, 60.0)), *ticks(10.0, 25.0)])
        first = 10.0 + ADOPTION_PATIENCE_S
        knocks = [(2, first), (0, first + ANSWER_PATIENCE_S), (4, first + 2 * ANSWER_PATIENCE_S)]
        assert found[:3] == [(now, KnockAt(rank)) for rank, now in knocks]

    def test_the_gone_parent_is_not_knocked_at_first(self):
        for gone, first in ((4, 2), (2, 0), (3, 2), (0, 4)):
            found = play(healer(), [(0.0, ParentGone(gone, 60.0)), *ticks(0.0, ADOPTION_PATIENCE_S)])
            assert [action for _now, action in found] == [KnockAt(first)]

    def test_adopted_in_time(self):
        made = healer()
        events = [(0.0, ParentGone(4, 60.0)), (1.0, ParentFound(2)), *ticks(1.0, 100.0)]
        assert play(made, events) == []
        assert not made.is_orphan

    def test_orphaned_again(self):
        made = healer()
        play(made, [(0.0, ParentGone(4, 60.0)), (1.0, ParentFound(2))])
        found = play(made, [(50.0, ParentGone(2, 60.0)), *ticks(50.0, 53.0)])
        assert found == [(50.0 + ADOPTION_PATIENCE_S, KnockAt(0))]

    def test_an_ancestor_that_cannot_be_reached_is_not_waited_for(self):
        made = healer()
        play(made, [(0.0, ParentGone(4, 60.0)), (2.0, Ticked())])
        assert made.handle(KnockFailed(2), 2.01) == [KnockAt(0)]

    def test_refused_knocks_are_no_busy_loop(self):
        """Every knock fails at once: one round over the ancestors, then a pause."""
        made = healer()
        made.handle(ParentGone(4, 60.0), 0.0)
        now, knocks = 2.0, 0
        pending = made.handle(Ticked(), now)
        while now < 32.0:
            while pending:
                assert len(pending) == 1
                knocks += 1
                assert knocks < 100
                pending = made.handle(KnockFailed(pending[0].rank), now)
            now += 0.1
            pending = made.handle(Ticked(), now)
        rounds = (32.0 - 2.0) / ANSWER_PATIENCE_S + 1
        assert knocks <= rounds * len(ANCESTORS)

    def test_gives_up_in_time_and_once(self):
        made = healer()
        found = play(made, [(0.0, ParentGone(4, 10.0)), *ticks(0.0, 30.0)])
        assert [now for now, action in found if isinstance(action, GiveUp)] == [10.0]
        assert found[-1] == (10.0, GiveUp("no parent took this node in time"))
        assert not made.is_orphan

    def test_a_late_knock_failed_means_nothing(self):
        made = healer()
        play(made, [(0.0, ParentGone(4, 10.0)), (2.0, Ticked()), (3.0, ParentFound(2))])
        assert made.handle(KnockFailed(2), 4.0) == []

    def test_ticks_mean_nothing_with_a_parent(self):
        assert play(healer(6), ticks(0.0, 100.0)) == []

    def test_without_ancestors(self):
        made = Healer(0, ())
        assert play(made, [(0.0, ParentGone(0, 5.0)), (1.0, KnockFailed(0)), *ticks(1.0, 4.0)]) == []


def knock_around(made, now, heard=()):
    """Let time pass until the healer gives up: the ranks that it knocked at, and when. All refuse but `heard`."""
    knocks = []
    actions = made.handle(Ticked(), now)
    while now < 100.0:
        for action in actions:
            if isinstance(action, GiveUp):
                return knocks, now
        if actions:
            knocks.append(actions[0].rank)
        if actions and actions[0].rank not in heard:
            actions = made.handle(KnockFailed(actions[0].rank), now)
        else:
            now += 0.5
            actions = made.handle(Ticked(), now)
    raise AssertionError("it never gave up")


class TestLastWord:
    """An orphan that lacks nothing looks only for somebody who hears that."""

    def test_one_round_of_refusals_is_enough(self):
        made = healer()
        assert made.handle(Settled(22.0), 0.0) == []
        made.handle(ParentGone(4, 60.0), 1.0)
        assert knock_around(made, 1.0 + ADOPTION_PATIENCE_S) == ([2, 0, 4], 1.0 + ADOPTION_PATIENCE_S)
        assert not made.is_orphan

    def test_it_may_be_an_orphan_before(self):
        """What refused it while it still lacked something is asked once more."""
        made = healer()
        made.handle(ParentGone(4, 60.0), 0.0)
        actions = made.handle(Ticked(), 2.0)
        while actions:
            actions = made.handle(KnockFailed(actions[0].rank), 2.0)
        assert made.handle(Settled(22.0), 3.0) == []
        knocks, now = knock_around(made, 3.0)
        assert sorted(knocks) == sorted(ANCESTORS) and now <= 2.0 + ANSWER_PATIENCE_S

    def test_who_has_heard_it_is_waited_for(self):
        """It may be looking for a parent too; but not for ever."""
        made = healer()
        made.handle(Settled(22.0), 0.0)
        made.handle(ParentGone(4, 60.0), 0.0)
        assert knock_around(made, ADOPTION_PATIENCE_S, heard=(2,))[1] == 22.0

    def test_an_orphan_that_lacks_nothing_any_more_has_less_patience(self):
        made = healer()
        made.handle(ParentGone(4, 60.0), 0.0)
        made.handle(Settled(22.0), 10.0)
        assert knock_around(made, 10.0, heard=ANCESTORS)[1] == 32.0

    def test_who_has_children_serves_them(self):
        made = healer(6)
        made.handle(Settled(22.0), 0.0)
        made.handle(ParentGone(4, 60.0), 0.0)
        actions = made.handle(Ticked(), 2.0)
        while actions:
            actions = made.handle(KnockFailed(actions[0].rank), 2.0)
        assert made.handle(ChildGone(6, "finished", ""), 2.5) == []
        assert made.handle(Ticked(), 2.6) == [GiveUp("no ancestor can be reached")]

    def test_a_parent_was_found_and_lost_again(self):
        made = healer()
        made.handle(Settled(22.0), 0.0)
        made.handle(ParentGone(4, 60.0), 0.0)
        made.handle(Ticked(), 2.0)
        made.handle(KnockFailed(2), 2.0)
        made.handle(ParentFound(0), 3.0)
        made.handle(ParentGone(0, 60.0), 4.0)
        knocks, now = knock_around(made, 6.0)
        assert sorted(knocks) == sorted(ANCESTORS) and now == 6.0


RANKS = st.integers(0, 12)
OUTCOMES = st.sampled_from(("finished", "failed", "superseded", "unreachable", "lost"))
EVENTS = st.one_of(
    st.builds(SetUp, st.just((6, 7))),
    st.builds(ChildLinked, RANKS),
    st.builds(ChildGone, RANKS, OUTCOMES, st.just("why"), st.lists(RANKS, max_size=4, unique=True).map(tuple)),
    st.builds(Knocked, RANKS),
    st.builds(ParentFound, st.sampled_from(ANCESTORS)),
    st.builds(ParentGone, st.sampled_from(ANCESTORS), st.floats(0.1, 20.0)),
    st.builds(KnockFailed, st.sampled_from(ANCESTORS)),
    st.builds(Settled, st.floats(1.0, 30.0)),
    st.just(Ticked()),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.floats(0.0, 3.0), EVENTS), max_size=60))
def test_rules_that_always_hold(events):
    made = Healer(RANK, ANCESTORS)
    links = set()  # children that are dialled or linked, as the caller sees it
    now, orphan_until, settled_s = 0.0, None, None
    for pause, event in events:
        if isinstance(event, (ChildLinked, ChildGone)) and event.rank not in links:
            continue  # nobody can say that of a child that there is no link to
        now += pause
        if isinstance(event, ChildGone):
            links.discard(event.rank)
        if isinstance(event, ParentGone):
            orphan_until = now + min(event.patience_s, event.patience_s if settled_s is None else settled_s)
        elif isinstance(event, ParentFound):
            orphan_until = None
        elif isinstance(event, Settled):
            settled_s = event.patience_s
            orphan_until = orphan_until and min(orphan_until, now + settled_s)
        for action in made.handle(event, now):
            if isinstance(action, DialChild):
                assert action.rank > RANK  # so there are no loops
                assert action.rank not in links
                links.add(action.rank)
            elif isinstance(action, DropChild):
                links.remove(action.rank)
            elif isinstance(action, KnockAt):
                assert action.rank < RANK
                assert orphan_until is not None and (now < orphan_until or (settled_s is not None and links))
            elif isinstance(action, GiveUp):
                assert orphan_until is not None and (now >= orphan_until or (settled_s is not None and not links))
                orphan_until = None
        assert made.children == sorted(links)
