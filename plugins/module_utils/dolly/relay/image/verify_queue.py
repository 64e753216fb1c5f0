# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which chunks somebody writes into, and which wait to be read back. Locked by the ledger that it belongs to."""

from __future__ import annotations

from typing import Dict, Optional

from ...ranges import RangeSet


class VerifyQueue:
    """Chunks by index, kept as ranges: of a sparse image many thousands become whole at once."""

    def __init__(self) -> None:
        self._waiting = RangeSet()
        self._writers: Dict[int, int] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def begin(self, chunks: RangeSet) -> None:
        """Somebody writes into these. Several may write into one, so each has to say when it ends."""
        for first, end in chunks:
            for index in range(first, end):
                self._writers[index] = self._writers.get(index, 0) + 1

    def end(self, first: int, end: int) -> None:
        """One who wrote into these is through."""
        for index in range(first, end):
            self._writers[index] -= 1
            if not self._writers[index]:
                del self._writers[index]

    def is_written(self, index: int) -> bool:
        """Whether somebody writes into a chunk."""
        return index in self._writers

    @property
    def lowest_written(self) -> Optional[int]:
        """The first chunk that somebody writes into."""
        return min(self._writers, default=None)

    def offer(self, chunks: RangeSet) -> bool:
        """Let these wait, but for those that somebody writes into; whether any does."""
        for index in self._writers:
            chunks.discard(index, index + 1)
        self._waiting.update(chunks)
        return bool(chunks)

    def take(self) -> Optional[int]:
        """The first that waits, if any does."""
        index = next((first for first, _end in self._waiting), None)
        if index is not None:
            self.drop(index, index + 1)
        return index

    def drop(self, first: int, end: int) -> None:
        """These need not be read back any more."""
        self._waiting.discard(first, end)
