# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A set of bytes, kept as sorted, disjoint, half-open ranges that never touch."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from heapq import merge
from typing import Any, Iterable, Iterator, List, Optional, Tuple

Range = Tuple[int, int]

# Rewriting the whole set costs one step per range; single changes cost a search and a shift each.
_REBUILD_RATIO = 8


class RangeSet:
    """A mutable set of byte offsets. Ranges are (start, end) in bytes, ``end`` not included.

    Every method raises ValueError for a range that starts below 0 or ends before it starts; an empty
    range is allowed and changes nothing. Not thread-safe. Do not change a set while iterating over it.
    """

    __slots__ = ("_ends", "_starts", "_total")

    def __init__(self, pairs: Iterable[Range] = ()) -> None:
        self._starts: List[int] = []
        self._ends: List[int] = []
        self._total = 0
        for start, end in pairs:
            self.add(start, end)

    @classmethod
    def span(cls, start: int, end: int) -> RangeSet:
        """Return the set that is the one range [start, end)."""
        _check(start, end)
        result = cls()
        if start < end:
            result._append(start, end)
        return result

    @classmethod
    def from_list(cls, data: Any, limit: Optional[int] = None) -> RangeSet:
        """Return the set that ``to_list`` described, from untrusted JSON.

        ``limit``: no range may end above this offset in bytes. ValueError: not a list of pairs of
        integers, a range that is empty or negative, ranges that overlap or do not ascend.
        """
        if not isinstance(data, (list, tuple)):
            raise ValueError("ranges: found %s, expected a list" % type(data).__name__)
        result, last = cls(), 0
        for position, item in enumerate(data):
            start, end = _untrusted_range(position, item)
            if start < last:
                raise ValueError("ranges[%d]: starts at %d, expected at least %d" % (position, start, last))
            if limit is not None and end > limit:
                raise ValueError("ranges[%d]: ends at %d, expected at most %d" % (position, end, limit))
            result.add(start, end)
            last = end
        return result

    @classmethod
    def from_gaps(cls, data: Any, limit: int) -> RangeSet:
        """Return the set that ``to_gaps`` described, from untrusted JSON.

        ValueError: not pairs of integers, ranges that are empty or touch, or one that ends above ``limit``.
        """
        if not isinstance(data, list) or len(data) % 2 or not all(map(is_integer, data)):
            raise ValueError("gaps: expected a list of pairs of integers")
        result, end = cls(), 0
        for position in range(0, len(data), 2):
            gap, length = data[position : position + 2]
            if gap < (1 if position else 0) or length < 1 or end + gap + length > limit:
                found = (position, gap, length, limit)
                raise ValueError("gaps[%d]: %d bytes, then a range of %d, expected some up to %d" % found)
            result._append(end + gap, end + gap + length)
            end += gap + length
        return result

    @property
    def total(self) -> int:
        """The number of bytes in the set."""
        return self._total

    @property
    def span_end(self) -> int:
        """The end of the last range; 0 for the empty set."""
        return self._ends[-1] if self._ends else 0

    def add(self, start: int, end: int) -> None:
        """Add the bytes of [start, end)."""
        _check(start, end)
        if start == end:
            return
        starts, ends = self._starts, self._ends
        first = bisect_left(ends, start)
        last = bisect_right(starts, end, first)
        if first < last:
            start, end = min(start, starts[first]), max(end, ends[last - 1])
            self._total -= sum(ends[first:last]) - sum(starts[first:last])
        starts[first:last] = (start,)
        ends[first:last] = (end,)
        self._total += end - start

    def discard(self, start: int, end: int) -> None:
        """Remove the bytes of [start, end) that are in the set."""
        _check(start, end)
        starts, ends = self._starts, self._ends
        first = bisect_right(ends, start)
        last = bisect_left(starts, end, first)
        if start == end or first >= last:
            return
        kept = []
        if starts[first] < start:
            kept.append((starts[first], start))
        if end < ends[last - 1]:
            kept.append((end, ends[last - 1]))
        self._total -= sum(ends[first:last]) - sum(starts[first:last])
        starts[first:last] = [pair[0] for pair in kept]
        ends[first:last] = [pair[1] for pair in kept]
        self._total += sum(pair[1] - pair[0] for pair in kept)

    def update(self, other: RangeSet) -> None:
        """Put all of ``other`` in."""
        if len(other._starts) * _REBUILD_RATIO < len(self._starts):
            for start, end in other:
                self.add(start, end)
        else:
            self._replace(RangeSet(merge(self, other)))

    def difference_update(self, other: RangeSet) -> None:
        """Take all of ``other`` out."""
        if other is self:
            self._replace(RangeSet())
        elif len(other._starts) * _REBUILD_RATIO < len(self._starts):
            for start, end in other:
                self.discard(start, end)
        else:
            self._replace(self & other._complement(self.span_end))

    def covers(self, start: int, end: int) -> bool:
        """Whether every byte of [start, end) is in the set."""
        _check(start, end)
        index = bisect_right(self._starts, start) - 1
        return start == end or (index >= 0 and end <= self._ends[index])

    def overlaps(self, start: int, end: int) -> bool:
        """Whether any byte of [start, end) is in the set."""
        _check(start, end)
        index = bisect_right(self._ends, start)
        return start < end and index < len(self._starts) and self._starts[index] < end

    def within(self, start: int, end: int) -> RangeSet:
        """Return the part of the set that lies in [start, end)."""
        _check(start, end)
        result = RangeSet()
        if start == end:
            return result
        first = bisect_right(self._ends, start)
        last = bisect_left(self._starts, end, first)
        for index in range(first, last):
            result._append(max(start, self._starts[index]), min(end, self._ends[index]))
        return result

    def first_in(self, start: int, end: int) -> Optional[Range]:
        """Return the part of the lowest range that lies in [start, end), None if there is none."""
        _check(start, end)
        index = bisect_right(self._ends, start)
        if start >= end or index >= len(self._starts) or self._starts[index] >= end:
            return None
        return max(start, self._starts[index]), min(end, self._ends[index])

    def end_of_first(self, count: int, default: int) -> int:
        """Return the end of the ``count``-th range, or ``default`` if no range follows it."""
        return self._ends[count - 1] if len(self._ends) > count else default

    def first_gap(self, start: int, end: int) -> Optional[Range]:
        """Return the lowest range of [start, end) that is not in the set, None if there is none."""
        _check(start, end)
        index = bisect_right(self._ends, start)
        if index < len(self._starts) and self._starts[index] <= start:
            start = self._ends[index]
            index += 1
        if start >= end:
            return None
        return start, min(end, self._starts[index]) if index < len(self._starts) else end

    def first_shared(self, other: RangeSet, limit: int, after: int = 0) -> Optional[Range]:
        """Return the lowest range at or after ``after`` that is in both sets, None if there is none.

        It is cut to ``limit`` bytes. ValueError: ``limit`` is not positive.
        """
        if limit <= 0:
            raise ValueError("limit is %d, expected at least 1 byte" % limit)
        mine = theirs = 0
        start = after
        while True:
            mine = bisect_right(self._ends, start, mine)
            theirs = bisect_right(other._ends, start, theirs)
            if mine >= len(self._starts) or theirs >= len(other._starts):
                return None
            start = max(start, self._starts[mine], other._starts[theirs])
            end = min(self._ends[mine], other._ends[theirs], start + limit)
            if start < end:
                return start, end

    def copy(self) -> RangeSet:
        """Return an independent set of the same bytes."""
        result = RangeSet()
        result._starts, result._ends, result._total = self._starts[:], self._ends[:], self._total
        return result

    def to_list(self) -> List[List[int]]:
        """Return the ranges as JSON: [[start, end], ...]."""
        return [[start, end] for start, end in self]

    def to_gaps(self) -> List[int]:
        """Return the ranges as compact JSON: gap before the range, its length, gap before the next, ..."""
        numbers: List[int] = []
        last = 0
        for start, end in self:
            numbers += (start - last, end - start)
            last = end
        return numbers

    def __iter__(self) -> Iterator[Range]:
        return zip(self._starts, self._ends)

    def __bool__(self) -> bool:
        return bool(self._starts)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RangeSet):
            return NotImplemented
        return self._starts == other._starts and self._ends == other._ends

    __hash__ = None  # type: ignore[assignment]  # the set is mutable

    def __repr__(self) -> str:
        return "RangeSet(%r)" % (list(self),)

    def __or__(self, other: RangeSet) -> RangeSet:
        result = self.copy()
        result.update(other)
        return result

    def __sub__(self, other: RangeSet) -> RangeSet:
        result = self.copy()
        result.difference_update(other)
        return result

    def __and__(self, other: RangeSet) -> RangeSet:
        result = RangeSet()
        mine = theirs = 0
        while mine < len(self._starts) and theirs < len(other._starts):
            start = max(self._starts[mine], other._starts[theirs])
            end = min(self._ends[mine], other._ends[theirs])
            if start < end:
                result._append(start, end)
            if self._ends[mine] == end:
                mine += 1
            if other._ends[theirs] == end:
                theirs += 1
        return result

    def _append(self, start: int, end: int) -> None:
        """Add a range that must lie behind all others and touch none."""
        self._starts.append(start)
        self._ends.append(end)
        self._total += end - start

    def _complement(self, end: int) -> RangeSet:
        result, last = RangeSet(), 0
        for start, stop in self:
            if start >= end:
                break
            if last < start:
                result._append(last, start)
            last = stop
        if last < end:
            result._append(last, end)
        return result

    def _replace(self, other: RangeSet) -> None:
        self._starts, self._ends, self._total = other._starts, other._ends, other._total


def _check(start: int, end: int) -> None:
    if not 0 <= start <= end:
        raise ValueError("range [%r, %r): expected 0 <= start <= end" % (start, end))


def _untrusted_range(position: int, item: Any) -> Range:
    if not isinstance(item, (list, tuple)) or len(item) != 2 or not all(map(is_integer, item)):
        raise ValueError("ranges[%d]: expected a pair of integers" % position)
    start, end = item
    if not 0 <= start < end:
        raise ValueError("ranges[%d]: [%d, %d), expected 0 <= start < end" % (position, start, end))
    return start, end


def is_integer(value: Any) -> bool:
    """Whether a value from JSON is an integer; true and false are not, although bool is an int in Python."""
    return isinstance(value, int) and not isinstance(value, bool)
