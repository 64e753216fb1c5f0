# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Digests the source ahead of sending, and reads chunks again that arrived wrong somewhere.

A chunk may be sent when it has been digested: its zeros are known then and need not be sent, and a node can
verify what it gets as soon as it has it. One thread digests faster than a ring takes the bytes.
"""

from __future__ import annotations

import hashlib
from typing import Callable, Iterable, List, Optional

from ...buffers import is_zero, make_buffer
from ...errors import SourceChanged
from ...integrity.manifest import PIECE, SLICE_DIGESTS, digest_regions
from ...plan.blockmap import Checker
from ...ranges import Range, RangeSet
from ...status.profile import IDLE, Stopwatch
from ...storage.source import Source
from ..image.ledger import Ledger

#: Digests are published in groups of so many chunks that were read; known zeros come in between.
_GROUP = 4


class Digester:
    """Work for a thread of its own. `publish(first, digests)` is called on that thread for each new group.

    `checker` compares the source with its block map on the way, before the last digest, without which no node
    is done, is published.
    """

    def __init__(
        self,
        source: Source,
        ledger: Ledger,
        publish: Callable[[int, bytes], None],
        watch: Optional[Stopwatch] = None,
        checker: Optional[Checker] = None,
    ) -> None:
        self.sha256: Optional[str] = None
        self._source = source
        self._ledger = ledger
        self._publish = publish
        self._watch = watch or Stopwatch()
        self._checker = checker
        self._buffer = make_buffer(PIECE)
        self._hashing = ledger.manifest.hashing
        self._doubtful = RangeSet()
        self._whole: Optional["hashlib._Hash"] = None
        self._whole_end = 0
        self._reads = 0
        #: How many reads of the source have returned.
        self.answers = 0

    def digest_all(self, wants_sha256: bool) -> None:
        """Digest every chunk that has no digest yet; with `wants_sha256` also the image as a whole, once.

        Raises SourceError, SourceChanged, MapMismatch.
        """
        if wants_sha256 and self.sha256 is None:
            self._whole, self._whole_end = hashlib.sha256(), 0
        count = self._ledger.image.chunk_count or 0
        first = 0
        group: List[bytes] = []
        while first + len(group) < count:
            if self._ledger.is_closed:
                return
            self.recheck()  # not only at the end of a large image: nodes wait for it
            group += self._digest(first + len(group), SLICE_DIGESTS - len(group))
            is_last = first + len(group) == count
            if is_last:
                self._source.check_unchanged()  # without the last digests no node can be done
            if self._reads >= _GROUP or len(group) == SLICE_DIGESTS or is_last:
                self._learn(first, group)
                first, group, self._reads = first + len(group), [], 0
        self._watch.turn_to(IDLE)
        self._source.check_unchanged()
        self._checker = None
        if self._whole is not None:
            self._catch_up(self._ledger.size)
            self._watch.turn_to(IDLE)
            self.sha256, self._whole = self._whole.hexdigest(), None

    @property
    def has_doubts(self) -> bool:
        """Whether `recheck` has anything to do."""
        with self._ledger.changed:
            return bool(self._doubtful)

    def doubt(self, repairs: Iterable[Range]) -> None:
        """Bytes were wrong elsewhere: until `recheck`, their chunks are unverified and repair nothing.

        Called on any thread. A node has few tries before it blames itself; a changed source may cost none.
        """
        ledger, size = self._ledger, self._ledger.image.chunk_size
        with ledger.changed:
            for start, end in repairs:
                known = ledger.verified.within(start // size * size, -(-end // size) * size)
                self._doubtful.update(known)
            ledger.suspect(self._doubtful)

    def recheck(self) -> None:
        """Digest chunks in doubt again, and let them go out. Raises SourceError; SourceChanged: the fault is here."""
        for index in iter(self._next_doubtful, None):
            self._look_again(index)
            with self._ledger.changed:
                self._doubtful.discard(*self._ledger.image.chunk_bounds(index))
                self._ledger.accept(index)

    def _look_again(self, index: int) -> None:
        parts = self._ledger.image.chunk_parts(index)
        if digest_regions(self._read, parts, self._buffer, self._hashing) != self._ledger.digest(index):
            raise SourceChanged(self._source.path, self._ledger.image.chunk_bounds(index)[0])
        self._watch.turn_to(IDLE)

    def _next_doubtful(self) -> Optional[int]:
        with self._ledger.changed:
            first = next((start for start, _end in self._doubtful), None)
            return None if first is None or self._ledger.is_closed else first // self._ledger.image.chunk_size

    def _digest(self, index: int, most: int) -> List[bytes]:
        """The digest of a chunk, and of those behind it if known to be zeros; at most `most` in all."""
        if self._whole is None and self._checker is None:
            known = self._ledger.digest(index)
            if known is not None:
                return [known]
            size = self._ledger.image.chunk_size
            zeros = self._ledger.zero_chunks(index, most)
            if zeros:
                self._ledger.hold(RangeSet.span(index * size, (index + zeros) * size), RangeSet())
                return [self._hashing.zero(size)] * zeros
            zero_length = self._ledger.zero_length(index)
            if zero_length is not None:
                self._ledger.hold(RangeSet(self._ledger.image.chunk_parts(index)), RangeSet())
                return [self._hashing.zero(zero_length)]
        return [self._read_chunk(index)]

    def _read_chunk(self, index: int) -> bytes:
        zeros = RangeSet()

        def read(offset: int, view: memoryview) -> int:
            length = self._read(offset, view)
            self._look(offset, view[:length])
            if is_zero(view[:length]):
                zeros.add(offset, offset + length)
            return length

        self._reads += 1
        parts = self._ledger.image.chunk_parts(index)
        digest = digest_regions(read, parts, self._buffer, self._hashing)
        self._ledger.hold(RangeSet(parts), zeros)
        return digest

    def _read(self, offset: int, view: memoryview) -> int:
        self._watch.turn_to("read")
        length = self._source.read(offset, view)
        self.answers += 1
        self._watch.turn_to("hash")
        return length

    def _look(self, offset: int, data: memoryview) -> None:
        if self._checker is not None:
            self._checker.update(offset, data)
        if self._whole is not None:
            self._catch_up(offset)
            self._whole.update(data)
            self._whole_end += len(data)

    def _catch_up(self, end: int) -> None:
        """What a block map leaves out is part of the SHA-256 of the whole image as well."""
        while self._whole is not None and self._whole_end < end:
            gap = make_buffer(min(PIECE, end - self._whole_end))
            length = self._read(self._whole_end, gap)
            self._whole.update(gap[:length])
            self._whole_end += length

    def _learn(self, first: int, group: List[bytes]) -> None:
        digests = b"".join(group)
        self._ledger.learn(first, digests)
        with self._ledger.changed:
            self._ledger.accept(first, len(group))
            if self._doubtful:  # with an expected checksum they were sent before
                self._ledger.suspect(self._doubtful)
        self._publish(first, digests)
