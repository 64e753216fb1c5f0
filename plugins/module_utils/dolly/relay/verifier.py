# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads whole chunks back from the target and compares them with the server's digests."""

from __future__ import annotations

import collections
import hmac
from typing import Callable, Counter, Optional

from ..buffers import make_buffer
from ..errors import BadChunk
from ..integrity import PIECE, digest_regions
from ..profile import IDLE, Stopwatch
from ..storage.base import Store
from .ledger import Ledger
from .resume import check_claim, is_claimed

MAX_TRIES = 3
_MOST_ZEROS = 1024


class Verifier:
    """`run` goes on until the ledger is closed or complete; `on_bad` hears of chunks that must come again.

    Raises BadChunk when a chunk came out wrong for the third time, TargetError when it cannot be read.
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
        zero_length = ledger.zero_length(index)
        if zero_length is not None:
            # `zero` of the store has returned: the range was punched, zeroed or written.
            actual = self._hashing.zero(zero_length)
        else:
            actual = digest_regions(self._read, ledger.image.chunk_parts(index), self._buffer, self._hashing)
        expected = ledger.digest(index)
        if expected is not None and hmac.compare_digest(expected, actual):
            # A sparse image is mostly these, and one at a time they would take longer than its data.
            run = ledger.zero_run(index, expected, _MOST_ZEROS) if zero_length is not None else 0
            ledger.accept(index, max(1, run))
            return
        self._tries[index] += 1
        if self._tries[index] >= MAX_TRIES:
            raise BadChunk(self._store.path, ledger.image.chunk_bounds(index)[0], self._tries[index])
        ledger.reject(index)
        self._on_bad(index)
