# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads whole chunks back from the target and compares them with the server's digests."""

from __future__ import annotations

import collections
import hmac
from typing import Callable, Counter, Iterable, Optional

from ...buffers import is_zero, make_buffer
from ...errors import BadChunk
from ...integrity.manifest import PIECE, digest_regions
from ...ranges import Range, RangeSet
from ...status.profile import IDLE, Stopwatch
from ...storage.base import Store
from ..image.ledger import Ledger
from ..image.resume import check_claim, is_claimed

MAX_TRIES = 3
_MOST_ZEROS = 1024


class Verifier:
    """`run` ends when the ledger is closed or complete. `on_bad` is called for chunks that must come again.

    Raises BadChunk when a chunk failed for the third time without known damage on the way; TargetError when
    it cannot be read. How often a chunk came damaged, and from where, is in the ledger's `arrivals`.
    """

    def __init__(
        self, store: Store, ledger: Ledger, on_bad: Callable[[int], None], watch: Optional[Stopwatch] = None
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._on_bad = on_bad
        self._watch = watch or Stopwatch()
        self._tries: Counter[int] = collections.Counter()
        self._buffer = make_buffer(PIECE)
        self._hashing = ledger.manifest.hashing

    def run(self) -> None:
        """Verify chunks as they become whole."""
        while not self._ledger.is_complete:
            self._watch.turn_to(IDLE)
            index = self._ledger.next_chunk()
            if index is None:
                return
            self._verify(index)

    def _read(self, offset: int, view: memoryview) -> int:
        self._watch.turn_to("read")
        count = self._store.read(offset, view)
        self._watch.turn_to("hash")
        return count

    def _verify(self, index: int) -> None:
        ledger = self._ledger
        if is_claimed(ledger, index):
            check_claim(self._store, ledger, index, self._buffer)
            return
        parts, zero_length = ledger.image.chunk_parts(index), ledger.zero_length(index)
        holes = self._holes(index) if zero_length is not None else 0
        if zero_length is None:
            actual = digest_regions(self._read, parts, self._buffer, self._hashing)
        else:  # that `zero` of the store has returned says nothing: there are devices that only say that they zero
            actual = self._hashing.zero(zero_length) if holes or self._reads_zeros(parts) else b""
        expected = ledger.digest(index)
        if expected is not None and hmac.compare_digest(expected, actual):
            # A sparse image is mostly these, and one at a time they would take longer than its data.
            ledger.accept(index, max(1, ledger.zero_run(index, expected, holes) if holes else 0))
            return
        self._find_fault(index, expected)
        ledger.reject(index)
        self._on_bad(index)

    def _holes(self, index: int) -> int:
        """How many chunks from `index` on are holes of the store and need not be read. 0: read this one."""
        image, hole = self._ledger.image, self._store.hole
        if image.mapped is not None:
            return int(all(hole(start, end - start) == end - start for start, end in image.chunk_parts(index)))
        start, end = image.chunk_bounds(index)
        length = min(_MOST_ZEROS * image.chunk_size, max(end, self._ledger.size) - start)
        found = hole(start, length)
        return max(1, found // image.chunk_size) if found >= end - start else 0

    def _reads_zeros(self, parts: Iterable[Range]) -> bool:
        for start, end in parts:
            while start < end:
                view = self._buffer[: min(PIECE, end - start)]
                count = self._read(start, view)
                if not count or not is_zero(view[:count]):
                    return False
                start += count
        return True

    def _find_fault(self, index: int, expected: Optional[bytes]) -> None:
        """Note whether a chunk that is wrong on the target came so. Raises BadChunk if the target is to blame."""
        ledger, arrivals = self._ledger, self._ledger.arrivals
        start, end = ledger.image.chunk_bounds(index)
        came = arrivals.read(index, RangeSet(ledger.image.chunk_parts(index)))
        if came is not None and not self._is_right(index, came, expected):
            arrivals.blame(index)
            return
        is_last = self._tries[index] + 1 >= MAX_TRIES
        if is_last and not arrivals.keeps(index) and arrivals.can_keep(index, end - start):
            return  # too many others were kept: try once more, as the fault is unknown
        self._tries[index] += 1
        if is_last:
            raise BadChunk(self._store.path, start, self._tries[index])

    def _is_right(self, index: int, came: memoryview, expected: Optional[bytes]) -> bool:
        start = self._ledger.image.chunk_bounds(index)[0]

        def read(offset: int, view: memoryview) -> int:
            view[:] = came[offset - start : offset - start + len(view)]
            return len(view)

        actual = digest_regions(read, self._ledger.image.chunk_parts(index), self._buffer, self._hashing)
        return expected is not None and hmac.compare_digest(expected, actual)
