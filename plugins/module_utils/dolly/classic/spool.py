# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies between a source that can be read once and children of different speed: a bounded ring in memory."""

from __future__ import annotations

from typing import Callable

from ..storage.base import Lane
from ..storage.stream import Stream
from ..storage.window import DEFAULT_WINDOW, Ring

#: How much of the source is read at a time.
PIECE = 1024 * 1024


class Spool:
    """Children are served from it like from a source. Who fills it sees to it that nobody needs what is overwritten."""

    size = 0  # nobody knows it

    def __init__(self, stream: Stream, length: int = DEFAULT_WINDOW) -> None:
        self.path = stream.path
        self.length = length
        self._stream = stream
        self._ring = Ring(length)

    def fill(self, offset: int, length: int, is_wanted: Callable[[], bool]) -> int:
        """Read at most `length` bytes; the count, 0 at the end or when they are not wanted. Raises SourceError."""
        return self._stream.read(next(self._ring.parts(offset, length)), is_wanted)

    def send(self, lane: Lane, offset: int, length: int) -> None:
        """Send all of a range. Raises what the lane raises."""
        for part in self._ring.parts(offset, length):
            lane.from_view(part)

    def release(self, offset: int, length: int) -> None:
        """Nothing: the next bytes take the place."""

    def read(self, offset: int, view: memoryview) -> int:
        """Copy from `offset` on."""
        return self._ring.read(offset, view)

    def close(self) -> None:
        """Nothing: the stream is the server's."""
