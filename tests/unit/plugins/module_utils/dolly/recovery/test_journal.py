# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A journal says exactly what was written into it, or nothing."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.dolly.ring.plugins.module_utils.dolly.ranges import RangeSet
from ansible_collections.dolly.ring.plugins.module_utils.dolly.recovery import journal
from ansible_collections.dolly.ring.plugins.module_utils.dolly.recovery.journal import Shape

SHAPE = Shape("serial 1, size 1000", 1000, 64)
CLAIMED = RangeSet([(0, 128), (960, 1000)])
FIELDS = json.loads(journal.encode(SHAPE, CLAIMED))


@st.composite
def shapes_and_sets(draw):
    shape = Shape(draw(st.text(max_size=30)), draw(st.integers(1, 5000)), draw(st.integers(1, 700)))
    points = st.tuples(st.integers(0, shape.size), st.integers(0, shape.size))
    pairs = draw(st.lists(points, max_size=8))
    return shape, RangeSet((min(pair), max(pair)) for pair in pairs)


@given(shapes_and_sets())
def test_what_is_read_back_is_every_chunk_that_was_whole_and_nothing_else(case):
    shape, claimed = case
    found = journal.decode(journal.encode(shape, claimed), shape)
    for index in range(shape.chunk_count):
        start, end = index * shape.chunk_size, min(shape.size, (index + 1) * shape.chunk_size)
        assert found.covers(start, end) == claimed.covers(start, end)
        assert found.covers(start, end) or not found.overlaps(start, end)
    assert found.span_end <= shape.size


@given(shapes_and_sets(), shapes_and_sets())
def test_a_journal_of_something_else_claims_nothing(case, other):
    shape, claimed = case
    assert shape == other[0] or not journal.decode(journal.encode(shape, claimed), other[0])


@pytest.mark.parametrize(
    "other", [Shape("serial 2", 1000, 64), Shape(SHAPE.target, 1001, 64), Shape(SHAPE.target, 1000, 65)]
)
def test_target_size_and_chunk_size_must_be_the_same(other):
    assert journal.decode(journal.encode(SHAPE, CLAIMED), SHAPE) == CLAIMED
    assert not journal.decode(journal.encode(SHAPE, CLAIMED), other)


@given(st.binary(max_size=300))
def test_garbage_claims_nothing_and_raises_nothing(data):
    assert journal.decode(data, SHAPE) == RangeSet()


@given(st.integers(0, 200), st.integers(0, 255))
def test_a_journal_that_was_cut_short_or_damaged_claims_nothing_beyond_the_image(length, value):
    data = journal.encode(SHAPE, CLAIMED)
    assert length >= len(data) or not journal.decode(data[:length], SHAPE)
    damaged = bytearray(data)
    damaged[length % len(data)] = value
    assert journal.decode(bytes(damaged), SHAPE).span_end <= SHAPE.size


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200)
@given(st.sampled_from(sorted(FIELDS)), JSON)
def test_another_value_in_one_field(name, value):
    found = journal.decode(json.dumps({**FIELDS, name: value}).encode(), SHAPE)
    if name != "chunks":
        assert not found or value == FIELDS[name]
    assert found.span_end <= SHAPE.size


@pytest.mark.parametrize(
    "change",
    [
        {"dolly-journal": True},
        {"dolly-journal": 2},
        {"size": 1000.0},
        {"more": 1},
        {"chunks": [[0, 17]]},
        {"chunks": [[3, 4], [0, 1]]},
        {"chunks": [[-1, 4]]},
        {"chunks": None},
    ],
)
def test_what_is_no_journal(change):
    assert not journal.decode(json.dumps({**FIELDS, **change}).encode(), SHAPE)


def test_no_journal_is_too_deep_or_too_long():
    assert not journal.decode(b"[" * 100_000, SHAPE)
    assert not journal.decode(b" " * (journal.MAX_LENGTH + 1), SHAPE)
    far = 1 << 62
    with pytest.raises(ValueError):
        journal.encode(Shape("target", 2 * far, 1), RangeSet((far + at, far + at + 1) for at in range(0, 200_000, 2)))


def test_merge_keeps_what_was_not_looked_at_yet():
    assert list(journal.merge(RangeSet.span(0, 64), RangeSet.span(128, 192))) == [(0, 64), (128, 192)]
