# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which chunks are being written, and which wait for verification. Locked by the ledger that owns it."""

from __future__ import annotations

from typing import Dict, Optional

from ...ranges import RangeSet


class VerifyQueue:
    """Chunks by index, kept as ranges: in a sparse image many thousands become whole at once."""

    def __init__(self) -> None:
        self._waiting = RangeSet()
        self._writers: Dict[int, int] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def begin(self, chunks: RangeSet) -> None:
        """A thread begins to write into these chunks. Each thread has to call `end` for each chunk."""
        for first, end in chunks:
            for index in range(first, end):
                self._writers[index] = self._writers.get(index, 0) + 1

    def end(self, first: int, end: int) -> None:
        """A thread has finished writing into these chunks."""
        for index in range(first, end):
            self._writers[index] -= 1
            if not self._writers[index]:
                del self._writers[index]

    def is_written(self, index: int) -> bool:
        """Whether a chunk is being written."""
        return index in self._writers

    @property
    def lowest_written(self) -> Optional[int]:
        """The first chunk that is being written."""
        return min(self._writers, default=None)

    def offer(self, chunks: RangeSet) -> bool:
        """Queue chunks for verification, except those being written. Returns True if any chunk was queued."""
        for index in self._writers:
            chunks.discard(index, index + 1)
        self._waiting.update(chunks)
        return bool(chunks)

    def take(self) -> Optional[int]:
        """Remove and return the first waiting chunk; None if there is none."""
        index = next((first for first, _end in self._waiting), None)
        if index is not None:
            self.drop(index, index + 1)
        return index

    def drop(self, first: int, end: int) -> None:
        """Remove chunks that need not be read back any more."""
        self._waiting.discard(first, end)
