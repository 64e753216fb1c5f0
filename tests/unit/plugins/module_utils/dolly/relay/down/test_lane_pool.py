# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several lanes to one child, and a disk that gives nothing to the only one that has something to bring."""

from __future__ import annotations

import dataclasses

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.plan.job import Image, NodeSpec
from ansible_collections.dolly.ring.plugins.module_utils.dolly.ranges import RangeSet
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay.down.lane_pool import LanePool
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay.down.scheduler import Scheduler
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay.image.ledger import Ledger
from ansible_collections.dolly.ring.plugins.module_utils.dolly.wire.messages import Need
from ansible_collections.dolly.ring.tests.unit.plugins.module_utils.dolly.relay.relay_doubles import (
    CHUNK,
    TIMEOUTS,
    make_context,
)


class SendLane:
    """A thread on a lane; `is_waiting_for_file`: in a read that does not return."""

    def __init__(self, is_waiting_for_file):
        self.lane = self
        self.is_waiting_for_file = is_waiting_for_file
        self.sent = 0

    def abort(self):
        pass


class Owner:
    def __init__(self):
        self.errors = []

    def storage_failed(self, error):
        self.errors.append(error)


@pytest.mark.parametrize("is_hung", [True, False])
def test_an_idle_lane_does_not_hide_that_the_disk_gives_nothing(is_hung):
    context = make_context(timeouts=dataclasses.replace(TIMEOUTS, stall=1))
    context.reactor.close()
    ledger = Ledger(Image(CHUNK, CHUNK), True)
    ledger.hold_all(RangeSet())
    claims, owner = Scheduler(ledger, CHUNK), Owner()
    lanes = LanePool(context, NodeSpec("n1", "127.0.0.1", 7, ("127.0.0.2",)), claims, owner)
    for number, sending in ((1, SendLane(is_hung)), (2, SendLane(False))):
        claims.open_lane(number)
        lanes._slot_of[number], lanes._sending[number] = lanes._slots[number - 1], sending
    claims.replace(Need(1, ((0, CHUNK),), (), {}, 0, 0))
    assert claims.claim(1).end == CHUNK
    lanes.beat(0.0)
    lanes.beat(1.5)
    assert [error.fields["what"] for error in owner.errors] == ["gave nothing"] * is_hung
