# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Source and target without a disk, to measure the network alone."""

from __future__ import annotations

from typing import List, Optional

from ..buffers import make_buffer
from ..ranges import RangeSet
from .base import Lane, Store, Target
from .facts import TargetFacts

_PIECE = 1024 * 1024
_MAX_SIZE = 2 ** 63 - 1
#: A pattern that a network card or a tunnel cannot compress to almost nothing.
_PATTERN = bytes(range(1, 252)) * (_PIECE // 251 + 1)


class _Pattern:
    """Supplies a fixed pattern, and stores nothing. `path` is its name in messages."""

    path = "dummy"

    def send(self, lane: Lane, offset: int, length: int) -> None:
        """Send as many bytes as the range has."""
        pattern = memoryview(_PATTERN)
        while length:
            part = pattern[: min(length, _PIECE)]
            lane.from_view(part)
            length -= len(part)

    def release(self, offset: int, length: int) -> None:
        """Do nothing: no memory is used."""

    def close(self) -> None:
        """Do nothing: nothing is open."""


class DummySource(_Pattern):
    """A source of `size` bytes; None: as many bytes as the run has time for."""

    facts = None

    def __init__(self, size: Optional[int]) -> None:
        self.size = _MAX_SIZE if size is None else size

    def read(self, offset: int, view: memoryview) -> int:
        """Fill `view` with the pattern; return the count."""
        part = view[: max(0, self.size - offset)]
        for start in range(0, len(part), _PIECE):
            piece = part[start : start + _PIECE]
            piece[:] = _PATTERN[: len(piece)]
        return len(part)

    def data_ranges(self) -> RangeSet:
        """Return the whole image."""
        return RangeSet.span(0, self.size)

    def check_unchanged(self) -> None:
        """Do nothing: the pattern never changes."""


class DummyStore(_Pattern, Store):
    """Discards the bytes it receives, and sends the pattern instead. Cannot be verified."""

    def __init__(self, size: Optional[int]) -> None:
        self.size = _MAX_SIZE if size is None else size
        self.notes: List[str] = []
        self._anything = make_buffer(_PIECE)  # shared by all threads: the content is never read

    def receive(self, lane: Lane, offset: int, length: int) -> int:
        return lane.to_view(self._anything[:length])

    def zero(self, offset: int, length: int) -> None:
        pass

    @property
    def is_untouched(self) -> bool:
        return True

    def read(self, offset: int, view: memoryview) -> int:
        return len(view[: max(0, self.size - offset)])

    def end(self, size: int) -> None:
        self.size = size

    def flush(self) -> None:
        pass

    def commit(self) -> None:
        pass

    def close(self) -> None:
        pass

    def abort(self) -> None:
        pass


class DummyTarget(Target):
    """No target at all."""

    def __init__(self) -> None:
        self.facts = TargetFacts(path="dummy", real_path="dummy", kind="dummy", size=0, boot_id="")

    def prepare(self) -> None:
        pass

    def begin(self, size: Optional[int], chunk_size: int = 0) -> DummyStore:
        return DummyStore(size)

    def release(self) -> None:
        pass
