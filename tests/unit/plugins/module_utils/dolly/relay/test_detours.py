# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A child whose connection broke is dialled at its other addresses, by who still is a parent."""

from __future__ import annotations

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.plan.job import Image, NodeSpec, Plan
from ansible_collections.dolly.ring.plugins.module_utils.dolly.recovery import healer as heal
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay.down import downstream
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay.image.ledger import Ledger
from ansible_collections.dolly.ring.plugins.module_utils.dolly.status.snapshot import Board
from ansible_collections.dolly.ring.tests.unit.plugins.module_utils.dolly.relay.relay_doubles import (
    CHUNK,
    RUN_ID,
    TIMEOUTS,
    make_context,
)


class Link:
    """Linked at once; its connection breaks when the test says so."""

    dialled = 0

    def __init__(self, context, plan, rank, owner, ledger, patience_s, is_detour=False):
        type(self).dialled += 1
        self.rank, self.node, self.is_detour = rank, plan.nodes[rank], is_detour
        self.was_cut, self.is_linked, self.is_sending = True, True, False


class Owner:
    def subtree_changed(self):
        pass


@pytest.fixture
def family(monkeypatch):
    monkeypatch.setattr(Link, "dialled", 0)
    monkeypatch.setattr(downstream, "ChildLink", Link)
    child = NodeSpec("n2", "127.0.0.1", 9, ("127.0.0.2",))
    specs = (NodeSpec("n0", "127.0.0.1", 7), NodeSpec("n1", "127.0.0.1", 8), child)
    plan = Plan(RUN_ID, specs, 1, Image(CHUNK, CHUNK), "readback", True, TIMEOUTS)
    context = make_context("n1")
    found = downstream.Downstream(context, plan, 1, Ledger(plan.image, True), Board(1), Owner())
    found.handle(heal.SetUp((2,)))
    yield found
    context.reactor.close()


def test_a_parent_tries_the_other_address(family):
    family.child_gone(family._links[2], "lost", "a cable")
    assert Link.dialled == 2 and family.board.get(2) is None


def test_who_is_no_parent_any_more_leaves_that_to_others(family):
    """Behind the same address there may be a new process, which lacks everything."""
    family.handle(heal.ChildLinked(2))
    family.handle(heal.MadeLeaf())
    family.child_gone(family._links[2], "lost", "a cable")
    assert Link.dialled == 1 and family.is_finished and family.board.get(2).state == "lost"
