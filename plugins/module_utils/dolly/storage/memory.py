# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The image in memory: the simplest store, for tests and for measurements without a disk."""

from __future__ import annotations

import errno
from typing import List

from ..errors import TargetError
from .base import Lane, Store


class MemoryStore(Store):
    """A store over one bytearray. It fails only when it is used after `close`."""

    def __init__(self, size: int, path: str = "memory") -> None:
        self.path = path
        self.size = size
        self.notes: List[str] = []
        self._image = memoryview(bytearray(size))
        self._is_closed = False

    def receive(self, lane: Lane, offset: int, length: int) -> int:
        return lane.to_view(self._part("write", offset, length))

    def zero(self, offset: int, length: int) -> None:
        self._part("zero", offset, length)[:] = bytes(length)

    def send(self, lane: Lane, offset: int, length: int) -> None:
        lane.from_view(self._part("read", offset, length))

    def read(self, offset: int, view: memoryview) -> int:
        self._check_open("read", offset)
        part = self._image[offset : offset + len(view)]
        view[: len(part)] = part
        return len(part)

    def end(self, size: int) -> None:
        if not 0 <= size <= self.size:
            raise ValueError("an image of %d bytes, and there is room for %d" % (size, self.size))
        self._check_open("truncate", size)
        self.size = size

    def flush(self) -> None:
        self._check_open("fsync", 0)

    def commit(self) -> None:
        self._check_open("commit", 0)

    def close(self) -> None:
        self._is_closed = True

    def abort(self) -> None:
        self.close()

    def _part(self, operation: str, offset: int, length: int) -> memoryview:
        self._check_open(operation, offset)
        if offset < 0 or length < 1 or offset + length > self.size:
            raise ValueError("range %d+%d is outside the image of %d bytes" % (offset, length, self.size))
        return self._image[offset : offset + length]

    def _check_open(self, operation: str, offset: int) -> None:
        if self._is_closed:
            raise TargetError(self.path, operation, offset, errno.ECANCELED)
