# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which bytes have room in a store that holds part of the image at a time. Locked by its ledger."""

from __future__ import annotations

from typing import Callable, Optional

from ...storage.window import DEFAULT_WINDOW


class Window:
    """Offsets in bytes. The window moves on when this node and its children are done with its lowest bytes."""

    def __init__(self) -> None:
        #: Bytes that the store has room for; None: all of the image.
        self.length: Optional[int] = None
        #: The lowest byte that is in the store; above 0 only in a window.
        self.base = 0
        #: The children of this node will never want a byte below this offset.
        self.below = 0
        #: This node itself is done with every byte below this offset.
        self.sunk = 0
        self._kept = 0
        self._step = self._told = 0
        self._on_progress: Optional[Callable[[], None]] = None

    def watch(self, on_progress: Callable[[], None]) -> None:
        """Call `on_progress` whenever an offset has moved by part of a window."""
        self._step, self._on_progress = max(1, (self.length or DEFAULT_WINDOW) // 16), on_progress

    def sink(self, end: int) -> bool:
        """This node itself is done with every byte below `end`. Returns whether there is more room now."""
        self.sunk = max(self.sunk, end)
        return self._slide()

    def keep(self, start: int, below: int) -> bool:
        """No node will want bytes below `start`, no child any below `below`. Returns whether room grew."""
        self._kept, self.below = start, below
        return self._slide()

    def reaches(self, end: int) -> bool:
        """Whether there is room up to `end`."""
        return self.length is None or self.base + self.length >= end

    def notice(self, safe: Callable[[], int]) -> None:
        """Call `on_progress` if due. `safe` returns the offset below which this node wants nothing."""
        if self._on_progress is None:
            return
        progress = safe() + self.base + self.below
        if abs(progress - self._told) >= self._step:  # may fall: a new child may want more than the others
            self._told = progress
            self._on_progress()

    def _slide(self) -> bool:
        base = min(self.sunk, self._kept)
        if self.length is None or base <= self.base:
            return False
        self.base = base
        return True
