# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stall watch: who is given up, and above all who is not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.recovery.stalled_child import (
    Eject,
    GiverWatch,
    Sight,
    StallWatch,
)

PATIENCE_S = 30.0
FLUSH_S = 1800.0
HUNG = Sight("receiving", 1000, 0, "target", True)
FLUSHING = replace(HUNG, state="flushing", blocked_on="flush", wants=False)


def ejected_at(sights):
    """When a watch that sees these, one each second, gives the child up; None: never."""
    watch = StallWatch(PATIENCE_S, FLUSH_S)
    for now, sight in enumerate(sights):
        actions = watch.look(7, sight, float(now))
        if actions:
            (action,) = actions
            assert action.rank == 7 and action.reason == "its target took nothing for %d s" % (PATIENCE_S + 1)
            assert action.error.fields["option"] == "stall_timeout" and "took nothing" in str(action.error)
            return now
    return None


@pytest.mark.parametrize(
    "name, sight",
    [
        ("a hung target", HUNG),
        ("a verifier that hangs in a read", replace(HUNG, state="verifying", wants=False)),
    ],
)
def test_hung(name, sight):
    assert ejected_at([sight] * 100) == PATIENCE_S + 1


@pytest.mark.parametrize(
    "name, sight",
    [
        ("waits for its parent", replace(HUNG, blocked_on="parent")),
        ("wants nothing", replace(HUNG, wants=False)),
        ("waits for digests", replace(HUNG, state="verifying", blocked_on="parent", wants=False)),
        ("flushes", FLUSHING),
        ("is done", replace(HUNG, state="done", blocked_on="", wants=False)),
    ],
)
def test_innocent(name, sight):
    assert ejected_at([sight] * 1000) is None


def test_a_flush_has_a_limit_of_its_own():
    watch = StallWatch(PATIENCE_S, FLUSH_S)
    found = [now for now in range(3000) if watch.look(7, FLUSHING, float(now))]
    assert found[0] == FLUSH_S + 1
    watch = StallWatch(PATIENCE_S, FLUSH_S)
    watch.look(7, FLUSHING, 0.0)
    (action,) = watch.look(7, FLUSHING, FLUSH_S + 5)
    assert action == Eject(7, "was flushing", FLUSH_S + 5, "flush_timeout")
    assert action.reason == "its target was flushing for 1805 s"
    assert action.error.fault == "node" and "was flushing (1805 s, flush_timeout)" in str(action.error)


def test_what_moves_in_a_flush_starts_its_clock_again():
    """Parts that are put in their places one after the other."""
    watch = StallWatch(PATIENCE_S, FLUSH_S)
    sights = [replace(FLUSHING, checked=now // 1000) for now in range(9000)]
    assert not any(watch.look(7, sight, float(now)) for now, sight in enumerate(sights))


@pytest.mark.parametrize("field", ["held", "verified", "checked", "repaired"])
def test_slow_is_not_hung(field):
    sights = [replace(HUNG, **{field: now // 29}) for now in range(1000)]
    assert ejected_at(sights) is None


def test_a_pause_in_its_blame_starts_the_clock_again():
    sights = ([HUNG] * 29 + [replace(HUNG, blocked_on="parent")]) * 10
    assert ejected_at(sights) is None


def test_a_new_link_starts_the_clock_again():
    watch = StallWatch(PATIENCE_S, FLUSH_S)
    watch.look(7, HUNG, 0.0)
    watch.forget(7)
    assert watch.look(7, HUNG, 31.0) == []
    assert watch.look(7, HUNG, 62.0) != []


def test_children_are_told_apart():
    watch = StallWatch(PATIENCE_S, FLUSH_S)
    for now in range(40):
        watch.look(7, replace(HUNG, held=now), float(now))
        found = watch.look(8, HUNG, float(now))
        if found:
            break
    assert found[0].rank == 8 and now == 31


def test_a_store_that_gives_nothing():
    watch = GiverWatch(PATIENCE_S)
    found = [watch.look([5, 7], float(now)) for now in range(40)]
    assert found[: int(PATIENCE_S) + 1] == [None] * 31
    assert found[31].fields == {"what": "gave nothing", "seconds": 31.0, "option": "stall_timeout"}


@pytest.mark.parametrize("waiting", [lambda now: (), lambda now: [now // 29, 7], lambda now: [5] if now % 29 else ()])
def test_a_store_that_gives_something_or_is_not_asked(waiting):
    watch = GiverWatch(PATIENCE_S)
    assert not any(watch.look(waiting(now), float(now)) for now in range(300))
