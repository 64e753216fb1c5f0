# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Machines with two interfaces: both work, and neither waits for the other."""

from __future__ import annotations

import json

import pytest

from ansible_collections.dolly.ring.tests.integration.ring.images import MIB
from ansible_collections.dolly.ring.tests.integration.ring.networks import (
    TwinNamespaces,
    call,
    why_no_namespaces,
)
from ansible_collections.dolly.ring.tests.integration.ring.processes import until
from ansible_collections.dolly.ring.tests.integration.ring.rack import EVERYWHERE

SLOW, FAST = 2 * MIB, 20 * MIB
#: A lane that is silent for so long is dead.
SOON = ("--dead-after", "1.5")


@pytest.fixture
def twins(make_rack, folder):
    reason = why_no_namespaces()
    if reason:
        pytest.skip(reason)
    network = TwinNamespaces(4, folder / "hosts")
    yield make_rack(network)
    network.remove()


def start(rack, count, image, *options, add="add 1:-fast"):
    for index in range(1, count + 1):
        rack.start_client(index, bind=EVERYWHERE)
        rack.use_address(index, "n%d" % index)
    rack.await_listening()
    names = "\n".join("n%d" % index for index in range(1, count + 1))
    config = rack.folder / "ring.cfg"
    config.write_text("infile %s\noutfile out.img\n%s\n%s\nendconfig\n" % (image, add, names))
    return rack.start_bare_server("-v", "--json", "-f", str(config), "-S", "n0", *options)


def check(rack, image):
    assert rack.finish() == 0
    for index in rack.clients:
        rack.check_copy(index, image)
    return json.loads(rack.server.out)


def test_both_carry_the_image_also_in_a_tree(twins):
    image = twins.image(24 * MIB)
    for index in range(3):
        twins.network.limit(index, FAST)
        twins.network.limit_second(index, FAST)
    start(twins, 3, image, "--fanout", "2")
    check(twins, image)
    for index in (0, 1):
        shares = [twins.network.sent(index, name) for name in ("eth0", "eth1")]
        assert min(shares) > sum(shares) / 5, "node %d sent %s" % (index, shares)


def test_a_slow_one_takes_less_and_holds_nobody_up(twins):
    image = twins.image(24 * MIB)
    for index in range(3):
        twins.network.limit(index, FAST)
        twins.network.limit_second(index, SLOW)
    start(twins, 2, image)
    check(twins, image)
    fast, slow = (twins.network.sent(0, name) for name in ("eth0", "eth1"))
    assert slow < fast / 3 and fast + slow < 1.4 * 24 * MIB, (fast, slow)


@pytest.mark.parametrize("which", ["second", "first"])
def test_one_that_is_cut_costs_its_share_alone(twins, which):
    image = twins.image(24 * MIB)
    for index in range(2):
        twins.network.limit(index, 3 * MIB)
        twins.network.limit_second(index, 3 * MIB)
    start(twins, 2, image, *SOON)
    twins.await_data(1, 3 * MIB)
    if which == "second":
        twins.network.unplug_second(1)
    else:
        twins.network.unplug(1)
    result = check(twins, image)
    assert [node["state"] for node in result["nodes"]] == ["done", "done"]


def test_one_that_was_never_there(twins):
    image = twins.image(9 * MIB)
    twins.network.limit(0, 3 * MIB)
    start(twins, 1, image, add="add 1:-gone")
    check(twins, image)
    assert "n1-gone" in twins.server.log


def test_another_name_for_the_only_one(twins):
    image = twins.image(5 * MIB)
    start(twins, 1, image, add="add 0:-fast")
    check(twins, image)
    assert twins.network.sent(0, "eth1") > 5 * MIB > twins.network.sent(0, "eth0")


def test_segments_are_as_small_as_told(twins):
    image = twins.image(9 * MIB)
    twins.network.limit(0, 2 * MIB)
    twins.network.limit_second(0, 2 * MIB)
    start(twins, 1, image, "--segsize", "500", "-u", "64k")

    def segments():
        found = []
        for index in (0, 1):
            command = ["ss", "--tcp", "--info", "--no-header", "state", "established"]
            shown = call(*twins.network.command(index, command))
            found.append([int(word[4:]) for word in shown.split() if word.startswith("mss:")])
        return found

    until(lambda: all(len([mss for mss in found if mss <= 500]) >= 2 for found in segments()), "two lanes of 500 bytes")
    check(twins, image)
