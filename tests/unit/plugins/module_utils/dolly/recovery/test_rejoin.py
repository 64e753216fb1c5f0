# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is looked for while a run goes on, and how often."""

from __future__ import annotations

from ansible_collections.dolly.ring.plugins.module_utils.dolly.recovery.rejoin import (
    LOST_PAUSE_S,
    MOST_AT_ONCE,
    PAUSE_S,
    Rejoin,
)


def looks(absent_at, seconds=30):
    """(time, ranks) of all looks in which somebody is looked for, twice a second."""
    rejoin = Rejoin()
    found = [(step / 2, rejoin.look(absent_at(step / 2), step / 2)) for step in range(seconds * 2)]
    return [(now, ranks) for now, ranks in found if ranks]


def test_who_missed_the_start_is_looked_for_again_and_again():
    assert looks(lambda now: {4: False}, 10) == [(PAUSE_S * step, [4]) for step in (1, 2, 3)]


def test_a_lost_member_may_find_a_parent_itself_first():
    found = looks(lambda now: {4: True})
    assert found[0] == (LOST_PAUSE_S, [4]) and found[1] == (LOST_PAUSE_S + PAUSE_S, [4])


def test_who_is_back_is_not_looked_for():
    assert looks(lambda now: {4: False} if now < 4 or now > 20 else {}) == [
        (PAUSE_S, [4]), *[(20.5 + PAUSE_S * step, [4]) for step in (1, 2, 3)]
    ]


def test_many_are_looked_for_in_turn():
    found = looks(lambda now: dict.fromkeys(range(1, 41), False))
    assert all(len(ranks) <= MOST_AT_ONCE for _now, ranks in found)
    assert {rank for _now, ranks in found for rank in ranks} == set(range(1, 41))
