# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tree of ranks, against its definition and against the rule of the original dolly."""

from __future__ import annotations

import random

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.plan import topology

FANOUTS = pytest.mark.parametrize("fanout", range(1, 6))


def _original_children(host, fanout, hosts):
    """The original: child i of host n is host (n + 1) * N + i, both counted from 0 over the clients."""
    return [child for child in ((host + 1) * fanout + i for i in range(fanout)) if child < hosts]


@FANOUTS
@pytest.mark.parametrize("hosts", range(1, 101))
def test_same_tree_as_the_original(fanout, hosts):
    count = hosts + 1
    assert list(topology.children(0, fanout, count)) == [host + 1 for host in range(min(fanout, hosts))]
    for host in range(hosts):
        expected = [child + 1 for child in _original_children(host, fanout, hosts)]
        assert list(topology.children(host + 1, fanout, count)) == expected


@FANOUTS
@pytest.mark.parametrize("hosts", range(1, 101))
def test_everyone_has_one_parent_of_a_lower_rank(fanout, hosts):
    count = hosts + 1
    fed = [child for rank in range(count) for child in topology.children(rank, fanout, count)]
    assert sorted(fed) == list(range(1, count))
    for rank in range(1, count):
        above = topology.parent(rank, fanout)
        assert 0 <= above < rank
        assert rank in topology.children(above, fanout, count)


@FANOUTS
def test_ancestors_lead_to_the_server(fanout):
    for rank in range(1, 101):
        path = topology.ancestors(rank, fanout)
        assert path[-1] == 0
        assert path == [topology.parent(below, fanout) for below in [rank, *path[:-1]]]
        assert topology.depth(rank, fanout) == len(path)
    assert topology.ancestors(0, fanout) == [] and topology.depth(0, fanout) == 0


def test_depth_of_a_chain_and_of_a_binary_tree():
    assert topology.depth(17, 1) == 17
    assert [topology.depth(rank, 2) for rank in (1, 2, 3, 6, 7, 14, 15)] == [1, 1, 2, 2, 3, 3, 4]


@FANOUTS
@pytest.mark.parametrize("seed", range(20))
def test_effective_tree_matches_its_definition(fanout, seed):
    chance = random.Random(seed)
    count = chance.randint(2, 101)
    alive = frozenset(rank for rank in range(count) if chance.random() < chance.choice((0.2, 0.5, 0.9)))
    fed = {rank: [] for rank in range(count)}
    for rank in range(1, count):
        nearest = next((above for above in topology.ancestors(rank, fanout) if above in alive), 0)
        assert topology.effective_parent(rank, fanout, alive) == nearest
        if rank in alive:
            fed[nearest].append(rank)
    for rank in range(count):
        assert topology.effective_children(rank, fanout, count, alive) == fed[rank]


def test_orphans_go_round_the_dead():
    assert topology.effective_parent(5, 1, {0, 2, 5}) == 2
    assert topology.effective_children(2, 1, 8, {0, 2, 5, 6}) == [5]
    assert topology.effective_children(0, 2, 7, {0, 2, 3, 4}) == [2, 3, 4]


def test_the_server_is_everybody_s_last_resort():
    assert topology.effective_parent(3, 1, frozenset()) == 0
    assert topology.effective_children(0, 1, 5, {4}) == [4]


def test_the_dead_feed_nobody_and_ranks_beyond_the_plan_do_not_exist():
    assert topology.effective_children(1, 1, 5, {2, 3}) == []
    assert topology.effective_children(0, 2, 4, {1, 2, 3, 4, 5, 9}) == [1, 2]


def test_a_long_chain_of_the_dead_does_not_exhaust_the_stack():
    assert topology.effective_children(0, 1, 65536, {65535}) == [65535]
    assert topology.effective_parent(65535, 1, set()) == 0


@pytest.mark.parametrize("call, what", [
    (lambda: topology.parent(0, 1), "rank"),
    (lambda: topology.parent(-1, 1), "rank"),
    (lambda: topology.parent(1, 0), "fanout"),
    (lambda: topology.children(0, -1, 5), "fanout"),
    (lambda: topology.children(5, 1, 5), "rank"),
    (lambda: topology.children(-1, 1, 5), "rank"),
    (lambda: topology.ancestors(-1, 1), "rank"),
    (lambda: topology.ancestors(3, 0), "fanout"),
    (lambda: topology.depth(3, 0), "fanout"),
    (lambda: topology.effective_parent(0, 1, {0}), "rank"),
    (lambda: topology.effective_parent(1, 0, {0}), "fanout"),
    (lambda: topology.effective_children(9, 1, 5, {0}), "rank"),
    (lambda: topology.effective_children(0, 0, 5, {0}), "fanout"),
])
def test_bad_arguments_are_named(call, what):
    with pytest.raises(ValueError, match=what):
        call()
