# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A store on one file descriptor: what disks and regular files have in common."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from typing import Iterator, List, Optional

from ..errors import TargetError
from . import linux
from .base import Lane, Store
from .descriptor import Descriptor


class DescriptorStore(Store):
    """A store whose bytes are in a file or a device. Subclasses define how to zero and to publish."""

    def __init__(self, fd: int, path: str, size: int) -> None:
        self.path = path
        self.size = size
        self.notes: List[str] = []
        self._descriptor = Descriptor(fd)
        self._error: Optional[TargetError] = None
        self._error_lock = threading.Lock()
        self._flush_lock = threading.Lock()

    def receive(self, lane: Lane, offset: int, length: int) -> int:
        self._check_bounds(offset, length)
        self._raise_if_failed()
        try:  # inlined from `_writing`, because this call is made for every step
            with self._descriptor as fd:
                self._before_write(fd, offset, length)
                return lane.to_file(fd, offset, length)
        except OSError as error:
            raise self._fail_at("write", offset, error) from error

    def zero(self, offset: int, length: int) -> None:
        self._check_bounds(offset, length)
        with self._writing("zero", offset) as fd:
            end = offset + length
            while offset < end:
                count = min(linux.ZERO_STEP, end - offset)
                self._raise_if_closed()
                self._zero_step(fd, offset, count)
                offset += count

    def send(self, lane: Lane, offset: int, length: int) -> None:
        self._check_bounds(offset, length)
        end = offset + length
        with self._reading(offset) as fd:
            while offset < end:
                count = lane.from_file(fd, offset, end - offset)
                if not count:  # another program truncated the target
                    raise OSError(errno.EIO, os.strerror(errno.EIO))
                offset += count

    def read(self, offset: int, view: memoryview) -> int:
        part = view[: max(0, self.size - offset)]
        with self._reading(offset) as fd:
            count = linux.read_into(fd, part, offset)
        if count < len(part):  # another program truncated the target
            raise TargetError(self.path, "read", offset + count, errno.EIO)
        return count

    def end(self, size: int) -> None:
        if not 0 <= size <= self.size:
            raise ValueError("an image of %d bytes, and there is room for %d" % (size, self.size))
        with self._writing("truncate", size) as fd:
            self._cut(fd, size)
        self.size = size

    def settle(self, offset: int, length: int) -> None:
        self._check_bounds(offset, length)
        with self._writing("writeback", offset) as fd:
            linux.start_writeback(fd, offset, length)

    def release(self, offset: int, length: int) -> None:
        with contextlib.suppress(OSError), self._descriptor as fd:
            linux.drop_cache(fd, offset, length)

    def flush(self) -> None:
        # The kernel tells of a lost write once for each open file (errseq_t): of two who flush at the same time one
        # is told that all is well, and must not go on before the other has said otherwise.
        with self._flush_lock, self._writing("fsync", 0) as fd:
            os.fsync(fd)
        self._raise_if_failed()  # another thread's write may have failed meanwhile

    def commit(self) -> None:
        if self.flushes:
            self.flush()
        with self._writing("commit", 0) as fd:
            self._publish(fd)

    def close(self) -> None:
        self._descriptor.close()

    def abort(self) -> None:
        self.close()

    def _before_write(self, fd: int, offset: int, length: int) -> None:
        """Note that a range is about to be written, perhaps only in part."""

    def _cut(self, fd: int, size: int) -> None:
        """Truncate the target to `size`, if it is of a kind that can be truncated."""

    def _zero_step(self, fd: int, offset: int, length: int) -> None:
        raise NotImplementedError

    def _publish(self, fd: int) -> None:
        raise NotImplementedError

    def _check_bounds(self, offset: int, length: int) -> None:
        # Callers check what a peer asks for; this is the last check that protects the bytes behind an
        # image that is smaller than its disk.
        if offset < 0 or length < 1 or offset + length > self.size:
            raise ValueError("range %d+%d is outside the image of %d bytes" % (offset, length, self.size))

    def _raise_if_failed(self) -> None:
        if self._error is not None:
            raise self._error

    def _raise_if_closed(self) -> None:
        if self._descriptor.is_closed:
            raise OSError(errno.ECANCELED, os.strerror(errno.ECANCELED))

    @contextlib.contextmanager
    def _writing(self, operation: str, offset: int) -> Iterator[int]:
        self._raise_if_failed()
        try:
            with self._descriptor as fd:
                yield fd
        except OSError as error:
            raise self._fail_at(operation, offset, error) from error

    @contextlib.contextmanager
    def _reading(self, offset: int) -> Iterator[int]:
        try:
            with self._descriptor as fd:
                yield fd
        except OSError as error:
            raise TargetError(self.path, "read", offset, error.errno or errno.EIO) from error

    def _fail_at(self, operation: str, offset: int, error: OSError) -> TargetError:
        return self._fail(TargetError(self.path, operation, offset, error.errno or errno.EIO))

    def _fail(self, error: TargetError) -> TargetError:
        """Remember the first failure, and return it as the error to raise."""
        with self._error_lock:
            if self._error is None:
                self._error = error
            return self._error
