# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads a source that can be read only once into the server's window, and digests it on the way.

The window drops a byte when room is needed and the children and grandchildren have it. So the pipe is read no
faster than the ring takes the bytes.
"""

from __future__ import annotations

import hashlib
from typing import Callable, List, Optional

from ...buffers import is_zero
from ...errors import ChecksumMismatch
from ...integrity.manifest import PIECE
from ...status.profile import IDLE, Stopwatch
from ...storage.base import Lane
from ...storage.stream import Stream
from ...storage.window import Ring
from ..image.ledger import Ledger


class StreamReader:
    """Work for a thread of its own. `publish(first, digests)` and `end(size)` are called on that thread.

    `checksum`: the SHA-256 in hex of the whole stream. No node is done before it has the size from `end`.
    """

    def __init__(
        self,
        stream: Stream,
        ring: Ring,
        ledger: Ledger,
        publish: Callable[[int, bytes], None],
        end: Callable[[int], None],
        checksum: str,
        watch: Stopwatch,
    ) -> None:
        self.sha256: Optional[str] = None
        #: Whether it waits for the source, which is no fault of the ring.
        self.is_waiting = False
        self._stream = stream
        self._ring = ring
        self._ledger = ledger
        self._publish = publish
        self._end = end
        self._checksum = checksum
        self._watch = watch
        self._size = 0
        self._digests: List[bytes] = []

    def run(self, wants_sha256: bool) -> None:
        """Read until the end, or until the ledger is closed. Raises SourceError, ChecksumMismatch."""
        whole = hashlib.sha256() if wants_sha256 or self._checksum else None
        chunk_size = self._ledger.image.chunk_size
        hashing = self._ledger.manifest.hashing
        chunk = hashing.new()
        index = 0
        while True:
            room = min(PIECE, chunk_size - self._size % chunk_size)
            if not self._ledger.make_room(self._size + room):
                return
            piece = self._read(room)
            if not piece:
                break
            self._watch.turn_to("hash")
            chunk.update(piece)
            if whole is not None:
                whole.update(piece)
            self._hold(piece)
            if self._size % chunk_size == 0:
                self._learn(index, chunk.digest())
                index, chunk = index + 1, hashing.new()
        if self._ledger.is_closed:
            return
        self._finish(index, chunk.digest(), whole)

    def _read(self, room: int) -> memoryview:
        """The next bytes, in their place in the window; empty at the end."""
        place = next(self._ring.parts(self._size, room))
        self._watch.turn_to("read")
        self.is_waiting = True
        count = self._stream.read(place, lambda: not self._ledger.is_closed)
        self.is_waiting = False
        return place[:count]

    def _hold(self, piece: memoryview) -> None:
        start, self._size = self._size, self._size + len(piece)
        self._ledger.add(start, self._size, is_zero(piece))

    def _learn(self, index: int, digest: bytes) -> None:
        self._ledger.learn(index, digest)
        self._ledger.accept(index)
        self._publish(index, digest)

    def _finish(self, index: int, digest: bytes, whole: Optional["hashlib._Hash"]) -> None:
        if whole is not None:
            self.sha256 = whole.hexdigest()
            if self._checksum and self.sha256 != self._checksum:
                raise ChecksumMismatch(self._stream.path, self._checksum, self.sha256)
        self._ledger.end(self._size)
        self._end(self._size)
        if self._size % self._ledger.image.chunk_size:
            self._learn(index, digest)
        self._watch.turn_to(IDLE)


class WindowSource:
    """Serves the children of a stream server from its window."""

    def __init__(self, ring: Ring, stream: Stream) -> None:
        self.path = stream.path
        self.size = 0
        self._ring = ring
        self._stream = stream

    def send(self, lane: Lane, offset: int, length: int) -> None:
        """Send a range, all of which is in the window."""
        for part in self._ring.parts(offset, length):
            lane.from_view(part)

    def read(self, offset: int, view: memoryview) -> int:
        """Copy a range that is in the window."""
        return self._ring.read(offset, view)

    def release(self, offset: int, length: int) -> None:
        """Nothing to do: the window is memory of fixed size."""

    def close(self) -> None:
        """Close the stream."""
        self._stream.close()
