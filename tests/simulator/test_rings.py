# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rings of real nodes on simulated machines, which are killed, cut off, frozen or slowed down in every phase.

The rules are checked in runs.py. A failing seed prints how to replay it; `make soak` tries more seeds.
"""

from __future__ import annotations

import pytest

from ansible_collections.dolly.ring.tests.simulator import faults, runs
from ansible_collections.dolly.ring.tests.simulator.runs import Outcome, large_shape, small_shape

BATCH = 100


@pytest.mark.parametrize("first", range(0, 1000, BATCH))
def test_small_rings(first):
    for seed in range(first, first + BATCH):
        outcome = Outcome(seed, small_shape(seed))
        assert outcome.violations == [], outcome.report()


@pytest.mark.parametrize("first", range(0, 400, BATCH))
def test_small_rings_whose_targets_differ_from_the_image_in_the_end(first):
    for seed in range(first, first + BATCH):
        outcome = Outcome(seed, small_shape(seed), finalizes=True)
        assert outcome.violations == [], outcome.report()


@pytest.mark.parametrize("seed", [1, 2])
def test_a_large_ring_that_loses_one_node_in_a_hundred(seed):
    outcome = Outcome(seed, large_shape(500), draw=faults.draw_many)
    assert outcome.violations == [], outcome.report()
    assert outcome.ring.root.done_count >= 495


def test_the_same_seed_is_the_same_story():
    one, other = (Outcome(77, small_shape(77), is_verbose=True) for _unused in range(2))
    assert one.report() == other.report()
    assert one.world.lines and one.world.events == other.world.events


def test_a_calm_ring_is_quick_and_quiet():
    """The baseline of the checks: without faults, no node is adopted by another parent."""
    outcome = Outcome(1, runs.Shape(5), is_verbose=True, draw=faults.Schedule)
    assert outcome.violations == [] and outcome.ring.root.state == "done"
    assert outcome.world.now < 10
    assert not any("is_adoption=True" in line for line in outcome.world.lines)


def test_the_report_says_how_to_replay():
    assert "python -m tests.simulator --seed 5" in Outcome(5, small_shape(5)).report()
