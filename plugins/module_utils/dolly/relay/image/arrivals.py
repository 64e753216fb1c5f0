# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps the incoming bytes of chunks that were wrong before, to tell damage on the way from a bad target.

A chunk that reads back wrong was damaged by the target or on the way. Bytes go from the socket to the target
unchecked, so the first failure does not tell which. Later, its bytes are kept in memory until the verdict.
"""

from __future__ import annotations

import collections
import threading
from typing import Counter, Dict, Optional, Tuple

from ...buffers import make_buffer
from ...integrity.manifest import PIECE
from ...net.lane import Lane
from ...ranges import RangeSet
from ...storage import linux

#: Bytes kept at a time, unless a single chunk is larger.
_MOST = 32 * 1024 * 1024
#: A chunk larger than this is not kept at all. Only images of many TiB have such chunks.
_LARGEST = 256 * 1024 * 1024


class _Arrival:
    """One chunk: the bytes that came, and the sender of the last of them."""

    def __init__(self, start: int, end: int) -> None:
        self.start = start
        self.data = make_buffer(end - start)
        self.came = RangeSet()
        self.sender = ""


class Arrivals:
    """Kept chunks by index. Safe to use from every thread."""

    def __init__(self, chunk_size: int) -> None:
        self._chunk_size = chunk_size
        self._kept: Dict[int, _Arrival] = {}
        self._damaged: Dict[int, Counter[str]] = {}
        self._blamed: Dict[int, str] = {}
        self._lock = threading.Lock()

    def expect(self, index: int, start: int, end: int) -> None:
        """Chunk `index`, from `start` to `end` of the image, was wrong: keep its bytes from now on."""
        with self._lock:
            self._kept.pop(index, None)
            taken = sum(len(one.data) for one in self._kept.values())
            if taken + end - start <= _MOST or (not taken and end - start <= _LARGEST):
                self._kept[index] = _Arrival(start, end)

    def forget(self, first: int, end: int) -> None:
        """Forget chunks `first` to `end`, which are right."""
        if self._kept or self._damaged:
            with self._lock:
                for index in [index for index in {*self._kept, *self._damaged} if first <= index < end]:
                    for found in (self._kept, self._damaged, self._blamed):
                        found.pop(index, None)

    def note(self, offset: int, data: memoryview, sender: str) -> None:
        """Note bytes from `sender` that are about to be written at `offset`."""
        end = offset + len(data)
        with self._lock:
            for index in range(offset // self._chunk_size, -(-end // self._chunk_size)):
                kept = self._kept.get(index)
                if kept is not None:
                    first, last = max(offset, kept.start), min(end, kept.start + len(kept.data))
                    kept.data[first - kept.start : last - kept.start] = data[first - offset : last - offset]
                    kept.came.add(first, last)
                    kept.sender = sender

    def keeps(self, index: int) -> bool:
        """Whether a chunk's bytes are kept as they come. Not while too many are; never the largest."""
        return index in self._kept

    def can_keep(self, index: int, length: int) -> bool:
        """Whether a chunk of `length` bytes is kept, or will be at some time."""
        return self.keeps(index) or length <= _LARGEST

    def read(self, index: int, parts: RangeSet) -> Optional[memoryview]:
        """The bytes of a chunk as they came, from its start; None unless all `parts` came since `expect`."""
        with self._lock:
            kept = self._kept.get(index)
            if kept is None or not all(kept.came.covers(start, end) for start, end in parts):
                return None
            return kept.data

    def blame(self, index: int) -> None:
        """The bytes of a chunk were wrong when they came: count that against their sender."""
        with self._lock:
            kept = self._kept.get(index)
            if kept is not None:
                self._damaged.setdefault(index, collections.Counter())[kept.sender] += 1
                self._blamed[index] = kept.sender

    def take_blame(self, index: int) -> Tuple[str, int]:
        """The last sender of a damaged chunk, and how often that sender damaged it; ("", 0) if none did.

        Each case is returned once.
        """
        with self._lock:
            sender = self._blamed.pop(index, "")
            return sender, self._damaged[index][sender] if sender else 0


class Watched:
    """A lane whose bytes are noted on their way into a store. `offset`: where in the image they begin.

    With `is_zero` nothing comes on the lane: it yields zeros, so that a store writes them itself.
    """

    def __init__(self, lane: Lane, arrivals: Arrivals, offset: int, is_zero: bool) -> None:
        self._lane = lane
        self._arrivals = arrivals
        self._offset = offset
        self._is_zero = is_zero

    def to_file(self, fd: int, offset: int, length: int) -> int:
        """Socket to file: between 1 and `length` bytes. Returns the count."""
        buffer = make_buffer(min(length, PIECE))
        count = 0
        while count < len(buffer):  # whole pages: a device first reads a page that is written in part
            count += self.to_view(buffer[count:])
        self._lane.watch.turn_to("write")
        linux.write_all(fd, buffer, offset)
        return count

    def to_view(self, view: memoryview) -> int:
        """Socket to memory: between 1 and `len(view)` bytes. Returns the count."""
        if self._is_zero:
            view[:] = make_buffer(len(view))
            count = len(view)
        else:
            count = self._lane.to_view(view)
        self._arrivals.note(self._offset, view[:count], self._lane.peer)
        self._offset += count
        return count

    def from_file(self, fd: int, offset: int, length: int) -> int:
        """As `Lane.from_file`."""
        return self._lane.from_file(fd, offset, length)

    def from_view(self, view: memoryview) -> None:
        """As `Lane.from_view`."""
        self._lane.from_view(view)
