# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How chunks came that had been wrong before: looked at before they are written, so that the right one is blamed.

What is read back wrong was damaged by the target, or came damaged. Bytes go from the socket to the target without
being looked at, so the first time nobody knows which; from then on they are kept beside until the verdict.
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

#: Bytes that are kept at a time, unless one chunk alone is larger.
_MOST = 32 * 1024 * 1024
#: A chunk that is larger than this is not kept at all. Only images of many TiB have such.
_LARGEST = 256 * 1024 * 1024


class _Arrival:
    """One chunk: what came of it, and who sent the last of that."""

    def __init__(self, start: int, end: int) -> None:
        self.start = start
        self.data = make_buffer(end - start)
        self.came = RangeSet()
        self.sender = ""


class Arrivals:
    """Chunks by index. Safe to use from every thread."""

    def __init__(self, chunk_size: int) -> None:
        self._chunk_size = chunk_size
        self._kept: Dict[int, _Arrival] = {}
        self._damaged: Dict[int, Counter[str]] = {}
        self._blamed: Dict[int, str] = {}
        self._lock = threading.Lock()

    def expect(self, index: int, start: int, end: int) -> None:
        """Chunk `index`, from `start` to `end` of the image, was wrong: keep what comes of it from now on."""
        with self._lock:
            self._kept.pop(index, None)
            taken = sum(len(one.data) for one in self._kept.values())
            if taken + end - start <= _MOST or (not taken and end - start <= _LARGEST):
                self._kept[index] = _Arrival(start, end)

    def forget(self, first: int, end: int) -> None:
        """Chunks `first` to `end` are right."""
        if self._kept or self._damaged:
            with self._lock:
                for index in [index for index in {*self._kept, *self._damaged} if first <= index < end]:
                    for found in (self._kept, self._damaged, self._blamed):
                        found.pop(index, None)

    def note(self, offset: int, data: memoryview, sender: str) -> None:
        """These bytes came from `sender`, and are about to be written at `offset`."""
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
        """Whether a chunk is looked at when it comes; not while too many others are, and not the largest ones."""
        return index in self._kept

    def can_keep(self, index: int, length: int) -> bool:
        """Whether a chunk of that length will be looked at some time."""
        return self.keeps(index) or length <= _LARGEST

    def read(self, index: int, parts: RangeSet) -> Optional[memoryview]:
        """The bytes of a chunk as they came, from its first on; None where not all of `parts` came since `expect`."""
        with self._lock:
            kept = self._kept.get(index)
            if kept is None or not all(kept.came.covers(start, end) for start, end in parts):
                return None
            return kept.data

    def blame(self, index: int) -> None:
        """What came of a chunk was wrong when it came."""
        with self._lock:
            kept = self._kept.get(index)
            if kept is not None:
                self._damaged.setdefault(index, collections.Counter())[kept.sender] += 1
                self._blamed[index] = kept.sender

    def take_blame(self, index: int) -> Tuple[str, int]:
        """From whom a chunk came damaged the last time, and how often it did from there; ("", 0) from nobody.

        Each time is told of once.
        """
        with self._lock:
            sender = self._blamed.pop(index, "")
            return sender, self._damaged[index][sender] if sender else 0


class Watched:
    """A lane whose bytes are noted on their way into a store. `offset`: where in the image they begin.

    With `is_zero` nothing comes on the lane: it gives zeros, so that a store writes them itself.
    """

    def __init__(self, lane: Lane, arrivals: Arrivals, offset: int, is_zero: bool) -> None:
        self._lane = lane
        self._arrivals = arrivals
        self._offset = offset
        self._is_zero = is_zero

    def to_file(self, fd: int, offset: int, length: int) -> int:
        """Socket to file: between 1 and `length` bytes; the count."""
        buffer = make_buffer(min(length, PIECE))
        count = 0
        while count < len(buffer):  # whole pages: a device reads those first that are written in parts
            count += self.to_view(buffer[count:])
        self._lane.watch.turn_to("write")
        linux.write_all(fd, buffer, offset)
        return count

    def to_view(self, view: memoryview) -> int:
        """Socket to memory: between 1 and `len(view)` bytes; the count."""
        if self._is_zero:
            view[:] = make_buffer(len(view))
            count = len(view)
        else:
            count = self._lane.to_view(view)
        self._arrivals.note(self._offset, view[:count], self._lane.peer)
        self._offset += count
        return count

    def from_file(self, fd: int, offset: int, length: int) -> int:
        """As the lane's."""
        return self._lane.from_file(fd, offset, length)

    def from_view(self, view: memoryview) -> None:
        """As the lane's."""
        self._lane.from_view(view)
