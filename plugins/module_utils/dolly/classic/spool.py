# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A bounded ring in memory between a source that can be read only once and children of different speed."""

from __future__ import annotations

from typing import Callable

from ..storage.base import Lane
from ..storage.stream import Stream
from ..storage.window import DEFAULT_WINDOW, Ring

#: Bytes read from the source at a time.
PIECE = 1024 * 1024


class Spool:
    """Serves children like a source. The caller of `fill` ensures that no child needs what is overwritten."""

    size = 0  # not known

    def __init__(self, stream: Stream, length: int = DEFAULT_WINDOW) -> None:
        self.path = stream.path
        self.length = length
        self._stream = stream
        self._ring = Ring(length)

    def fill(self, offset: int, length: int, is_wanted: Callable[[], bool]) -> int:
        """Read up to `length` bytes. Returns the count; 0 at the end or if not wanted. Raises SourceError."""
        return self._stream.read(next(self._ring.parts(offset, length)), is_wanted)

    def send(self, lane: Lane, offset: int, length: int) -> None:
        """Send a range. Raises the errors of the lane."""
        for part in self._ring.parts(offset, length):
            lane.from_view(part)

    def release(self, offset: int, length: int) -> None:
        """Nothing to do: the next bytes take the place."""

    def read(self, offset: int, view: memoryview) -> int:
        """Copy bytes from `offset` on."""
        return self._ring.read(offset, view)

    def close(self) -> None:
        """Nothing to do: the server owns the stream."""
