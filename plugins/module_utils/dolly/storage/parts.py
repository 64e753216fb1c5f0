# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the parts of a split image have in common: names, which part a byte is in, and few open at a time."""

from __future__ import annotations

import collections
import contextlib
import threading
from typing import Callable, Generic, Iterable, Iterator, List, Optional, TypeVar

#: A process may have 1024 open by default, and an image thousands of parts.
MAX_OPEN = 64

Opened = TypeVar("Opened")


def part_name(name: str, index: int) -> str:
    """The name of a part."""
    return "%s_%d" % (name, index)


def part_index(name: str, found: str) -> Optional[int]:
    """Which part of `name` a file called `found` is, None for none."""
    head, _underscore, digits = found.rpartition("_")
    if head != name or not digits.isascii() or not digits.isdigit() or digits != str(int(digits)):
        return None
    return int(digits)


def part_indexes(name: str, listing: Iterable[str]) -> List[int]:
    """The numbers of the parts of `name` in a directory, ascending."""
    indexes = (part_index(name, found) for found in listing)
    return sorted(index for index in indexes if index is not None)


class _Entry(Generic[Opened]):
    def __init__(self, opened: Opened) -> None:
        self.opened = opened
        self.users = 0


class Pool(Generic[Opened]):
    """Opens parts when they are used, closes those that were not used for longest. For several threads."""

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
        """A part, open inside the `with`. Raises what opening it, or closing another one, raises."""
        with self._lock:
            entry = self._entries.get(index)
            if entry is None:
                if len(self._entries) >= self._most:
                    self._shrink(self._most // 2)  # many at once: what closing costs can be shared
                entry = self._entries[index] = _Entry(self._open(index))
            self._entries.move_to_end(index)
            entry.users += 1
        try:
            yield entry.opened
        finally:
            with self._lock:
                entry.users -= 1

    def each(self) -> List[int]:
        """The numbers of those that are open now."""
        with self._lock:
            return sorted(self._entries)

    def close(self) -> None:
        """Close all that nobody uses. May be called again."""
        with self._lock:
            self._shrink(0)

    def _shrink(self, most: int) -> None:
        idle = [index for index, entry in self._entries.items() if not entry.users]
        gone = idle[: max(0, len(self._entries) - most)]
        if gone:
            self._close([self._entries.pop(index).opened for index in gone])
