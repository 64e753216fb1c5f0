# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Digests the source ahead of the sending, and looks again where somebody received something else.

A chunk may go out when it has been digested: what is nothing but zeros is known by then and need not be sent, and
a node can verify what it gets as soon as it has it. One thread digests faster than a ring takes the bytes.
"""

from __future__ import annotations

import hashlib
from typing import Callable, Iterable, List, Optional

from ..errors import SourceChanged
from ..integrity import PIECE, digest_region, zero_digest
from ..profile import IDLE, Stopwatch
from ..ranges import RangeSet
from ..storage.source import Source
from .ledger import Ledger

#: Digests are published in groups of this many chunks.
_GROUP = 4
_ZEROS = bytes(PIECE)


class Digester:
    """Work for a thread of its own. `publish(first, digests)` is called on that thread for each new group."""

    def __init__(
        self,
        source: Source,
        ledger: Ledger,
        publish: Callable[[int, bytes], None],
        watch: Optional[Stopwatch] = None,
    ) -> None:
        self.sha256: Optional[str] = None
        self._source = source
        self._ledger = ledger
        self._publish = publish
        self._watch = watch or Stopwatch()
        self._buffer = bytearray(PIECE)

    def digest_all(self, wants_sha256: bool) -> None:
        """Digest every chunk that has no digest yet; and the whole image once, where that is asked for.

        Raises SourceError, SourceChanged.
        """
        whole = hashlib.sha256() if wants_sha256 and self.sha256 is None else None
        count = self._ledger.image.chunk_count or 0
        group: List[bytes] = []
        for index in range(count):
            if self._ledger.is_closed:
                return
            group.append(self._digest(index, whole))
            if index == count - 1:
                self._source.check_unchanged()  # without the last digests no node can be done
            if len(group) == _GROUP or index == count - 1:
                self._learn(index + 1 - len(group), group)
                group = []
        self._watch.turn_to(IDLE)
        self._source.check_unchanged()
        if whole is not None:
            self.sha256 = whole.hexdigest()

    def recheck(self, chunks: Iterable[int]) -> None:
        """Digest chunks again that came out wrong elsewhere. Raises SourceChanged when the fault is here."""
        for index in chunks:
            start, end = self._ledger.image.chunk_bounds(index)
            if digest_region(self._read, start, end, self._buffer) != self._ledger.digest(index):
                raise SourceChanged(self._source.path, start)
        self._watch.turn_to(IDLE)

    def _digest(self, index: int, whole: Optional["hashlib._Hash"]) -> bytes:
        start, end = self._ledger.image.chunk_bounds(index)
        known = self._ledger.digest(index)
        if whole is None and known is not None:
            return known
        if whole is None and self._ledger.is_zero(start, end):
            return zero_digest(end - start)
        zeros = RangeSet()

        def read(offset: int, view: memoryview) -> int:
            length = self._read(offset, view)
            if whole is not None:
                whole.update(view[:length])
            if self._buffer.startswith(_ZEROS if length == PIECE else _ZEROS[:length]):
                zeros.add(offset, offset + length)
            return length

        digest = digest_region(read, start, end, self._buffer)
        self._ledger.hold(RangeSet([(start, end)]), zeros)
        return digest

    def _read(self, offset: int, view: memoryview) -> int:
        self._watch.turn_to("read")
        length = self._source.read(offset, view)
        self._watch.turn_to("hash")
        return length

    def _learn(self, first: int, group: List[bytes]) -> None:
        digests = b"".join(group)
        self._ledger.learn(first, digests)
        for index in range(first, first + len(group)):
            self._ledger.accept(index)
        self._publish(first, digests)
