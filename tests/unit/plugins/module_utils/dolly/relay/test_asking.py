# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a child asks for at once: no more than its parent can read without a pause."""

from __future__ import annotations

from ansible_collections.dolly.ring.plugins.module_utils.dolly.ranges import RangeSet
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay.up.upstream import first_of
from ansible_collections.dolly.ring.plugins.module_utils.dolly.wire.messages import MAX_RANGES


def spread(count, length=1, step=4):
    return RangeSet((step * number, step * number + length) for number in range(count))


def test_what_fits_is_named_as_it_is():
    wanted, repair = spread(MAX_RANGES), spread(3)
    assert first_of(wanted, repair) == (wanted, repair)


def test_the_first_of_many():
    wanted, _repair = first_of(spread(5 * MAX_RANGES), RangeSet())
    assert wanted == spread(MAX_RANGES)


def test_nothing_is_asked_for_beyond_the_repairs_that_are_named():
    """It would be sent from chunks that nobody has verified."""
    bad = spread(2 * MAX_RANGES, 2)
    wanted, repair = first_of(RangeSet.span(0, 100 * MAX_RANGES), bad)
    assert len(list(repair)) == MAX_RANGES and wanted == RangeSet.span(0, repair.span_end)
