# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is demoted or ejected for being slow, when, and above all who is not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Optional

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.recovery.slow_child import (
    SUSTAINED_S,
    Demote,
    Pace,
    SlowChildWatch,
    TooSlow,
)

MB = 1000000
FAST = 25 * MB
STEP_S = 0.5


@dataclass
class Child:
    """Takes `rate(now)` bytes per second, and has whatever marks are given."""

    rate: Callable[[float], float]
    marks: Optional[dict] = None
    received: float = 0.0

    def move(self, now: float) -> None:
        self.received += self.rate(now) * STEP_S

    def pace(self, now: float) -> Pace:
        marks = {"has_backlog": True, "has_family": True, **(self.marks or {})}
        return Pace(round(self.received), now, **marks)


def steady(rate, **marks):
    return Child(lambda now: rate, marks)


def story(children, own=lambda now: FAST, seconds=60.0, floor=0, whole_at=1e9, on_verdict=None):
    """(time, verdict) of everything that is decided in so many seconds. `own` None: the server."""
    watch, received, found = SlowChildWatch(floor), 0.0, []
    for step in range(int(seconds / STEP_S)):
        now = step * STEP_S
        for child in children.values():
            child.move(now)
        if own is not None:
            received += own(now) * STEP_S
            watch.note_own(round(received), now >= whole_at, now)
        for verdict in watch.look({rank: child.pace(now) for rank, child in children.items()}, now):
            found.append((now, verdict))
            if on_verdict is not None:
                on_verdict(now, verdict, children)
    return found


def demote(now, verdict, children):
    """As a parent does: the child is a leaf, and held back; the next one behind it becomes a child."""
    children[verdict.rank].marks = {"is_demoted": True, "is_held_back": True, "has_family": False}


def test_a_slow_child_is_demoted_after_ten_seconds_and_only_once():
    found = story({2: steady(FAST / 10)}, on_verdict=demote)
    assert [verdict for _now, verdict in found] == [
        Demote(2, "it took 2.5 MB/s for 10 s, where 25 MB/s were to be had")
    ]
    assert SUSTAINED_S <= found[0][0] <= SUSTAINED_S + 2


def test_what_the_parent_was_given_stays_known_when_it_has_everything():
    found = story({2: steady(FAST / 10)}, own=lambda now: FAST if now < 4 else 0, whole_at=4)
    assert [verdict.rank for _now, verdict in found][:1] == [2]


def test_a_parent_that_had_everything_before_it_was_looked_at():
    watch = SlowChildWatch()
    watch.start(0, 0.0)
    child = steady(FAST / 10)
    for step in range(1, 30):
        child.move(step * STEP_S)
        watch.note_own(4 * FAST, True, step * STEP_S)
        verdicts = watch.look({2: child.pace(step * STEP_S)}, step * STEP_S)
        if verdicts:
            assert verdicts[0].reason.endswith("where 200 MB/s were to be had")
            return
    raise AssertionError("nothing was decided")


@pytest.mark.parametrize(
    "name, child",
    [
        ("a little more than half as fast", steady(FAST * 0.55)),
        ("has taken all that there is", steady(FAST / 10, has_backlog=False)),
        ("is a leaf already", steady(FAST / 10, is_demoted=True)),
        ("nobody is behind it", steady(FAST / 10, has_family=False)),
        ("stands still for nine seconds", Child(lambda now: 0 if 20 <= now < 29 else FAST)),
        ("is slow every other five seconds", Child(lambda now: FAST / 10 if now % 10 < 5 else FAST)),
    ],
)
def test_who_is_left_alone(name, child):
    assert story({2: child}, seconds=120) == []


def test_children_that_share_a_link_are_measured_by_each_other():
    assert story({rank: steady(FAST / 3) for rank in (4, 5, 6)}) == []
    slow = {4: steady(FAST / 3), 5: steady(FAST / 9), 6: steady(FAST / 3)}
    assert [verdict.rank for _now, verdict in story(slow, on_verdict=demote)] == [5]
    # The server was given nothing, and its children tell all the same.
    slow = {4: steady(FAST / 3), 5: steady(FAST / 9), 6: steady(FAST / 3)}
    assert [verdict.rank for _now, verdict in story(slow, own=None, on_verdict=demote)] == [5]


def test_the_server_believes_its_only_child_and_those_behind_it():
    assert story({1: steady(FAST)}, own=None) == []
    assert story({1: steady(FAST, is_target_bound=True)}, own=None) == []
    found = story({1: steady(FAST, is_target_bound=True, is_waited_for=True)}, own=None, on_verdict=demote)
    assert [verdict.rank for _now, verdict in found] == [1]
    assert "waiting for its target" in found[0][1].reason


def test_a_parent_whose_own_link_is_slow_does_not_become_the_parent_of_all():
    """Each child that it takes is as slow as the last one, so it takes no more of them."""
    children = {2: steady(FAST / 10)}

    def replace(now, verdict, children):
        demote(now, verdict, children)
        children[verdict.rank + 1] = steady(FAST / 10)

    found = story(children, seconds=600, on_verdict=replace)
    times = [now for now, _verdict in found]
    assert len(times) == 2 and times[1] - times[0] >= 2 * SUSTAINED_S


def test_a_decision_that_paid_makes_room_for_the_next_one():
    children = {2: steady(FAST / 10)}

    def replace(now, verdict, children):
        demote(now, verdict, children)
        # The next one is as fast as the others for a while, and then it is not.
        children[3] = Child(lambda at: FAST if at < now + 20 else FAST / 10)

    found = story(children, seconds=60, on_verdict=lambda *them: replace(*them) if 3 not in them[2] else demote(*them))
    assert [verdict.rank for _now, verdict in found] == [2, 3]
    assert found[1][0] - found[0][0] < 20 + SUSTAINED_S + 4


def test_below_the_floor_a_child_is_ejected_and_above_it_is_not():
    def drop(now, verdict, children):
        del children[verdict.rank]

    found = story({2: steady(FAST / 10, has_family=False)}, floor=3 * MB, on_verdict=drop)
    assert [verdict for _now, verdict in found] == [TooSlow(2, 2.5 * MB, SUSTAINED_S)]
    assert SUSTAINED_S <= found[0][0] <= SUSTAINED_S + 2
    assert story({2: steady(FAST / 10, has_family=False)}, floor=2 * MB) == []
    # A leaf that is held back takes what it gets, and one that has everything takes nothing.
    assert story({2: steady(0, has_family=False, is_held_back=True)}, floor=2 * MB) == []
    assert story({2: steady(0, has_family=False, has_backlog=False)}, floor=2 * MB) == []


def test_a_parent_does_not_eject_one_after_the_other_for_a_fault_of_its_own():
    def next_one(now, verdict, children):
        del children[verdict.rank]
        children[verdict.rank + 1] = steady(MB)

    assert len(story({2: steady(MB)}, floor=2 * MB, seconds=300, on_verdict=next_one)) == 2
