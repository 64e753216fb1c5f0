# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A chunk that a child got wrong is read again here before it is sent again: it may have turned since it was verified.

Until then it is in doubt, and nobody is sent it as a repair. If it is wrong here too, this node asks its own parent for
it, unless it has put the image in its place already.
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

#: A child asks for the same chunk again and again until it comes; it is not read more often than that.
_PAUSE_S = 2.0
#: So often a node mends a chunk that has turned; the next time it gives itself up.
MAX_REPAIRS = 2


class Recheck:
    """`doubt` and the callbacks belong to the reactor, reading is done on a thread.

    `on_end` hears after each look: None, or what cannot be mended here: BitRot, TargetError.
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
        #: Whether its thread may be reading.
        self.is_running = False

    def doubt(self, repairs: Iterable[Range], now: float) -> None:
        """A child got these bytes wrong, by time `now` in seconds: look again at those of them that were verified."""
        ledger, size = self._ledger, self._ledger.image.chunk_size
        if self._store.window is not None:
            return  # in memory, and it moves on while it is read
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
            self._start()  # what came after the thread had looked for the last time

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
        except EOFError:  # it was cut short
            return False
        return expected is not None and hmac.compare_digest(expected, actual)

    def _answer(self, index: int, is_right: bool) -> None:
        ledger, bounds = self._ledger, self._ledger.image.chunk_bounds(index)
        if is_right or not ledger.verified.covers(*bounds):  # it was moved meanwhile, and is looked at there
            ledger.doubtful.discard(*bounds)
            return
        self._turned[index] += 1
        if ledger.is_sealed or self._turned[index] > MAX_REPAIRS:
            raise BitRot(self._store.path, bounds[0])  # and it stays in doubt: nobody is to get it from here
        ledger.doubtful.discard(*bounds)
        ledger.reject(index)
