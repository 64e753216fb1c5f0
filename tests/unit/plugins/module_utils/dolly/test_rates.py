# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rates come from a sliding window."""

from __future__ import annotations

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.rates import RateMeter, eta


def test_rate_of_a_steady_flow():
    meter = RateMeter(5.0)
    assert meter.rate(0.0) == 0.0
    for tick in range(200):
        meter.add(tick * 0.1, tick * 100)
    assert meter.rate(19.9) == pytest.approx(1000.0)


def test_rate_follows_a_change_within_the_window():
    meter = RateMeter(5.0)
    for second in range(11):
        meter.add(float(second), 1000 * min(second, 5))
    assert meter.rate(7.0 + 3.0) == pytest.approx(0.0)
    assert RateMeter().rate(3.0) == 0.0


def test_rate_falls_when_nothing_arrives_any_more():
    meter = RateMeter(5.0)
    meter.add(0.0, 0)
    meter.add(5.0, 5000)
    assert meter.rate(5.0) == pytest.approx(1000.0)
    assert meter.rate(7.5) == pytest.approx(500.0)
    assert meter.rate(100.0) == 0.0


def test_rate_before_a_whole_window_has_passed():
    meter = RateMeter(5.0)
    meter.add(10.0, 500)
    assert meter.rate(10.0) == 0.0
    meter.add(12.0, 2500)
    assert meter.rate(12.0) == pytest.approx(1000.0)


def test_rate_is_never_negative():
    meter = RateMeter(5.0)
    meter.add(0.0, 1000)
    meter.add(1.0, 10)
    assert meter.rate(1.0) == 0.0


def test_many_samples_cost_little_memory_and_no_accuracy():
    meter = RateMeter(5.0)
    for tick in range(50000):
        meter.add(tick / 5000.0, tick * 10)
    assert len(meter._samples) < 140
    assert meter.rate(10.0) == pytest.approx(50000.0, rel=0.01)


def test_a_clock_that_jumps_back_does_no_harm():
    meter = RateMeter(5.0)
    for now, total in ((10.0, 0), (9.0, 50), (11.0, 100)):
        meter.add(now, total)
    assert meter.rate(11.0) == pytest.approx(100.0)


@pytest.mark.parametrize("total, held, rate, expected", [
    (100, 50, 10.0, 5.0), (100, 100, 0.0, 0.0), (100, 50, 0.0, None), (None, 50, 10.0, None),
    (0, 0, 0.0, 0.0),
])
def test_eta(total, held, rate, expected):
    assert eta(total, held, rate) == expected
