# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A bounded ring buffer in memory that a stream passes through, to a sink or from a pipe.

The byte at offset o lies at o modulo the length of the ring. The caller ensures that no byte overwrites an
older one that is still needed: the ledger's `base` and `limit` delimit those.
"""

from __future__ import annotations

import errno
from typing import Iterator, List, Optional, Protocol

from ..buffers import make_buffer
from ..errors import TargetError
from .base import Lane, Store, Target
from .facts import TargetFacts

DEFAULT_WINDOW = 64 * 1024 * 1024
#: With fewer chunks, a node that waits for the last bytes of one chunk could not receive the next.
MIN_CHUNKS = 4
_MAX_SIZE = 2 ** 63 - 1
_ZERO_STEP = 1024 * 1024


def window_length(chunk_size: int) -> int:
    """Return the bytes that a window has room for, if one digest covers `chunk_size` bytes."""
    return max(DEFAULT_WINDOW, MIN_CHUNKS * chunk_size)


class Ring:
    """A ring buffer addressed by the offset in a stream. `length` in bytes."""

    def __init__(self, length: int) -> None:
        self.length = length
        # Pages take no memory until they are written: a short stream does not use the whole window.
        self._bytes = make_buffer(length)

    def parts(self, offset: int, length: int) -> Iterator[memoryview]:
        """Yield the views of a range, in order. ValueError: the range does not fit."""
        if offset < 0 or not 0 <= length <= self.length:
            raise ValueError("range %d+%d in a window of %d bytes" % (offset, length, self.length))
        while length:
            at = offset % self.length
            part = self._bytes[at : min(at + length, self.length)]
            yield part
            offset += len(part)
            length -= len(part)

    def read(self, offset: int, view: memoryview) -> int:
        """Fill `view` from `offset`; return the count."""
        at = 0
        for part in self.parts(offset, len(view)):
            view[at : at + len(part)] = part
            at += len(part)
        return at

    def zero(self, offset: int, length: int) -> None:
        """Write zeros."""
        zeros = bytes(min(length, _ZERO_STEP))
        for part in self.parts(offset, length):
            for start in range(0, len(part), _ZERO_STEP):
                piece = part[start : start + _ZERO_STEP]
                piece[:] = zeros[: len(piece)]


class Sink(Protocol):
    """Takes a stream in order. Used by one thread at a time; only `abort` may be called from another."""

    path: str
    #: Whether `finish` flushes what it publishes.
    flushes: bool
    #: As for a store.
    is_lasting: bool

    @property
    def notes(self) -> List[str]:
        """Notes for the user on things that do not make the result wrong."""

    def write(self, view: memoryview, offset: int) -> None:
        """Take all of `view`, which is at `offset` of the stream. Raises TargetError, BadArchive."""

    def finish(self, size: int) -> None:
        """Publish the result of a good stream of `size` bytes. Raises TargetError, BadArchive."""

    def close(self) -> None:
        """Close everything; without `finish` the result stays unfinished. May be called twice."""

    def abort(self) -> None:
        """Abort now, without publishing."""


class WindowStore(Store):
    """A store made of a ring in front of a sink."""

    def __init__(self, ring: Ring, sink: Sink, size: Optional[int]) -> None:
        self.path = sink.path
        self.size = _MAX_SIZE if size is None else size
        self.window = ring.length
        self.is_lasting = sink.is_lasting
        self._ring = ring
        self._sink = sink
        self._sunk = 0
        self._is_closed = False
        self._is_finished = False

    @property
    def notes(self) -> List[str]:  # type: ignore[override]
        """The notes of the sink."""
        return self._sink.notes

    def receive(self, lane: Lane, offset: int, length: int) -> int:
        self._check_open("write", offset)
        return lane.to_view(next(self._ring.parts(offset, length)))

    def zero(self, offset: int, length: int) -> None:
        self._check_open("zero", offset)
        self._ring.zero(offset, length)

    def send(self, lane: Lane, offset: int, length: int) -> None:
        self._check_open("read", offset)
        for part in self._ring.parts(offset, length):
            lane.from_view(part)

    def read(self, offset: int, view: memoryview) -> int:
        self._check_open("read", offset)
        return self._ring.read(offset, view[: max(0, self.size - offset)])

    def end(self, size: int) -> None:
        self.size = size

    def sink(self, start: int, end: int) -> None:
        self._check_open("write", start)
        for part in self._ring.parts(start, end - start):
            self._sink.write(part, start)
            start += len(part)
        self._sunk = end

    def flush(self) -> None:
        """Flush nothing: the sink flushes when it publishes."""
        self._check_open("fsync", self._sunk)

    def commit(self) -> None:
        self._check_open("commit", self._sunk)
        if self._sunk != self.size:
            raise TargetError(self.path, "commit", self._sunk, errno.ESTALE)
        if not self._is_finished:
            self._is_finished = True
            self._sink.flushes = self.flushes
            self._sink.finish(self.size)

    def close(self) -> None:
        self._is_closed = True
        self._sink.close()

    def abort(self) -> None:
        self._is_closed = True
        self._sink.abort()

    def _check_open(self, operation: str, offset: int) -> None:
        if self._is_closed:
            raise TargetError(self.path, operation, offset, errno.ECANCELED)


class WindowTarget(Target):
    """A target that only takes a stream; the `opener` makes its sink."""

    def __init__(self, facts: TargetFacts, opener: "SinkOpener", chunk_size: int) -> None:
        self.facts = facts
        self._opener = opener
        self._length = window_length(chunk_size)

    def prepare(self) -> None:
        self._opener.prepare()

    def begin(self, size: Optional[int], chunk_size: int = 0) -> WindowStore:
        return WindowStore(Ring(self._length), self._opener.open(), size)

    def release(self) -> None:
        self._opener.release()


class SinkOpener(Protocol):
    """Makes a sink, as a Target makes a store."""

    def prepare(self) -> None:
        """Lock what can be locked without changing anything. Raises Refused, TargetError."""

    def open(self) -> Sink:
        """Return the sink; call this once. Raises Refused, TargetError."""

    def release(self) -> None:
        """Undo `prepare`; does nothing after `open`."""
