# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Manages the page cache behind the data: starts writeback of new bytes at once, and drops old pages.

Otherwise the kernel writes nothing until a tenth of the memory is dirty or half a minute is over, and the
last fsync has to write all the rest. And an image larger than the memory evicts everything else.
"""

from __future__ import annotations

import os

from ...ranges import RangeSet
from ...storage.base import Readable, Store
from ..image.ledger import Ledger

_PAUSE_S = 0.1
#: Passes between two attempts to drop pages.
_DROP_EVERY = 10
#: A page that is written in parts would go to the disk twice.
_GRAIN = 1 << 20
#: The most that one call may queue; the run may end between two calls.
_STEP = 64 << 20
#: An image that leaves this much of the memory to others may stay cached: the next run may want it again.
_MODEST_SHARE = 4


def is_large(size: int) -> bool:
    """Whether an image is too large to be left in this machine's page cache."""
    return size > os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // _MODEST_SHARE


class Writeback:
    """Work for a thread of its own, because a call may block when the disk's queue is full.

    `run` returns when the ledger is closed. Raises TargetError when written bytes cannot get to the disk.
    """

    def __init__(self, store: Readable, ledger: Ledger, drops: bool) -> None:
        self._store = store
        self._target = store if isinstance(store, Store) else None
        self._ledger = ledger
        self._drops = drops
        self._settled = RangeSet()

    @property
    def is_needed(self) -> bool:
        """Whether there is anything to do: not for a source that may stay in memory, and not for a window."""
        if self._target is not None and self._target.window is not None:
            return False
        return self._target is not None or self._drops

    def run(self) -> None:
        """Run until the ledger is closed."""
        passes = 0
        while not self._ledger.wait_closed(_PAUSE_S):
            passes += 1
            if self._target is not None:
                self.settle(self._target)
            if self._drops and passes % _DROP_EVERY == 0:
                self.drop()

    def settle(self, target: Store) -> None:
        """Start writeback of what has come since the last call. Raises TargetError."""
        ledger = self._ledger
        with ledger.changed:
            fresh, size = ledger.held - self._settled, ledger.image.size
        for start, end in fresh:
            start = -(-start // _GRAIN) * _GRAIN
            end = end if end == size else end // _GRAIN * _GRAIN
            while start < end and not ledger.is_closed:
                stop = min(end, start + _STEP)
                target.settle(start, stop - start)
                self._settled.add(start, stop)
                start = stop

    def drop(self) -> None:
        """Drop from the page cache what neither this node nor a child needs any more.

        The whole range each time: pages under writeback the last time could not be dropped then, and a call
        for pages that are not cached costs next to nothing.
        """
        end = min(self._ledger.safe, self._ledger.below, self._store.size) // _GRAIN * _GRAIN
        if end:
            self._store.release(0, end)
