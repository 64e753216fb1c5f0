# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads a chunk that a child got wrong before it is sent again: it may have gone bad after verification.

Until then the chunk is in doubt, and is not sent as a repair. If it is wrong here too, this node asks its own
parent for it, unless its image is published already.
"""

from __future__ import annotations

import collections
import hmac
from typing import Callable, Counter, Dict, Iterable, Optional

from ...buffers import make_buffer
from ...errors import BitRot
from ...integrity.manifest import PIECE, digest_regions
from ...ranges import Range
from ...storage.base import Store
from ...workers import Crew
from ..image.ledger import Ledger

#: A child asks for a chunk until it comes; the chunk is not read again more often than this.
_PAUSE_S = 2.0
#: How often a node repairs a chunk that went bad; the next time the node fails.
MAX_REPAIRS = 2


class Recheck:
    """`doubt` and the callbacks run on the reactor, reading is done on a thread.

    `on_end` is called after each pass with None, or with what cannot be repaired here: BitRot, TargetError.
    """

    def __init__(
        self, store: Store, ledger: Ledger, crew: Crew, on_end: Callable[[Optional[BaseException]], None]
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._crew = crew
        self._on_end = on_end
        self._buffer = make_buffer(PIECE)
        self._looked_at: Dict[int, float] = {}
        self._turned: Counter[int] = collections.Counter()
        #: Whether the thread may be reading.
        self.is_running = False

    def doubt(self, repairs: Iterable[Range], now: float) -> None:
        """A child got these bytes wrong at time `now` in seconds: read those again that were verified here."""
        ledger, size = self._ledger, self._ledger.image.chunk_size
        if self._store.window is not None:
            return  # it is in memory, and moves on while it is read
        with ledger.changed:
            for start, end in repairs:
                known = ledger.verified.within(start // size * size, -(-end // size) * size)
                for first, last in ledger.image.whole_chunks(known):
                    for index in range(first, last):
                        self._doubt_chunk(index, now)
        self._start()

    def _doubt_chunk(self, index: int, now: float) -> None:
        if now - self._looked_at.get(index, now - _PAUSE_S) >= _PAUSE_S:
            self._looked_at[index] = now
            self._ledger.doubtful.add(*self._ledger.image.chunk_bounds(index))

    def _start(self) -> None:
        if not self.is_running and self._ledger.doubtful:
            self.is_running = True
            self._crew.run("recheck", self._run, self._ended)

    def _ended(self, error: Optional[BaseException]) -> None:
        self.is_running = False
        self._on_end(error)
        if error is None:
            self._start()  # for what came after the thread's last look

    def _run(self) -> None:
        for index in iter(self._next, None):
            is_right = self._is_right(index)
            with self._ledger.changed:
                self._answer(index, is_right)
                self._ledger.changed.notify_all()

    def _next(self) -> Optional[int]:
        with self._ledger.changed:
            first = next((start for start, _end in self._ledger.doubtful), None)
            return None if first is None or self._ledger.is_closed else first // self._ledger.image.chunk_size

    def _is_right(self, index: int) -> bool:
        ledger = self._ledger
        parts, expected = ledger.image.chunk_parts(index), ledger.digest(index)
        try:
            actual = digest_regions(self._store.read, parts, self._buffer, ledger.manifest.hashing)
        except EOFError:  # the target was truncated
            return False
        return expected is not None and hmac.compare_digest(expected, actual)

    def _answer(self, index: int, is_right: bool) -> None:
        ledger, bounds = self._ledger, self._ledger.image.chunk_bounds(index)
        if is_right or not ledger.verified.covers(*bounds):  # if moved meanwhile, it is read at its new place
            ledger.doubtful.discard(*bounds)
            return
        self._turned[index] += 1
        if ledger.is_sealed or self._turned[index] > MAX_REPAIRS:
            raise BitRot(self._store.path, bounds[0])  # and it stays in doubt: it must not be sent from here
        ledger.doubtful.discard(*bounds)
        ledger.reject(index)
