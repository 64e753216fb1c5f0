# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rings of every form, over loopback and between network namespaces."""

from __future__ import annotations

import pytest

from ansible_collections.dolly.ring.tests.integration.ring.images import MIB
from ansible_collections.dolly.ring.tests.integration.ring.networks import Loopback
from ansible_collections.dolly.ring.tests.integration.ring.rack import EVERYWHERE

IMAGE_SIZE = 9 * MIB + 4321  # two whole chunks and an odd end


def check_ring(rack, count, fanout):
    rack.start_clients(count)
    rows = rack.clone(rack.image(IMAGE_SIZE), "--fanout", str(fanout))
    assert list(rows) == list(range(1, count + 1))
    assert all(row.verified and not row.repaired for row in rows.values())


@pytest.mark.parametrize("count, fanout", [(1, 1), (2, 1), (8, 1), (8, 2), (8, 3)])
def test_every_node_gets_the_image(loopback, count, fanout):
    check_ring(loopback, count, fanout)


@pytest.mark.parametrize("count, fanout", [(1, 1), (2, 1), (8, 1), (8, 3)])
def test_every_machine_gets_the_image(namespaces, count, fanout):
    check_ring(namespaces, count, fanout)


def test_without_verifying_nobody_says_verified(loopback):
    loopback.start_clients(2)
    rows = loopback.clone(loopback.image(IMAGE_SIZE), "--verify", "none")
    assert not any(row.verified for row in rows.values())


def test_addresses_of_ipv6(namespaces):
    for index in range(4):
        namespaces.use_address(index, namespaces.network.address_v6(index))
    namespaces.start_clients(3)
    assert namespaces.clone(namespaces.image(IMAGE_SIZE), "--fanout", "2")[3].name == "fd99::4"


def test_loopback_of_ipv6(make_rack):
    rack = make_rack(Loopback(is_v6=True))
    rack.use_address(0, "localhost")  # two nodes may not have the same name
    rack.start_clients(1)
    assert rack.clone(rack.image(IMAGE_SIZE))[1].name == "::1"


def test_a_client_that_listens_everywhere(namespaces):
    """Without --bind, which is how most people start it; both kinds of address lead to it."""
    namespaces.use_address(2, namespaces.network.address_v6(2))
    for index in (1, 2):
        namespaces.start_client(index, bind=EVERYWHERE)
    namespaces.await_listening()
    namespaces.clone(namespaces.image(IMAGE_SIZE))
