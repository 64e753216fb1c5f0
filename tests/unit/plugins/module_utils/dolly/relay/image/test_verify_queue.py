# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which chunks wait to be read back: those that were offered, in order, but for those that somebody writes into."""

from __future__ import annotations

from ansible_collections.dolly.ring.plugins.module_utils.dolly.ranges import RangeSet
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay.image.verify_queue import VerifyQueue


def test_the_lowest_comes_first_and_only_once():
    backlog = VerifyQueue()
    assert backlog.take() is None and not backlog
    assert backlog.offer(RangeSet([(5, 7)])) and backlog.offer(RangeSet([(2, 3), (6, 8)]))
    assert [backlog.take() for _unused in range(5)] == [2, 5, 6, 7, None]


def test_nobody_is_sent_to_a_chunk_that_is_written():
    backlog = VerifyQueue()
    backlog.begin(RangeSet([(0, 3)]))
    backlog.begin(RangeSet([(2, 4)]))
    assert not backlog.offer(RangeSet([(1, 4)])) and not backlog
    backlog.end(0, 3)
    assert [backlog.is_written(index) for index in range(5)] == [False, False, True, True, False]
    assert backlog.offer(RangeSet([(1, 4)])) and backlog.take() == 1 and not backlog
    backlog.end(2, 4)
    assert not backlog.is_written(2)


def test_what_was_dropped_does_not_wait_any_more():
    backlog = VerifyQueue()
    backlog.offer(RangeSet([(0, 1000)]))
    backlog.drop(1, 999)
    assert [backlog.take(), backlog.take(), backlog.take()] == [0, 999, None]
