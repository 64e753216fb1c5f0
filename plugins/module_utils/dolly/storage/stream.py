# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Streams: standard output as a target, a pipe as a source, and a store as the end of a stream."""

from __future__ import annotations

import errno
import os
import select
import stat
import time
from typing import Callable, List, Protocol

from ..buffers import make_buffer
from ..errors import BadChunk, SourceError, TargetError, TimedOut
from .base import Lane, Store, Target
from .descriptor import Descriptor
from .window import Sink

#: Seconds that a read of a pipe waits before it checks whether the bytes are still wanted.
_POLL_S = 0.25
#: As many bytes as a decompressor returns at once.
_READ_BACK = 1024 * 1024


class DescriptorSink:
    """A sink for a descriptor of the caller, such as standard output. Nothing is truncated or renamed."""

    flushes = True

    def __init__(self, fd: int, path: str) -> None:
        self.path = path
        self.notes: List[str] = []
        self.is_lasting = _is_on_a_medium(fd)
        self._fd = fd

    def write(self, view: memoryview, offset: int) -> None:
        written = 0
        while written < len(view):
            try:
                written += os.write(self._fd, view[written:])
            except OSError as error:
                raise TargetError(self.path, "write", offset + written, error.errno or errno.EIO) from error

    def finish(self, size: int) -> None:
        try:
            if self.flushes:
                os.fsync(self._fd)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EROFS):  # fsync(2): a pipe, a socket, a terminal
                raise TargetError(self.path, "fsync", size, error.errno or errno.EIO) from error

    def close(self) -> None:
        """Do nothing: the descriptor is not ours."""

    def abort(self) -> None:
        """Do nothing: the descriptor is not ours."""


class DescriptorOpener:
    """Opens a DescriptorSink, for example for standard output."""

    def __init__(self, fd: int, path: str = "-") -> None:
        self._fd = fd
        self._path = path

    def prepare(self) -> None:
        """Do nothing: a descriptor cannot be locked."""

    def open(self) -> Sink:
        return DescriptorSink(self._fd, self._path)

    def release(self) -> None:
        """Do nothing: nothing was locked."""


class _FromMemory:
    """A lane that receives from memory instead of a socket."""

    def __init__(self, view: memoryview) -> None:
        self._view = view

    def to_file(self, fd: int, offset: int, length: int) -> int:
        return self._took(os.pwrite(fd, self._view[:length], offset))

    def to_view(self, view: memoryview) -> int:
        count = min(len(view), len(self._view))
        view[:count] = self._view[:count]
        return self._took(count)

    def from_file(self, fd: int, offset: int, length: int) -> int:
        raise NotImplementedError

    def from_view(self, view: memoryview) -> None:
        raise NotImplementedError

    def _took(self, count: int) -> int:
        self._view = self._view[count:]
        return count


class StoreSink:
    """A sink that fills a store from its beginning, for example with decompressed data for a disk or a file.

    `verifies`: whether to read back and compare each piece, because no digest covers decompressed data.
    """

    flushes = True

    def __init__(self, store: Store, verifies: bool = False) -> None:
        self.path = store.path
        self.is_lasting = store.is_lasting
        self._store = store
        self._end = 0
        self._buffer = make_buffer(_READ_BACK) if verifies else None

    @property
    def notes(self) -> List[str]:
        """The notes of the store."""
        return self._store.notes

    def write(self, view: memoryview, offset: int) -> None:
        """Append all of `view`; `offset` is ignored. Raises TargetError, BadChunk."""
        if self._end + len(view) > self._store.size:
            raise TargetError(self.path, "write", self._store.size, errno.ENOSPC)
        lane: Lane = _FromMemory(view)
        left = len(view)
        while left:
            count = self._store.receive(lane, self._end, left)
            self._end += count
            left -= count
        if self._buffer is not None:
            self._read_back(view, self._end - len(view), self._buffer)

    def _read_back(self, view: memoryview, offset: int, buffer: memoryview) -> None:
        for start in range(0, len(view), len(buffer)):
            piece = view[start : start + len(buffer)]
            count = self._store.read(offset + start, buffer[: len(piece)])
            # As bytes, which are compared by words; memoryviews are compared item by item.
            if bytes(buffer[:count]) != bytes(piece):
                raise BadChunk(self.path, offset + start, 1)

    def finish(self, size: int) -> None:
        self._store.end(self._end)
        self._store.flushes = self.flushes
        self._store.commit()

    def close(self) -> None:
        self._store.close()

    def abort(self) -> None:
        self._store.abort()


class StoreOpener:
    """Opens a StoreSink on a target. `verifies`: as for StoreSink."""

    def __init__(self, target: Target, verifies: bool = False) -> None:
        self._target = target
        self._verifies = verifies

    def prepare(self) -> None:
        self._target.prepare()

    def open(self) -> Sink:
        return StoreSink(self._target.begin(None), self._verifies)

    def release(self) -> None:
        self._target.release()


class Stream(Protocol):
    """A source that can be read once, from beginning to end."""

    path: str

    def read(self, view: memoryview, is_wanted: Callable[[], bool]) -> int:
        """Fill the beginning of `view`; return the count, 0 at the end or when `is_wanted` returns False.

        Raises SourceError.
        """

    def close(self) -> None:
        """Close the stream. May be called twice."""


class PipeStream:
    """A pipe, a socket or a terminal as source. The caller's descriptor stays open: only a copy is used."""

    def __init__(self, fd: int, path: str = "-") -> None:
        self.path = path
        self._source = Descriptor(os.dup(fd))
        self._head = b""
        self._at = 0

    def peek(self, length: int, patience_s: float) -> bytes:
        """Return the first bytes, unconsumed; fewer if the stream ends. Raises TimedOut, SourceError."""
        give_up_at = time.monotonic() + patience_s
        buffer = memoryview(bytearray(length))
        while len(self._head) < length:
            count = self._read(buffer[: length - len(self._head)], lambda: time.monotonic() < give_up_at)
            if not count:
                if time.monotonic() >= give_up_at:
                    raise TimedOut("waiting for the first bytes of %s" % self.path, patience_s, "barrier_timeout")
                break
            self._head += bytes(buffer[:count])
        return self._head

    def read(self, view: memoryview, is_wanted: Callable[[], bool]) -> int:
        if self._head:
            count = min(len(view), len(self._head))
            view[:count] = self._head[:count]
            self._head = self._head[count:]
            return count
        return self._read(view, is_wanted)

    def close(self) -> None:
        self._source.close()

    def _read(self, view: memoryview, is_wanted: Callable[[], bool]) -> int:
        try:
            with self._source as fd:
                while is_wanted():
                    if select.select([fd], [], [], _POLL_S)[0]:
                        count = os.readv(fd, [view])
                        self._at += count
                        return count
                return 0
        except OSError as error:
            raise SourceError(self.path, self._at, error.errno) from error


def _is_on_a_medium(fd: int) -> bool:
    try:
        mode = os.fstat(fd).st_mode
    except OSError:
        return False
    return stat.S_ISREG(mode) or stat.S_ISBLK(mode)


def is_null(fd: int) -> bool:
    """Whether a descriptor is closed or is /dev/null, so that data written there is lost."""
    try:
        found = os.fstat(fd)
        return stat.S_ISCHR(found.st_mode) and found.st_rdev == os.stat(os.devnull).st_rdev
    except OSError:
        return True
