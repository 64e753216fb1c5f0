# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where time goes, by a clock that the tests move."""

from __future__ import annotations

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.status.profile import IDLE, Profile, Stopwatch


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def profile(clock):
    return Profile(clock)


def spend(clock, watch, *steps):
    for what, seconds in steps:
        watch.turn_to(what)
        clock.now += seconds


class TestStopwatch:
    def test_counts_what_is_over_and_what_is_not(self, clock):
        watch = Stopwatch(clock)
        clock.now += 1
        spend(clock, watch, ("receive", 2), ("write", 3), ("receive", 4))
        assert watch.doing == "receive"
        assert watch.span().seconds == {IDLE: 1, "receive": 6, "write": 3}

    def test_a_wait_for_nothing_is_idle(self, clock):
        watch = Stopwatch(clock)
        spend(clock, watch, ("receive", 2), ("write", 3), ("receive", 4))
        assert watch.span("receive").seconds == {IDLE: 4, "receive": 2, "write": 3}
        assert watch.span("receive").seconds == watch.span("receive").seconds  # looking changes nothing

    @pytest.mark.parametrize(("is_in_vain", "expected"), [(True, {"receive": 2, IDLE: 4}), (False, {"receive": 6})])
    def test_a_thread_that_has_ended_does_not_go_on_counting(self, clock, is_in_vain, expected):
        watch = Stopwatch(clock)
        spend(clock, watch, ("receive", 2), ("write", 0), ("receive", 4))
        watch.stop(is_in_vain)
        clock.now += 50
        assert {what: seconds for what, seconds in watch.span().seconds.items() if seconds} == expected
        assert watch.span().until == 106


class TestProfile:
    def test_a_node_that_does_everything(self, clock, profile):
        lane, work, child = profile.incoming(), profile.working(), profile.outgoing("n2")
        spend(clock, lane, ("receive", 1), ("write", 2.5))
        lane.stop()
        spend(clock, work, ("read", 0.25), ("hash", 1), ("flush", 0.5))
        work.stop()
        spend(clock, child, ("send", 3), ("lack", 0.125))
        child.stop()
        assert profile.times(10.0, True) == {
            "receive": 1.0,
            "write": 2.5,
            "read": 0.25,
            "hash": 1.0,
            "flush": 0.5,
            "idle": 6.0,
            "children": {"n2": {"send": 3.0, "lack": 0.12}},
        }

    def test_nothing_yet(self, profile):
        assert profile.times(0.0, False) == {}

    def test_the_wait_after_the_last_byte_is_not_for_the_parent(self, clock, profile):
        lane = profile.incoming()
        spend(clock, lane, ("receive", 1), ("write", 1), ("receive", 8))
        assert profile.times(10.0, False)["receive"] == 9
        assert profile.times(10.0, True) == {"receive": 1, "write": 1, "idle": 8}

    def test_lanes_side_by_side_count_as_one(self, clock, profile):
        lanes = [profile.incoming() for _unused in range(4)]
        for lane in lanes[:3]:
            lane.turn_to("receive")
        lanes[3].turn_to("write")
        clock.now += 8
        assert profile.times(8.0, False) == {"receive": 6, "write": 2}

    def test_a_lane_in_place_of_another_one_adds_to_it(self, clock, profile):
        for _unused in range(2):
            lane = profile.incoming()
            spend(clock, lane, ("receive", 3), ("write", 1))
            lane.stop()
        clock.now += 2
        assert profile.times(10.0, True) == {"receive": 6, "write": 2, "idle": 2}

    def test_what_was_digested_before_the_start_does_not_count(self, clock, profile):
        work = profile.working()
        spend(clock, work, ("read", 5), ("hash", 7), (IDLE, 1))
        profile.start()
        spend(clock, work, ("read", 1), ("hash", 2))
        assert profile.times(3.0, True) == {"read": 1, "hash": 2}
