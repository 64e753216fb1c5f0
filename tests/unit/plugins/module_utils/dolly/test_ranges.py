# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""RangeSet against a plain set of integers."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.dolly.ring.plugins.module_utils.dolly.ranges import RangeSet

TOP = 60
PAIR = st.tuples(st.integers(0, TOP), st.integers(0, TOP)).map(sorted).map(tuple)
# Single bytes give sets of many ranges, pairs give long ones.
PAIRS = st.lists(PAIR, max_size=6) | st.lists(st.integers(0, TOP).map(lambda n: (n, n + 1)), max_size=40)
STEPS = st.lists(st.tuples(st.sampled_from(["add", "discard"]), PAIR), max_size=20)


def plain(pairs):
    return {byte for start, end in pairs for byte in range(start, end)}


def build(pairs):
    ranges = RangeSet(pairs)
    check(ranges, plain(pairs))
    return ranges


def check(ranges, expected):
    """The set is what it should be, in its normal form, with its total up to date."""
    pairs = list(ranges)
    assert plain(pairs) == expected
    assert ranges.total == len(expected)
    assert all(start < end for start, end in pairs)
    assert all(left[1] < right[0] for left, right in zip(pairs, pairs[1:]))
    assert bool(ranges) == bool(expected)
    assert ranges.span_end == max(expected, default=-1) + 1


@given(PAIRS, STEPS)
def test_add_and_discard(pairs, steps):
    ranges, expected = build(pairs), plain(pairs)
    for name, (start, end) in steps:
        getattr(ranges, name)(start, end)
        expected = expected | set(range(start, end)) if name == "add" else expected - set(range(start, end))
        check(ranges, expected)


@given(PAIRS, PAIRS)
def test_operators(one, two):
    left, right = build(one), build(two)
    check(left | right, plain(one) | plain(two))
    check(left & right, plain(one) & plain(two))
    check(left - right, plain(one) - plain(two))
    check(left, plain(one))
    check(right, plain(two))


@given(PAIRS, PAIRS)
def test_updates_in_place(one, two):
    added, taken, other = build(one), build(one), build(two)
    added.update(other)
    taken.difference_update(other)
    check(added, plain(one) | plain(two))
    check(taken, plain(one) - plain(two))
    added.add(TOP + 5, TOP + 6)
    check(other, plain(two))


@given(PAIRS)
def test_updates_with_itself(pairs):
    ranges = build(pairs)
    ranges.update(ranges)
    check(ranges, plain(pairs))
    ranges.difference_update(ranges)
    check(ranges, set())


@given(st.lists(PAIR, max_size=2))
def test_small_change_of_a_set_of_many_ranges(pairs):
    many = [(n, n + 1) for n in range(0, TOP, 2)]
    added, taken = build(many), build(many)
    added.update(RangeSet(pairs))
    taken.difference_update(RangeSet(pairs))
    check(added, plain(many) | plain(pairs))
    check(taken, plain(many) - plain(pairs))


@given(PAIRS, PAIR)
def test_covers_overlaps_within_gap(pairs, span):
    ranges, held, asked = build(pairs), plain(pairs), set(range(*span))
    assert ranges.covers(*span) == (asked <= held)
    assert ranges.overlaps(*span) == bool(asked & held)
    check(ranges.within(*span), asked & held)
    gap = ranges.first_gap(*span)
    free = sorted(asked - held)
    if not free:
        assert gap is None
    else:
        end = next(byte for byte in range(free[0], span[1] + 1) if byte in held or byte == span[1])
        assert gap == (free[0], end)


@given(PAIRS, PAIRS, st.integers(1, 20), st.integers(0, TOP + 5))
@settings(max_examples=300)
def test_first_shared(one, two, limit, after):
    found = build(one).first_shared(build(two), limit, after)
    shared = sorted(byte for byte in plain(one) & plain(two) if byte >= after)
    if not shared:
        assert found is None
    else:
        end = shared[0]
        while end in shared and end - shared[0] < limit:
            end += 1
        assert found == (shared[0], end)


def test_first_shared_refuses_a_limit_of_nothing():
    with pytest.raises(ValueError, match="limit"):
        RangeSet.span(0, 9).first_shared(RangeSet.span(0, 9), 0)


@given(PAIRS, PAIRS)
def test_equality(one, two):
    assert (build(one) == build(two)) == (plain(one) == plain(two))
    assert RangeSet(one) != plain(one)


@given(PAIRS)
def test_json_round_trip(pairs):
    ranges = build(pairs)
    again = RangeSet.from_list(json.loads(json.dumps(ranges.to_list())), limit=TOP + 1)
    check(again, plain(pairs))


@given(PAIRS)
def test_a_copy_is_independent(pairs):
    ranges = build(pairs)
    other = ranges.copy()
    other.add(TOP + 10, TOP + 11)
    check(ranges, plain(pairs))
    check(other, plain(pairs) | {TOP + 10})


def test_span_and_repr():
    assert list(RangeSet.span(3, 7)) == [(3, 7)]
    assert not RangeSet.span(3, 3)
    assert repr(RangeSet([(5, 6), (1, 2)])) == "RangeSet([(1, 2), (5, 6)])"


def test_touching_untrusted_ranges_are_joined():
    assert list(RangeSet.from_list([[0, 5], [5, 9]])) == [(0, 9)]


@pytest.mark.parametrize("data, what", [
    (None, "expected a list"), ({}, "expected a list"), ("[]", "expected a list"),
    ([5], "pair of integers"), ([[1]], "pair of integers"), ([[1, 2, 3]], "pair of integers"),
    ([[True, 2]], "pair of integers"), ([[0, 1.0]], "pair of integers"), ([["0", 1]], "pair of integers"),
    (["01"], "pair of integers"), ([[3, 3]], "start < end"), ([[4, 3]], "start < end"),
    ([[-1, 3]], "start < end"),
    ([[0, 5], [4, 9]], "expected at least 5"), ([[5, 9], [0, 2]], "expected at least 9"),
    ([[0, 101]], "expected at most 100"),
])
def test_untrusted_ranges_are_refused(data, what):
    with pytest.raises(ValueError, match=what):
        RangeSet.from_list(data, limit=100)


@pytest.mark.parametrize("name", ["add", "discard", "covers", "overlaps", "within", "first_gap"])
@pytest.mark.parametrize("start, end", [(-1, 3), (4, 3)])
def test_impossible_ranges_are_refused(name, start, end):
    ranges = RangeSet([(0, 10)])
    with pytest.raises(ValueError, match="0 <= start <= end"):
        getattr(ranges, name)(start, end)
    check(ranges, set(range(10)))


@given(PAIRS)
def test_gaps_survive_json(pairs):
    ranges = build(pairs)
    found = RangeSet.from_gaps(json.loads(json.dumps(ranges.to_gaps())), TOP + 1)
    check(found, plain(pairs))
    assert found == ranges


@given(st.lists(st.integers(-2, 6), max_size=8))
def test_any_numbers_are_gaps_or_refused(numbers):
    """There is one way to write a set."""
    try:
        found = RangeSet.from_gaps(numbers, 20)
    except ValueError:
        return
    assert found.to_gaps() == numbers and found.span_end <= 20
    check(found, plain(found))


def test_first_in():
    ranges = RangeSet([(2, 5), (8, 10)])
    assert [ranges.first_in(*bounds) for bounds in ((0, 3), (3, 20), (5, 8), (5, 9), (10, 12), (4, 4))] == [
        (2, 3), (3, 5), None, (8, 9), None, None,
    ]  # fmt: skip


def test_end_of_first():
    ranges = RangeSet([(2, 5), (8, 10)])
    assert [ranges.end_of_first(count, 99) for count in (1, 2, 3)] == [5, 99, 99]
