# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which piece of a child's need goes on which of its lanes.

Outstanding is the child's latest NEED minus the pieces under way: claimed by a lane and not yet counted by
the child. A piece is claimed by one lane only, and is given back only after that lane's thread has ended.
"""

from __future__ import annotations

import collections
from typing import Deque, Dict, Mapping, NamedTuple, Optional, Tuple

from ...ranges import RangeSet
from ...recovery.slow_lane import LaneSight
from ...status.profile import IDLE, Stopwatch
from ...wire.messages import MAX_DATA, MAX_ZERO, Need
from ..image.ledger import Ledger

#: Size of a piece for a child that is held back.
_SMALL = 256 * 1024
#: Repairs allowed per child, in multiples of the image. A node gives up at the third try of a chunk with each
#: parent that it has.
MAX_REPAIRS = 8


class Piece(NamedTuple):
    """A range for one frame."""

    start: int
    end: int
    is_zero: bool


class Scheduler:
    """The need of one child. Locked by the ledger's condition: one wait covers new data and new need."""

    def __init__(self, ledger: Ledger, block_size: int = 0) -> None:
        self._ledger = ledger
        self._block_size = block_size or MAX_DATA
        self._todo = RangeSet()
        self._repair = RangeSet()
        self._under_way: Dict[int, Deque[Piece]] = {}
        #: The claimed ranges: pieces of small extents are many, and lie side by side.
        self._claimed = RangeSet()
        self._counted: Dict[int, int] = {}
        self._is_closed = False
        self._safe: Optional[int] = None
        self._below = 0
        self._budget: Optional[int] = None
        self.sent = 0
        #: Bytes that were sent again because they had failed verification.
        self.repaired = 0
        #: The highest end of any piece that was claimed.
        self.highest = 0

    @property
    def has_todo(self) -> bool:
        """Whether the child still waits for bytes, under way or not, or has not said yet what it wants."""
        with self._ledger.changed:
            return self._safe is None or bool(self._todo) or any(self._under_way.values())

    @property
    def has_backlog(self) -> bool:
        """Whether the child waits for something that could be sent and that no lane has claimed yet."""
        with self._ledger.changed:
            return self._find() is not None

    @property
    def is_greedy(self) -> bool:
        """Whether the child has had more repairs than any disk can need, and asks on."""
        return self.repaired > MAX_REPAIRS * max(self._ledger.held.span_end, self._ledger.image.chunk_size)

    @property
    def is_held_back(self) -> bool:
        """Whether the child gets only a limited number of bytes."""
        return self._budget is not None

    def hold_back(self, count: Optional[int]) -> None:
        """Allow `count` bytes more, and at most as many left over from the last time; None: no limit."""
        with self._ledger.changed:
            self._budget = None if count is None else min(count, self._budget or 0) + count
            self._ledger.changed.notify_all()

    def by_lane(self) -> Tuple[Dict[int, LaneSight], bool]:
        """What each open lane has brought and has still to bring, and whether anything waits for a lane."""
        with self._ledger.changed:
            sights = {lane: LaneSight(self._counted[lane], len(found)) for lane, found in self._under_way.items()}
            return sights, bool(self._todo)

    def replace(self, need: Need) -> None:
        """Take the child's newest NEED: what it lacks, and how many pieces came on each lane."""
        with self._ledger.changed:
            self._forget_arrived(need.received)
            todo = RangeSet(need.wanted)
            mapped = self._ledger.image.mapped
            if mapped is not None:
                # Bytes that are not mapped are leftovers of an earlier use of the target: never send them.
                todo = todo & mapped
            todo.difference_update(self._claimed)
            self._todo = todo
            self._repair = RangeSet(need.repair)
            self._safe, self._below = need.safe, need.below
            self._ledger.changed.notify_all()

    def kept(self, with_grandchildren: bool) -> int:
        """The lowest byte that a window must keep for this child, and for its children should it die.

        A child that has not said yet what it wants may want anything that is there.
        """
        with self._ledger.changed:
            if self._safe is None:
                return self._ledger.base
            return min(self._safe, self._below) if with_grandchildren else self._safe

    @property
    def has_everything(self) -> bool:
        """Whether the child has said that it wants nothing any more."""
        with self._ledger.changed:
            return self._safe is not None and self._ledger.image.size is not None and self._safe >= self._ledger.size

    @property
    def gone(self) -> Optional[Tuple[int, int]]:
        """A range that the child wants and that has left the window; only another parent may have it."""
        with self._ledger.changed:
            return self._todo.first_in(0, self._ledger.base)

    def open_lane(self, lane: int) -> None:
        """Allow claims for a lane. A link never uses a number twice."""
        with self._ledger.changed:
            self._under_way[lane] = collections.deque()
            self._counted[lane] = 0

    def close_lane(self, lane: int) -> None:
        """Give back the pieces of a dead lane; only after its thread has ended."""
        with self._ledger.changed:
            for piece in self._under_way.pop(lane, ()):
                self._claimed.discard(piece.start, piece.end)
                self._todo.add(piece.start, piece.end)
            self._counted.pop(lane, None)
            self._ledger.changed.notify_all()

    def close(self) -> None:
        """Make every `claim` return None."""
        with self._ledger.changed:
            self._is_closed = True
            self._ledger.changed.notify_all()

    def claim(self, lane: int, watch: Optional[Stopwatch] = None) -> Optional[Piece]:
        """Wait for a piece that the child needs and this node has; None when the link is over.

        While waiting, `watch` counts `lack` if the child needs something, else `idle`.
        """
        ledger = self._ledger
        with ledger.changed:
            while not self._is_closed and not ledger.is_closed and lane in self._under_way:
                piece = self._find()
                is_allowed = self._budget is None or self._budget > 0
                if piece is not None and is_allowed:
                    self._todo.discard(piece.start, piece.end)
                    self._under_way[lane].append(piece)
                    self._claimed.add(piece.start, piece.end)
                    if self._repair.overlaps(piece.start, piece.end):
                        self.repaired += piece.end - piece.start
                    length = 0 if piece.is_zero else piece.end - piece.start
                    self._spend(length)
                    self.sent += length
                    ledger.sent += length
                    self.highest = max(self.highest, piece.end)
                    return piece
                if watch is not None:
                    watch.turn_to("lack" if self._todo and is_allowed else IDLE)
                ledger.changed.wait()
            return None

    def _find(self) -> Optional[Piece]:
        after = self._ledger.base
        while True:
            found = self._todo.first_shared(self._ledger.held, MAX_ZERO, after)
            if found is None:
                return None
            start, end = self._serveable(*found)
            if start < end:
                return self._cut(start, end)
            after = end

    def _serveable(self, start: int, end: int) -> Tuple[int, int]:
        """The part of a held range that may be sent now. Repairs come from verified, undoubted chunks only.

        Without such a part the result is empty, and its end is where to search on.
        """
        bad = self._repair.first_in(start, end)
        if bad is None:
            return start, end
        bad_start, bad_end = bad
        if bad_start > start:
            return start, bad_start
        sure = RangeSet.span(bad_start, bad_end) - self._ledger.doubtful.within(bad_start, bad_end)
        good = self._ledger.verified.first_shared(sure, self._block_size)
        return good if good is not None else (bad_end, bad_end)

    def _spend(self, length: int) -> None:
        if self._budget is not None:
            self._budget -= length

    def _cut(self, start: int, end: int) -> Piece:
        # What was allowed is to be spent evenly: a piece may take it once only.
        block_size = self._block_size if self._budget is None else min(self._block_size, _SMALL)
        zeros = self._ledger.zeros.first_in(start, end)
        if zeros is not None and zeros[0] == start:
            return Piece(start, zeros[1], True)
        return Piece(start, min(end if zeros is None else zeros[0], start + block_size), False)

    def _forget_arrived(self, received: Mapping[int, int]) -> None:
        for lane, count in received.items():
            pieces = self._under_way.get(lane)
            while pieces and self._counted[lane] < count:
                piece = pieces.popleft()
                self._claimed.discard(piece.start, piece.end)
                self._counted[lane] += 1
