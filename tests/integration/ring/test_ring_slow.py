# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes that are slow: they lose their children after ten seconds, and cost nobody else more than that."""

from __future__ import annotations

import json
import re
import time

from ansible_collections.dolly.ring.tests.integration.ring.images import MIB, allocated
from ansible_collections.dolly.ring.tests.integration.ring.processes import until

PATIENCE_S = 150.0


def held(rack, index):
    return max(allocated(rack.partial(index)), allocated(rack.target(index)))


def demoted(rack):
    """Which nodes were demoted, by the server's document."""
    document = json.loads(rack.server.out)
    return [node["position"] for node in document["nodes"] if node["demoted"]]


def test_a_slow_target_in_the_middle(loopback):
    """It takes 1 MiB a second and the others as much as there is: they are through when it is not yet half-way."""
    image = loopback.image(64 * MIB)
    loopback.start_client(2, fault=["slow-target=%d" % MIB])
    loopback.start_clients(4)
    loopback.start_server(image, "--json")
    loopback.clients[1].wait_for_log("%s has no children any more" % loopback.address(2))
    for index in (3, 4):
        until(loopback.target(index).exists, "node %d to be through" % index, 20.0)
    assert held(loopback, 2) < image.stat().st_size / 2
    loopback.cure(2)
    assert loopback.finish() == 0
    for index in (1, 2, 3, 4):
        loopback.check_copy(index, image)
    assert demoted(loopback) == [2]
    line = "taking over %s: " % loopback.address(3)
    adopted = [index for index in (0, 1, 2, 3) if line in log_of(loopback, index)]
    assert adopted == [1]
    took = re.search(r"it took ([\d.]+) (k|M)B/s for 10 s", loopback.clients[1].log)
    assert took and 0.3 <= float(took[1]) / {"k": 1000, "M": 1}[took[2]] <= 1.1, took  # a busy machine is slower still


def log_of(rack, index):
    return rack.clients[index].log if index else rack.server.log


def test_the_servers_child_with_a_slow_target(loopback):
    """Nobody gave the server anything to compare it with; that all behind it wait for it says the same."""
    image = loopback.image(64 * MIB)
    loopback.start_client(1, fault=["slow-target=%d" % (2 * MIB)])
    loopback.start_clients(3)
    loopback.start_server(image, "--json")
    loopback.server.wait_for_log("%s has no children any more" % loopback.address(1))
    for index in (2, 3):
        until(loopback.target(index).exists, "node %d to be through" % index, 10.0)
    assert held(loopback, 1) < image.stat().st_size / 2
    loopback.cure(1)
    assert loopback.finish() == 0
    assert demoted(loopback) == [1]


def test_targets_that_are_all_slow_demote_nobody(loopback):
    image = loopback.image(32 * MIB)
    for index in (1, 2, 3):
        loopback.start_client(index, fault=["slow-target=%d" % (2 * MIB)])
    loopback.await_listening()
    loopback.start_server(image, "--json")
    assert loopback.finish() == 0
    assert demoted(loopback) == []


def test_a_slow_link_in_the_middle_and_a_leaf_that_gets_what_is_left(namespaces):
    """All links carry 10 MB a second, that of node 2 three. Node 1 sends to it and to node 3 over one link."""
    rate, slow = 10_000_000, 3_000_000
    network, image = namespaces.network, namespaces.image(160 * MIB)
    for index in range(4):
        network.limit_both(index, slow if index == 2 else rate)
    namespaces.start_clients(3)
    began = time.monotonic()
    namespaces.start_server(image)
    namespaces.clients[1].wait_for_log("%s has no children any more" % namespaces.address(2))
    demoted_after = time.monotonic() - began
    time.sleep(2)  # what was under way to node 2 arrives
    before, began = (held(namespaces, 2), held(namespaces, 3)), time.monotonic()
    until(lambda: held(namespaces, 3) >= image.stat().st_size * 0.9, "node 3", PATIENCE_S)
    seconds = time.monotonic() - began
    leaf, sibling = (held(namespaces, index) - old for index, old in zip((2, 3), before))
    # With half of the link each would have 5 MB a second, and node 3 the 7 that node 2 cannot take.
    assert sibling / seconds > 0.88 * rate, (sibling / seconds, leaf / seconds)
    assert 0 < leaf / seconds < 0.07 * rate, (sibling / seconds, leaf / seconds)
    assert demoted_after < 16
    until(namespaces.target(3).exists, "node 3 to be through", 20.0)
    # Now everything is left for it.
    before, began = held(namespaces, 2), time.monotonic()
    until(lambda: time.monotonic() - began > 6, "six seconds")
    assert (held(namespaces, 2) - before) / (time.monotonic() - began) > 0.6 * slow
    assert namespaces.clients[2].code is None
    namespaces.clients[2].kill()  # the rest would take a minute
    assert namespaces.finish() == 3
    rows = namespaces.rows()
    assert [rows[index].state for index in (1, 2, 3)] == ["done", "lost", "done"]
    for index in (1, 3):
        namespaces.check_copy(index, image)


def test_below_the_floor_it_is_given_up(loopback):
    image = loopback.image(64 * MIB)
    slow = loopback.start_client(2, fault=["slow-target=%d" % (2 * MIB)])
    loopback.start_clients(3)
    loopback.start_server(image, "--min-rate", "4M")
    assert loopback.finish() == 3
    assert slow.code == 3 and "min_rate" in slow.out
    rows = loopback.rows()
    assert [rows[index].state for index in (1, 2, 3)] == ["done", "lost", "done"]
    assert "min_rate" in rows[2].reason
    for index in (1, 3):
        loopback.check_copy(index, image)


def test_above_the_floor_it_is_not(loopback):
    image = loopback.image(32 * MIB)
    loopback.start_client(2, fault=["slow-target=%d" % (2 * MIB)])
    loopback.start_clients(3)
    loopback.clone(image, "--min-rate", "1M")
