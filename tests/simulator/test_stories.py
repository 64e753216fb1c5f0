# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults that took many seeds to be found, told on purpose."""

from __future__ import annotations

from ansible_collections.dolly.ring.plugins.module_utils.dolly.recovery import healer as heal
from ansible_collections.dolly.ring.tests.simulator.faults import Schedule
from ansible_collections.dolly.ring.tests.simulator.ring import CHUNK, Shape
from ansible_collections.dolly.ring.tests.simulator.runs import Outcome

SLOW = CHUNK * 2


def tell(count, happen, **shape):
    """A run of a chain in which `happen(ring, schedule)` sets the faults up."""

    def draw(ring):
        schedule = Schedule(ring)
        happen(ring, schedule)
        return schedule

    outcome = Outcome(1, Shape(count, **shape), is_verbose=True, draw=draw)
    assert outcome.violations == [], outcome.report()
    return outcome


def states(outcome):
    return [entry["state"] for entry in outcome.ring.root.nodes()]


def test_a_hung_orphan_is_ejected_and_does_not_come_back():
    """A thread that hangs in its disk keeps it from asking the new parent, who must not wait for it for ever."""

    def happen(ring, schedule):
        schedule.broken |= {1, 2}
        ring.machines[4].disk_rate = CHUNK / 5  # there is time to come back
        ring.world.after(0.4, None, ring.machines[2].hang)
        ring.world.after(0.5, None, ring.machines[1].kill)

    outcome = tell(4, happen)
    assert states(outcome) == ["lost", "failed", "done", "done"]
    assert outcome.ring.machines[2].node.word.state == "failed"
    assert sum("Eject(" in line for line in outcome.world.lines) == 1
    assert outcome.world.now < 60


def test_one_hung_node_costs_nobody_else_his_place():
    def happen(ring, schedule):
        schedule.broken.add(3)
        ring.machines[3].hang()

    outcome = tell(5, happen)
    assert states(outcome) == ["done", "done", "lost", "done", "done"]
    assert sum("Eject(" in line for line in outcome.world.lines) == 1


def test_a_last_word_that_the_parent_could_not_pass_on_is_said_again():
    def happen(ring, schedule):
        schedule.broken.add(1)
        ring.machines[1].flush_s = 100.0
        ring.triggers[2, "done"] = [ring.machines[1].freeze]

    assert states(tell(3, happen)) == ["lost", "done", "done"]


def test_two_parents_at_once():
    """Both have read the same epoch; only one may have the child."""

    def happen(ring, schedule):
        ring.machines[2].disk_rate = SLOW
        for machine in ring.machines[:2]:
            ring.world.after(
                1.0, machine, lambda machine=machine: machine.node.downstream.handle(heal.Knocked(2))
            )

    outcome = tell(3, happen)
    assert states(outcome) == ["done"] * 3
    assert outcome.ring.machines[2].epoch >= 2


def test_a_node_that_was_away_takes_its_grandchildren_from_nobody():
    def happen(ring, schedule):
        schedule.shaken.add(1)
        for machine in ring.clients:
            machine.disk_rate = CHUNK / 3
        ring.world.after(2.0, None, ring.machines[1].freeze)
        ring.world.after(12.0, None, ring.machines[1].thaw)

    outcome = tell(4, happen)
    assert states(outcome) == ["done"] * 4
    assert outcome.ring.machines[2].node.word.parent == 0
