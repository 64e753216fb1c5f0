# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes that miss the start and are started while the run goes on: leaves, with all that they lack."""

from __future__ import annotations

import json

from ansible_collections.dolly.ring.tests.integration.ring.images import MIB

RATE = 8 * MIB
QUICK = ("--connect-timeout", "1", "--barrier-timeout", "10")


def entries(rack):
    return {node["position"]: node for node in json.loads(rack.server.out)["nodes"]}


def let_in(rack, index):
    """Wait until a node that was started late has heard what there is to get, and then have it sent quickly."""
    rack.clients[index].wait_for_log("nodes done 0 of")
    rack.cure(0)


def test_a_node_that_starts_late_gets_the_image_as_a_leaf(loopback):
    image = loopback.image(64 * MIB)
    for index in (1, 3):
        loopback.start_client(index)
    loopback.await_listening()
    source = ["slow-source=%d" % RATE]
    loopback.start_server(image, "--json", "--min-nodes", "2", *QUICK, nodes=[1, 2, 3], fault=source)
    loopback.server.wait_for_log("start with 2 of 3 nodes")
    loopback.await_data(3, 8 * MIB)
    loopback.start_client(2)
    let_in(loopback, 2)
    assert loopback.finish() == 0
    found = entries(loopback)
    assert [found[index]["state"] for index in (1, 2, 3)] == ["done"] * 3
    assert [found[index]["late"] for index in (1, 2, 3)] == [False, True, False]
    assert "  late" in loopback.clients[2].out and "late" not in loopback.clients[3].out
    # Node 3 had a parent already, and kept it.
    assert not any(words in loopback.clients[2].log for words in ("connecting to", "taking over"))
    assert "lost the parent %s" % loopback.address(2) not in loopback.clients[3].log
    for index in (1, 2, 3):
        loopback.check_copy(index, image)


def test_a_node_that_is_killed_and_started_again_goes_on_in_the_same_run(loopback):
    image = loopback.image(96 * MIB)
    loopback.start_clients(3)
    source = ["slow-source=%d" % (4 * MIB)]
    loopback.start_server(image, "--json", *QUICK, fault=source)
    loopback.await_data(2, 8 * MIB)
    loopback.clients[2].kill()
    loopback.start_client(2)
    let_in(loopback, 2)
    assert loopback.finish() == 0
    found = entries(loopback)
    assert [found[index]["state"] for index in (1, 2, 3)] == ["done"] * 3
    assert [found[index]["late"] for index in (1, 2, 3)] == [False, True, False]
    assert [found[index]["healed"] for index in (1, 2, 3)] == [0, 0, 1]
    assert 0 <= found[3]["stalled"] < 2
    for index in (1, 2, 3):
        loopback.check_copy(index, image)


def test_who_comes_with_another_key_is_not_let_in(loopback):
    image = loopback.image(48 * MIB)
    loopback.start_client(1)
    loopback.await_listening()
    source = ["slow-source=%d" % RATE]
    loopback.start_server(image, "--json", "--min-nodes", "1", *QUICK, nodes=[1, 2], fault=source)
    loopback.server.wait_for_log("start with 1 of 2 nodes")
    loopback.start_client(2, key=loopback.make_key("other-key", "f" * 64))
    assert loopback.finish(expected_to_run=[2]) == 3
    assert [entries(loopback)[index]["state"] for index in (1, 2)] == ["done", "unreachable"]
    assert not loopback.partial(2).exists() and not loopback.target(2).exists()
