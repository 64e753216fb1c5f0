# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes, cables and the server that go away in the middle of a run."""

from __future__ import annotations

import signal

import pytest

from ansible_collections.dolly.ring.tests.integration.ring.images import MIB

IMAGE_SIZE = 8 * MIB + 100
RATE = 5 * MIB
#: By now the last node of a chain has a quarter of it.
MIDDLE = 2 * MIB


def start_slowly(rack, *options, count=4):
    """Start a run that lasts long enough; it is in its middle when this returns."""
    rack.start_clients(count, *options)
    if hasattr(rack.network, "limit"):
        rack.network.limit(0, RATE)
        rack.start_server(rack.image(IMAGE_SIZE), *options)
    else:
        rack.start_server(rack.image(IMAGE_SIZE), *options, fault=["slow-source=%d" % RATE])
    rack.await_data(count, MIDDLE)


def check_survivors(rack, *lost):
    """All but the lost ones have the image and say so, and the server names those that have not."""
    assert rack.finish(expected_to_run=lost) == 3
    rows = rack.rows()
    for index, client in rack.clients.items():
        if index in lost:
            assert rows[index].state in ("lost", "unreachable"), rows[index].reason
            assert rows[index].reason
            assert not rack.target(index).exists()
        else:
            assert rows[index].state == "done" and rows[index].verified
            assert client.code == 0
            rack.check_copy(index, rack.image(IMAGE_SIZE))


@pytest.mark.parametrize("victim", [1, 2, 4])
def test_a_node_that_is_killed(loopback, victim):
    start_slowly(loopback)
    loopback.clients[victim].kill()
    check_survivors(loopback, victim)


@pytest.mark.parametrize("victim", [1, 3])
def test_a_node_that_is_killed_on_its_machine(namespaces, victim):
    start_slowly(namespaces)
    namespaces.clients[victim].kill()
    check_survivors(namespaces, victim)


@pytest.mark.parametrize("victims", [(1, 2), (2, 3), (3, 4)])
def test_neighbours_that_are_killed_together(loopback, victims):
    start_slowly(loopback)
    for victim in victims:
        loopback.clients[victim].kill()
    check_survivors(loopback, *victims)


def test_the_inner_nodes_of_a_tree_are_killed(loopback):
    loopback.start_clients(6)
    loopback.start_server(
        loopback.image(IMAGE_SIZE), "--fanout", "2", fault=["slow-source=%d" % RATE]
    )
    loopback.await_data(6, MIDDLE)
    for victim in (1, 2):
        loopback.clients[victim].kill()
    check_survivors(loopback, 1, 2)


def test_a_cable_that_is_pulled(namespaces):
    """Nothing tells of it but silence."""
    start_slowly(namespaces, "--dead-after", "1.5", "--orphan-timeout", "3")
    namespaces.network.unplug(2)
    check_survivors(namespaces, 2)
    assert namespaces.clients[2].wait(30) != 0
    assert "orphan_timeout" in namespaces.clients[2].log


def test_a_node_that_hangs(loopback):
    """Its connections live, for the kernel keeps them, and even takes new ones for it."""
    start_slowly(loopback, "--dead-after", "1.5", "--handshake-timeout", "1.5")
    loopback.clients[2].send(signal.SIGSTOP)
    check_survivors(loopback, 2)


def test_a_node_that_is_told_to_end(loopback):
    start_slowly(loopback)
    loopback.clients[2].send(signal.SIGTERM)
    assert loopback.finish() == 3
    rows = loopback.rows()
    assert [rows[index].state for index in (1, 2, 3, 4)] == ["done", "failed", "done", "done"]
    assert "SIGTERM" in rows[2].reason
    assert loopback.clients[2].code != 0
    assert not loopback.target(2).exists()
    for index in (1, 3, 4):
        loopback.check_copy(index, loopback.image(IMAGE_SIZE))


def test_a_server_that_is_killed(rack):
    """Its nodes end by themselves; each that gives up leaves the next one a moment to find somebody else."""
    start_slowly(rack, "--orphan-timeout", "1.5", count=2)
    rack.server.kill()
    for index, client in rack.clients.items():
        assert client.wait(40) not in (0, 1)
        assert "orphan_timeout" in client.log
        assert not rack.target(index).exists()


def test_a_server_that_is_told_to_end(loopback):
    start_slowly(loopback, count=3)
    loopback.server.send(signal.SIGTERM)
    assert loopback.finish() not in (0, 3)
    for index, client in loopback.clients.items():
        assert client.code != 0
        assert "SIGTERM" in client.log
        assert not loopback.target(index).exists()


def test_a_node_that_is_not_ready_in_time_is_left_out_alone(loopback):
    """The ones behind it are members: they get a new parent, not its fate."""
    loopback.start_client(2, fault=["slow-prepare=60"])
    loopback.start_clients(4)
    loopback.start_server(
        loopback.image(IMAGE_SIZE), "--min-nodes", "3", "--barrier-timeout", "5", fault=["slow-source=%d" % RATE]
    )
    loopback.server.wait_for_log("start with 3 of 4 nodes")
    loopback.cure(2)
    assert loopback.finish() == 3
    rows = loopback.rows()
    assert [rows[index].state for index in (1, 3, 4)] == ["done", "done", "done"]
    assert rows[2].state in ("excluded", "failed") and "time" in rows[2].reason
    assert "without this node" in loopback.clients[2].out
    for index in (1, 3, 4):
        loopback.check_copy(index, loopback.image(IMAGE_SIZE))
    assert not loopback.target(2).exists()


def test_a_node_that_comes_late_is_waited_for(loopback):
    loopback.start_client(1)
    loopback.start_server(loopback.image(IMAGE_SIZE), nodes=[1, 2])
    loopback.server.wait_for_log("connecting to %s" % loopback.address(1))
    loopback.start_client(2)
    assert loopback.finish() == 0
    loopback.check_copy(2, loopback.image(IMAGE_SIZE))
