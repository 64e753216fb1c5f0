# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The server's last resort: whom it serves itself, whom it gives up, and that this comes to an end."""

from __future__ import annotations

from ansible_collections.dolly.ring.plugins.module_utils.dolly.recovery.standstill import (
    Remedy,
    Standing,
    Standstill,
)


def test_the_first_of_a_chain_that_waits_is_taken_over_and_given_up_only_then():
    chain = [Standing(2, 1, True), Standing(3, 2, True), Standing(4, 3, True)]
    watch = Standstill()
    assert watch.look(chain) == Remedy([2], [])
    assert watch.look([Standing(2, 0, True), *chain[1:]]) == Remedy([], [2])


def test_a_child_of_the_server_has_been_served_by_it_already():
    assert Standstill().look([Standing(1, 0, True), Standing(2, 1, True)]) == Remedy([], [1])


def test_one_that_does_not_wait_for_its_parent_hides_behind_nobody():
    assert Standstill().look([Standing(1, 0, True), Standing(2, 1, False)]) == Remedy([2], [])


def test_one_that_another_node_takes_back_is_taken_over_again_but_not_for_ever():
    watch = Standstill()
    found = [watch.look([Standing(2, 1, True)]) for _unused in range(4)]
    assert found == [Remedy([2], [])] * 3 + [Remedy([], [2])]


def test_each_look_moves_somebody_until_nobody_is_left():
    nodes = {rank: Standing(rank, rank - 1, True) for rank in range(1, 8)}
    watch = Standstill()
    for _round in range(2 * len(nodes) + 1):
        remedy = watch.look(nodes.values())
        assert not nodes or remedy.take_over or remedy.give_up
        for rank in remedy.take_over:
            nodes[rank] = Standing(rank, 0, True)
        for rank in remedy.give_up:
            del nodes[rank]
    assert not nodes


def test_nobody():
    assert Standstill().look([]) == Remedy([], [])
