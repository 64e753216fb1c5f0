# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts of a split image: their names, and a pool that keeps few of them open at a time."""

from __future__ import annotations

import collections
import contextlib
import os
import threading
from typing import Callable, Generic, Iterable, Iterator, List, Optional, Sequence, TypeVar

from . import linux

#: A process may have 1024 files open by default, and an image may have thousands of parts.
MAX_OPEN = 64
_AT_ONCE = 8  # files flushed concurrently

Opened = TypeVar("Opened")


def part_name(name: str, index: int) -> str:
    """Return the name of a part."""
    return "%s_%d" % (name, index)


def part_index(name: str, found: str) -> Optional[int]:
    """Return the number of the part of `name` that is called `found`, None if it is no part."""
    head, _underscore, digits = found.rpartition("_")
    if head != name or not digits.isascii() or not digits.isdigit() or digits != str(int(digits)):
        return None
    return int(digits)


def part_indexes(name: str, listing: Iterable[str]) -> List[int]:
    """Return the numbers of the parts of `name` in a directory listing, ascending."""
    indexes = (part_index(name, found) for found in listing)
    return sorted(index for index in indexes if index is not None)


def flush_together(fds: Sequence[int]) -> None:
    """Flush all descriptors to the medium. Raises the first OSError, after all flushing threads have ended.

    Each fsync waits for the journal of the file system; concurrent ones share the same wait. syncfs(2) would
    be a single call, but by kernel version it reports errors of all files there or of none.
    """
    for fd in fds:
        linux.start_writeback(fd, 0, 0)  # to the end
    left, lock = list(fds), threading.Lock()
    errors: List[OSError] = []

    def work() -> None:
        while True:
            with lock:
                if not left or errors:
                    return
                fd = left.pop()
            try:
                os.fsync(fd)
            except OSError as error:
                errors.append(error)

    helpers: List[threading.Thread] = []
    with contextlib.suppress(RuntimeError):  # no more threads can be started: flush fewer at a time
        for number in range(min(_AT_ONCE, len(fds)) - 1):
            # A daemon, as every thread that a disk may block forever.
            helper = threading.Thread(target=work, name="dolly-flush-%d" % number, daemon=True)
            helper.start()
            helpers.append(helper)
    work()
    for helper in helpers:
        helper.join()
    if errors:
        raise errors[0]


class _Entry(Generic[Opened]):
    def __init__(self, opened: Opened) -> None:
        self.opened = opened
        self.users = 0


class Pool(Generic[Opened]):
    """Opens parts on use, and closes the least recently used ones. May be used from several threads."""

    def __init__(
        self, open_part: Callable[[int], Opened], close_parts: Callable[[List[Opened]], None], most: int = MAX_OPEN
    ) -> None:
        self._open = open_part
        self._close = close_parts
        self._most = most
        self._entries: "collections.OrderedDict[int, _Entry[Opened]]" = collections.OrderedDict()
        self._lock = threading.RLock()

    @contextlib.contextmanager
    def use(self, index: int) -> Iterator[Opened]:
        """Return a part, open inside the `with`. Raises what opening it, or closing another, raises."""
        with self._lock:
            entry = self._entries.get(index)
            if entry is None:
                if len(self._entries) >= self._most:
                    self._shrink(self._most // 2)  # close many at once, because they can be flushed together
                entry = self._entries[index] = _Entry(self._open(index))
            self._entries.move_to_end(index)
            entry.users += 1
        try:
            yield entry.opened
        finally:
            with self._lock:
                entry.users -= 1

    def each(self) -> List[int]:
        """Return the numbers of the parts that are open now."""
        with self._lock:
            return sorted(self._entries)

    def close(self) -> None:
        """Close all parts that are not in use. May be called again."""
        with self._lock:
            self._shrink(0)

    def _shrink(self, most: int) -> None:
        idle = [index for index, entry in self._entries.items() if not entry.users]
        gone = idle[: max(0, len(self._entries) - most)]
        if gone:
            self._close([self._entries.pop(index).opened for index in gone])
