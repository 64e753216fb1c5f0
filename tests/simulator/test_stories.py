# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Named stories of faults that took many seeds to find."""

from __future__ import annotations

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.recovery import healer as heal
from ansible_collections.dolly.ring.tests.simulator.faults import Schedule
from ansible_collections.dolly.ring.tests.simulator.ring import CHUNK, Shape
from ansible_collections.dolly.ring.tests.simulator.runs import Outcome

SLOW = CHUNK * 2


def tell(count, happen, **shape):
    """Run a chain in which `happen(ring, schedule)` schedules the faults."""

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
    """A thread that hangs in its disk keeps the node from asking the new parent, which must not wait."""

    def happen(ring, schedule):
        schedule.broken |= {1, 2}
        ring.machines[4].disk_rate = CHUNK / 5  # slow, so that there is time to come back
        ring.world.after(0.4, None, ring.machines[2].hang)
        ring.world.after(0.5, None, ring.machines[1].kill)

    outcome = tell(4, happen)
    assert states(outcome) == ["lost", "failed", "done", "done"]
    assert outcome.ring.machines[2].node.word.state == "failed"
    assert sum("giving up" in line for line in outcome.world.lines) == 1
    assert outcome.world.now < 60


def test_one_hung_node_costs_nobody_else_his_place():
    def happen(ring, schedule):
        schedule.broken.add(3)
        ring.machines[3].hang()

    outcome = tell(5, happen)
    assert states(outcome) == ["done", "done", "lost", "done", "done"]
    assert sum("giving up" in line for line in outcome.world.lines) == 1


def test_a_last_word_that_the_parent_could_not_pass_on_is_said_again():
    def happen(ring, schedule):
        schedule.broken.add(1)
        ring.machines[1].flush_s = 100.0
        ring.triggers[2, "done"] = [ring.machines[1].freeze]

    assert states(tell(3, happen)) == ["lost", "done", "done"]


def test_nobody_is_left_to_hear_the_last_word():
    """All nodes before it die while it reports that it is done: its own result must suffice, and soon."""

    def happen(ring, schedule):
        schedule.broken |= {0, 1}
        ring.triggers[2, "done"] = [ring.machines[0].kill, ring.machines[1].kill]

    outcome = tell(2, happen)
    assert outcome.ring.machines[2].node.word.state == "done"
    assert outcome.world.now - outcome.ring.said_done[2] < heal.ADOPTION_PATIENCE_S + 1.0


def test_a_node_that_is_done_serves_its_child_though_nobody_hears_its_last_word():
    def happen(ring, schedule):
        schedule.broken |= {0, 1}
        ring.machines[3].disk_rate = CHUNK / 6
        ring.triggers[2, "done"] = [ring.machines[0].kill, ring.machines[1].kill]

    outcome = tell(3, happen)
    assert [machine.node.word.state for machine in outcome.ring.machines[2:]] == ["done", "done"]
    assert outcome.ring.said_done[3] > outcome.ring.said_done[2] + 40.0  # its own limit is 22 s


def test_two_parents_at_once():
    """Both parents have read the same epoch; only one may adopt the child."""

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


def tell_finely(count, happen, **shape):
    """Like `tell`, with pieces so small that a slow node does not look stalled."""
    return tell(count, happen, block_size=CHUNK // 16, **shape)


def demotions(outcome):
    return [line for line in outcome.world.lines if "has no children any more" in line]


def finished(outcome, ranks):
    return max(outcome.ring.said_done[rank] for rank in ranks)


def test_a_slow_disk_in_the_middle_holds_up_nobody_else():
    """After ten seconds the others go on without it; it gets the image as a leaf, after them."""

    def happen(ring, schedule):
        for machine in ring.machines:
            machine.in_rate = machine.out_rate = 2 * CHUNK
        ring.machines[2].disk_rate = CHUNK / 10

    outcome = tell_finely(6, happen, chunks=24)
    assert states(outcome) == ["done"] * 6
    assert len(demotions(outcome)) == 1 and "n2 has no" in demotions(outcome)[0]
    assert [entry["demoted"] for entry in outcome.ring.root.nodes()] == [False, True] + [False] * 4
    assert outcome.ring.machines[3].node.word.parent == 1
    # 12 s at full speed, 10 s until the node is known to be slow, and the rest from there.
    assert finished(outcome, (1, 3, 4, 5, 6)) < 12 + 12 + 12
    assert finished(outcome, [2]) > 200


def test_a_slow_link_in_the_middle_holds_up_nobody_else():
    def happen(ring, schedule):
        for machine in ring.machines:
            machine.in_rate = machine.out_rate = 2 * CHUNK
        ring.machines[2].in_rate = ring.machines[2].out_rate = CHUNK / 10

    outcome = tell_finely(6, happen, chunks=24)
    assert states(outcome) == ["done"] * 6
    assert len(demotions(outcome)) == 1 and "n2 has no" in demotions(outcome)[0]
    assert finished(outcome, (1, 3, 4, 5, 6)) < 12 + 12 + 12


def test_the_servers_child_with_a_slow_disk_is_demoted_too():
    def happen(ring, schedule):
        ring.machines[1].disk_rate = CHUNK / 10

    outcome = tell_finely(4, happen, chunks=24)
    assert len(demotions(outcome)) == 1 and "n1 has no" in demotions(outcome)[0]
    assert finished(outcome, (2, 3, 4)) < 40


def test_disks_that_are_all_slow_are_nobodys_fault():
    def happen(ring, schedule):
        for machine in ring.clients:
            machine.disk_rate = CHUNK / 4

    outcome = tell_finely(5, happen, chunks=12)
    assert states(outcome) == ["done"] * 5 and demotions(outcome) == []


def test_a_tree_that_shares_its_links_is_nobodys_fault():
    def happen(ring, schedule):
        for machine in ring.machines:
            machine.in_rate = machine.out_rate = CHUNK

    outcome = tell_finely(7, happen, fanout=3, chunks=24)
    assert states(outcome) == ["done"] * 7 and demotions(outcome) == []


def test_a_slow_way_out_is_not_laid_at_the_door_of_many_children():
    """Nobody sees which end of a link is slow, but that demoting one child after another does not help."""

    def happen(ring, schedule):
        for machine in ring.machines:
            machine.in_rate = machine.out_rate = 2 * CHUNK
        ring.machines[1].out_rate = CHUNK / 10

    outcome = tell_finely(7, happen, chunks=12)
    assert states(outcome) == ["done"] * 7
    assert len(demotions(outcome)) == 2


def test_the_children_of_a_leaf_whose_parent_dies_are_not_given_back_to_it():
    def happen(ring, schedule):
        schedule.broken.add(1)
        for machine in ring.machines:
            machine.in_rate = machine.out_rate = 2 * CHUNK
        ring.machines[2].disk_rate = CHUNK / 10
        ring.world.after(14.0, None, ring.machines[1].kill)

    outcome = tell_finely(5, happen, chunks=40)
    assert states(outcome) == ["lost", "done", "done", "done", "done"]
    assert [outcome.ring.machines[rank].node.word.parent for rank in (2, 3)] == [0, 0]
    assert finished(outcome, (3, 4, 5)) < finished(outcome, [2]) / 3


def test_below_the_floor_a_node_is_ejected_and_says_why():
    def happen(ring, schedule):
        schedule.broken.add(2)
        for machine in ring.machines:
            machine.in_rate = machine.out_rate = 2 * CHUNK
        ring.machines[2].disk_rate = CHUNK / 10

    outcome = tell_finely(4, happen, chunks=24, min_rate=CHUNK // 2)
    assert states(outcome) == ["done", "failed", "done", "done"]
    assert outcome.ring.machines[2].node.error.fields["min_rate"] == CHUNK // 2
    assert "min_rate" in outcome.ring.root.nodes()[1]["error"]["message"]
    assert outcome.world.now < 60


def test_a_node_that_comes_late_is_a_leaf_and_gets_everything():
    """Its place is taken: node 3 stays with its new parent, and no node waits for node 2 for long."""

    def happen(ring, schedule):
        for machine in ring.machines:
            machine.in_rate = machine.out_rate = CHUNK
        schedule.late[2] = 12.0

    outcome = tell_finely(4, happen, chunks=30, min_nodes=3)
    assert states(outcome) == ["done"] * 4
    assert [entry["late"] for entry in outcome.ring.root.nodes()] == [False, True, False, False]
    assert [outcome.ring.machines[rank].node.word.parent for rank in (2, 3, 4)] == [0, 1, 3]
    dialled = ("connecting to n3", "taking over n3")
    assert sum(any(words in line for words in dialled) for line in outcome.world.lines) == 1


def test_a_node_that_was_killed_and_started_again_comes_late():
    def happen(ring, schedule):
        schedule.shaken.add(2)
        for machine in ring.machines:
            machine.in_rate = machine.out_rate = CHUNK
        ring.world.after(5.0, None, ring.machines[2].kill)
        ring.world.after(8.0, None, lambda: ring.restart(2))

    outcome = tell_finely(4, happen, chunks=40)
    assert states(outcome) == ["done"] * 4
    assert [entry["late"] for entry in outcome.ring.root.nodes()] == [False, True, False, False]
    assert outcome.ring.machines[3].node.word.parent == 1


def test_what_happened_is_told_of_each_node():
    def happen(ring, schedule):
        schedule.broken.add(2)
        for machine in ring.machines:
            machine.in_rate = machine.out_rate = CHUNK
        ring.world.after(5.0, None, ring.machines[2].lose_power)

    outcome = tell_finely(4, happen, chunks=20)
    entries = outcome.ring.root.nodes()
    assert [entry["state"] for entry in entries] == ["done", "lost", "done", "done"]
    assert [entry["healed"] for entry in entries] == [0, 0, 1, 0]
    silence_s = outcome.ring.shape.timeouts.dead_after
    assert silence_s - 1 < entries[2]["stalled"] < silence_s + 2
    assert entries[0]["stalled"] == entries[3]["stalled"] == 0
    error = entries[1]["error"]
    assert 9 < error["after"] < 12 and 0 < error["offset"] == entries[1]["bytes"]
    assert "%d bytes" % error["offset"] in error["message"]


def test_chunks_that_come_damaged_to_a_slow_disk_are_no_stall():
    """A chunk takes four seconds, and two are written again: ten seconds later the node holds the same."""

    def happen(ring, schedule):
        ring.machines[1].disk_rate = CHUNK / 4
        ring.machines[1].flips.update({2: 1, 3: 1})

    outcome = tell(1, happen, chunks=6)
    assert states(outcome) == ["done"]
    assert not any("giving up" in line for line in outcome.world.lines)


def test_a_node_that_is_done_and_cannot_be_read_from_gives_its_children_away():
    """They get another parent at once, and it is still done: what it wrote was read back and flushed."""

    def happen(ring, schedule):
        ring.machines[2].disk_rate = CHUNK / 2
        ring.triggers[1, "done"] = [ring.machines[1].go_blind]

    outcome = tell(3, happen)
    assert states(outcome) == ["done"] * 3
    assert outcome.ring.machines[2].node.word.parent == 0
    assert outcome.world.now < outcome.ring.said_done[1] + 20


def test_where_nobody_else_has_what_cannot_be_read_the_run_ends_all_the_same():
    def happen(ring, schedule):
        schedule.broken |= {0, 2, 3}
        ring.machines[2].disk_rate = CHUNK / 2
        ring.triggers[1, "done"] = [ring.machines[0].kill, ring.machines[1].go_blind]

    outcome = tell(3, happen)
    words = [machine.node.word.state for machine in outcome.ring.clients]
    assert words == ["done", "failed", "failed"]
    assert outcome.world.now < outcome.ring.said_done[1] + 3 * outcome.ring.shape.timeouts.orphan


def hang_at(ring, rank, state):
    """Hang the disk of a node, for reads and writes, when the node first reports this state."""
    ring.machines[rank].flush_s = 1.0  # long enough for the node to report that it flushes
    ring.triggers[rank, state] = [ring.machines[rank].hang]


def test_a_disk_that_hangs_while_it_is_opened_costs_nobody_else_anything():
    """The node cannot take bytes yet; the nodes behind it are still told to start."""

    def happen(ring, schedule):
        schedule.broken.add(2)
        hang_at(ring, 2, "ready")

    outcome = tell(4, happen)
    assert states(outcome) == ["done", "lost", "done", "done"]
    assert "took nothing" in outcome.ring.root.nodes()[1]["error"]["message"]
    assert outcome.world.now < 30


def test_a_late_disk_that_hangs_while_it_is_looked_at_does_not_end_the_run():
    def happen(ring, schedule):
        for machine in ring.machines:
            machine.in_rate = machine.out_rate = CHUNK
        schedule.late[2] = 12.0
        schedule.broken.add(2)
        ring.machines[2].prepare_s = 1e6

    outcome = tell_finely(4, happen, chunks=30, min_nodes=3)
    assert states(outcome) == ["done", "failed", "done", "done"]
    assert outcome.ring.root.nodes()[1]["error"]["option"] == "stall_timeout"
    assert outcome.world.now < 60


def test_a_flush_that_hangs_is_the_fault_of_its_node():
    def happen(ring, schedule):
        schedule.broken.add(2)
        ring.machines[2].flush_s = 1e6

    outcome = tell(4, happen)
    assert states(outcome) == ["done", "failed", "done", "done"]
    error = outcome.ring.root.nodes()[1]["error"]
    assert error["option"] == "flush_timeout" and error["fault"] == "node"
    assert outcome.ring.root.state == "partial"


@pytest.mark.parametrize("rank", [1, 2, 4])
def test_a_flush_that_hangs_without_a_server_ends(rank):
    def happen(ring, schedule):
        schedule.broken |= {0, rank}
        ring.machines[rank].flush_s = 1e6
        ring.triggers[rank, "flushing"] = [ring.machines[0].kill]

    outcome = tell(4, happen)
    words = {machine.rank: machine.node.word for machine in outcome.ring.clients}
    assert {number for number, word in words.items() if word.state == "done"} == {1, 2, 3, 4} - {rank}
    assert words[rank].state == "failed" and words[rank].error["option"] == "flush_timeout"
    assert outcome.world.now < outcome.ring.shape.timeouts.flush + 30


def test_without_a_server_one_that_has_everything_serves_those_behind_a_disk_that_hangs():
    def happen(ring, schedule):
        schedule.broken |= {0, 2}
        ring.machines[3].disk_rate = CHUNK / 2
        hang_at(ring, 2, "flushing")
        ring.triggers[2, "flushing"].append(ring.machines[0].kill)

    outcome = tell(4, happen)
    assert [machine.node.word.state for machine in outcome.ring.clients] == ["done", "failed", "done", "done"]
    assert outcome.ring.machines[3].node.word.parent == 1


def test_a_flush_that_takes_longer_than_an_orphan_waits_is_waited_for():
    """A node with all bytes needs no parent to be done."""

    def happen(ring, schedule):
        schedule.broken.add(0)
        for machine in ring.clients:
            machine.flush_s = ring.shape.timeouts.orphan + 10
        ring.triggers[1, "flushing"] = [ring.machines[0].kill]

    outcome = tell(3, happen)
    assert [machine.node.word.state for machine in outcome.ring.clients] == ["done"] * 3


def test_a_chunk_that_turns_on_a_giver_that_is_done_costs_nobody_else_his_place():
    """The nodes below received a bad chunk three times; formerly, their disks were blamed."""

    def happen(ring, schedule):
        schedule.broken.add(1)
        ring.machines[2].disk_rate = CHUNK / 2
        ring.triggers[1, "done"] = [lambda: ring.world.after(0.1, None, lambda: ring.machines[1].rot(7))]

    outcome = tell(4, happen)
    assert states(outcome) == ["failed", "done", "done", "done"]
    assert "returned right before" in outcome.ring.root.nodes()[0]["error"]["message"]
    assert not outcome.ring.machines[1].store.is_whole


def test_a_chunk_that_turns_on_a_giver_is_mended_before_it_is_given_again():
    def happen(ring, schedule):
        ring.machines[1].in_rate = CHUNK / 2
        ring.machines[2].disk_rate = CHUNK / 8
        ring.world.after(6.2, None, lambda: ring.machines[1].rot(2))
        ring.world.after(8.5, None, lambda: setattr(ring.machines[2], "disk_rate", 8 * CHUNK))

    outcome = tell(3, happen)
    assert states(outcome) == ["done"] * 3
    repaired = [entry["repaired"] for entry in outcome.ring.root.nodes()]
    assert repaired[:2] == [1, 1]


@pytest.mark.parametrize("server", ["lives", "dead"])
def test_a_node_that_is_done_and_whose_disk_hangs_gives_its_children_away(server):
    def happen(ring, schedule):
        schedule.broken |= {0} if server == "dead" else set()
        schedule.shaken |= {2, 3} if server == "dead" else set()
        ring.machines[2].disk_rate = CHUNK / 2
        hang_at(ring, 1, "done")
        if server == "dead":
            ring.triggers[1, "done"].append(ring.machines[0].kill)

    outcome = tell(3, happen)
    words = [machine.node.word.state for machine in outcome.ring.clients]
    assert words == (["done", "done", "done"] if server == "lives" else ["done", "failed", "failed"])
    assert outcome.world.now < 90


def test_a_node_that_hangs_in_its_flush_and_gives_nothing_is_through_with_those_behind_it():
    def happen(ring, schedule):
        schedule.broken.add(1)
        ring.machines[2].disk_rate = CHUNK / 2
        hang_at(ring, 1, "flushing")

    outcome = tell(3, happen)
    assert states(outcome) == ["failed", "done", "done"]
    assert "gave nothing" in outcome.ring.root.nodes()[0]["error"]["message"]
    assert outcome.world.now < 60


@pytest.mark.parametrize("rank", [1, 2, 4])
def test_a_node_that_stands_still_and_knows_of_nothing_does_not_end_the_run_for_the_others(rank):
    """The server tries the node itself, then gives it up, and the nodes behind it get another parent."""

    def happen(ring, schedule):
        schedule.broken.add(rank)
        ring.world.after(0.4, None, lambda: setattr(ring.machines[rank], "is_swallowed", True))

    outcome = tell(4, happen)
    assert [state == "done" for state in states(outcome)] == [number != rank for number in (1, 2, 3, 4)]
    assert outcome.ring.root.state == "partial"
    assert "from the server itself" in outcome.ring.root.nodes()[rank - 1]["error"]["message"]
    assert outcome.world.now < 120


def test_a_server_whose_source_hangs_blames_nobody_else():
    def happen(ring, schedule):
        schedule.broken |= {0, 1, 2}
        ring.world.after(0.4, None, ring.machines[0].hang)

    outcome = tell(2, happen)
    assert "the source" in str(outcome.ring.root.error) and outcome.ring.root.state == "failed"


def test_a_node_that_is_done_helps_although_nobody_is_left_above_it():
    """It holds the whole image. Its child is done but cannot be read; the server is dead."""

    def happen(ring, schedule):
        schedule.broken.add(0)
        ring.machines[3].disk_rate = CHUNK / 2
        ring.triggers[2, "done"] = [ring.machines[0].kill, ring.machines[2].go_blind]

    outcome = tell(4, happen)
    assert [machine.node.word.state for machine in outcome.ring.clients] == ["done"] * 4
    assert outcome.ring.machines[3].node.word.parent == 1
