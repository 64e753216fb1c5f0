# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of several lanes is closed: only one that holds the others up."""

from __future__ import annotations

from ansible_collections.dolly.ring.plugins.module_utils.dolly.recovery.slow_lane import (
    LaneSight,
    SlowLaneWatch,
)

SILENCE_S = 5.0


def closed(history, at_end_from=1e9):
    """Look once a second at lanes whose numbers brought and pending are functions of the time; (lane, time) or None."""
    slow_lanes = SlowLaneWatch(SILENCE_S)
    for now in range(60):
        sights = {number: LaneSight(*look(now)) for number, look in history.items() if look(now) is not None}
        found = slow_lanes.look(sights, now >= at_end_from, float(now))
        if found:
            return found, now
    return None


def test_a_cut_lane_is_closed_when_the_others_go_on():
    assert closed({1: lambda now: (now, 2), 2: lambda now: (min(now, 10), 2)}) == ([2], 16)


def test_a_slow_lane_is_not():
    assert closed({1: lambda now: (10 * now, 2), 2: lambda now: (now // 4, 2)}) is None


def test_when_all_stand_still_only_the_one_that_stood_still_first_goes():
    """The last to move is never closed: the reason lies elsewhere."""
    slow_lanes = SlowLaneWatch(SILENCE_S)
    for now in range(40):
        found = slow_lanes.look({1: LaneSight(min(now, 11), 2), 2: LaneSight(min(now, 10), 2)}, False, now)
        assert 1 not in found


def test_a_lane_alone_is_never_closed():
    assert closed({1: lambda now: (min(now, 3), 2)}) is None
    assert closed({1: lambda now: (min(now, 3), 2)}, at_end_from=0) is None


def test_a_lane_with_nothing_to_bring_is_not_late():
    assert closed({1: lambda now: (now, 1), 2: lambda now: (3, 0)}) is None


def test_at_the_end_nobody_waits_for_the_slowest():
    history = {1: lambda now: (10 * min(now, 20), 2 if now < 20 else 0), 2: lambda now: (min(now // 4, 5), 1)}
    assert closed(history, at_end_from=20) == ([2], 23)


def test_at_the_end_two_that_bring_something_are_left_alone():
    assert closed({1: lambda now: (now, 1), 2: lambda now: (now // 3, 1)}, at_end_from=20) is None


def test_a_lane_that_took_the_place_of_another_starts_anew():
    history = {
        1: lambda now: (now, 1),
        2: lambda now: (0, 1) if now < 4 else None,
        3: lambda now: (0, 1) if now >= 4 else None,
    }
    assert closed(history) == ([3], 10)
