# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A leaf that is held back gets what its siblings leave: not more, and in the end not less."""

from __future__ import annotations

import random

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.recovery.leaf_throttle import (
    LEAST,
    Appetite,
    LeafThrottle,
)

STEP_S = 0.5
LINK = 25e6


def share(sibling_limit, leaf_limit, seconds=300.0, noise=0.0, wants_until=1e9, source=1e9):
    """What sibling and leaf took of one link: each second's pair of rates."""
    throttle, chance = LeafThrottle(), random.Random(1)
    received, waiting, found = 0.0, 0.0, []
    allowed = 0.0
    for step in range(int(seconds / STEP_S)):
        now = step * STEP_S
        waiting += source * STEP_S
        leaf = min(allowed, leaf_limit)
        # TCP shares a full link between those that send; what is allowed is all that the leaf may send.
        room = max(LINK - leaf, LINK / 2) * (1 - noise * chance.random())
        taken = min(sibling_limit * STEP_S, room * STEP_S, waiting) if now < wants_until else 0.0
        received, waiting = received + taken, waiting - taken
        sight = Appetite(round(received), now, now < wants_until, waiting > 1e6)
        answer = throttle.look({3: sight}, now)
        allowed = leaf_limit if answer is None else answer
        found.append((taken / STEP_S, leaf))
    return found


def mean(values):
    values = list(values)
    return sum(values) / len(values)


@pytest.mark.parametrize("noise", [0.0, 0.03])
def test_a_full_link_is_the_siblings(noise):
    found = share(LINK, LINK, noise=noise)
    assert mean(sibling for sibling, _leaf in found) > 0.95 * LINK * (1 - noise)


def test_a_leaf_gets_what_a_slower_sibling_leaves():
    found = share(LINK * 0.6, LINK)
    later = found[len(found) // 2 :]
    assert mean(sibling for sibling, _leaf in later) > 0.97 * LINK * 0.6
    assert mean(leaf for _sibling, leaf in later) > 0.5 * LINK * 0.4


def test_a_sibling_that_waits_for_its_parent_leaves_the_rest():
    found = share(LINK, LINK, source=LINK * 0.5)
    later = found[len(found) // 2 :]
    assert mean(sibling for sibling, _leaf in later) > 0.97 * LINK * 0.5
    assert mean(leaf for _sibling, leaf in later) > 0.5 * LINK * 0.5


def test_who_is_alone_is_not_held_back():
    assert LeafThrottle().look({}, 0.0) is None
    found = share(LINK, LINK, seconds=60, wants_until=30)
    assert found[-1] == (0.0, LINK)


def test_it_is_never_nothing():
    throttle = LeafThrottle()
    for step in range(200):  # a sibling that gets slower and slower, whatever is left to it
        sight = Appetite(int(1e9 * (1 - 0.9 ** step)), step * STEP_S, True, True)
        assert (throttle.look({3: sight}, step * STEP_S) or 0) >= LEAST
