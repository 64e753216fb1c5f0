# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""For how long nothing came: from the last bytes of one parent to the first ones of another."""

from __future__ import annotations

from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay.image.outage import Outage


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def made():
    clock = Clock()
    return clock, Outage(clock)


def test_from_the_last_bytes_to_the_next_ones():
    clock, pulse = made()
    pulse.beat()
    clock.now = 105.0
    pulse.interrupt()  # the silence before counts too
    clock.now = 105.5
    assert pulse.stalled == 5.5
    pulse.interrupt()
    pulse.beat()
    clock.now = 200.0
    pulse.beat()
    assert pulse.stalled == 5.5


def test_stalls_add_up():
    clock, pulse = made()
    for _unused in range(3):
        pulse.beat()
        pulse.interrupt()
        clock.now += 2.0
        pulse.beat()
    assert pulse.stalled == 6.0


def test_who_waits_for_nothing_does_not_stand_still():
    clock, pulse = made()
    pulse.interrupt()
    clock.now += 10.0
    pulse.beat()
    assert pulse.stalled == 0
    pulse.interrupt()
    pulse.relax()
    clock.now += 10.0
    assert pulse.stalled == 0
