# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node holds: the one piece of state that its threads share.

Lane threads add what arrived and wait for what they may send, the verifier takes chunks that are whole,
the reactor asks for what is missing. All of it happens under one condition.
"""

from __future__ import annotations

import collections
import threading
from typing import Counter, Deque, Optional, Set

from ..integrity import Manifest
from ..plan.job import Image
from ..ranges import RangeSet


class Ledger:
    """Byte ranges of the image by what is known about them; safe to use from every thread.

    held:     in the store, may be sent on
    zeros:    held, and known to be nothing but zeros
    verified: held, and read back with the right digest
    """

    def __init__(self, image: Image, verifies: bool) -> None:
        self.image = image
        self.manifest = Manifest(image)
        lock = threading.RLock()
        #: Held while anything here is used; notified when there may be something new to send.
        self.changed = threading.Condition(lock)
        # Apart from it, or each step of data would wake the verifier too, for nothing.
        self._whole = threading.Condition(lock)
        self.held = RangeSet()
        self.zeros = RangeSet()
        self.verified = RangeSet()
        self.repaired = 0
        self.is_closed = False
        #: The chunk that is being read back, None while the verifier waits for one.
        self.verifying: Optional[int] = None
        self._verifies = verifies
        self._queue: Deque[int] = collections.deque()
        self._queued: Set[int] = set()
        self._writers: Counter[int] = collections.Counter()

    @property
    def size(self) -> int:
        """Bytes of the image."""
        return self.image.size or 0

    def add(self, start: int, end: int, is_zero: bool = False) -> None:
        """Bytes that arrived in the store."""
        with self.changed:
            self.held.add(start, end)
            if is_zero:
                self.zeros.add(start, end)
            else:
                self.zeros.discard(start, end)
            self.changed.notify_all()
            if not self._verifies and self.is_complete:
                self._whole.notify_all()

    def hold(self, data: RangeSet, zeros: RangeSet) -> None:
        """For the node that has the source: these ranges may go out, those in `zeros` by name alone."""
        with self.changed:
            self.held.update(data)
            self.held.update(zeros)
            self.zeros.update(zeros)
            self.changed.notify_all()

    def hold_all(self, zeros: RangeSet) -> None:
        """For the node that has the source: everything is here, `zeros` are its holes."""
        self.hold(RangeSet([(0, self.size)]) if self.size else RangeSet(), zeros)

    def begin_write(self, start: int, end: int) -> bool:
        """Claim bytes of one chunk for writing; False when the whole chunk is held, which nobody writes into.

        A chunk that is being written is not verified before `end_write`, or a late duplicate could change it
        between the digest and the word "verified".
        """
        index = start // self.image.chunk_size
        with self.changed:
            if self.held.covers(*self.image.chunk_bounds(index)):
                return False
            self._writers[index] += 1
            return True

    def end_write(self, start: int) -> None:
        """Release what `begin_write` claimed."""
        index = start // self.image.chunk_size
        with self.changed:
            self._writers[index] -= 1
            if not self._writers[index]:
                del self._writers[index]
                self._enqueue(index)

    def learn(self, first: int, digests: bytes) -> None:
        """Digests of chunks from `first` on. Raises ProtocolError when they contradict known ones."""
        with self.changed:
            self.manifest.add(first, digests)
            for index in range(first, first + len(digests) // 32):
                self._enqueue(index)

    def next_chunk(self, timeout_s: Optional[float] = None) -> Optional[int]:
        """Wait for a chunk that is whole, has a digest and was not verified; None when closed or in vain."""
        with self.changed:
            self.verifying = None
            self._whole.wait_for(lambda: self.is_closed or bool(self._queue), timeout_s)
            if self.is_closed or not self._queue:
                return None
            self.verifying = self._queue.popleft()
            self._queued.discard(self.verifying)
            return self.verifying

    def accept(self, index: int) -> None:
        """Chunk `index` was read back and matched."""
        with self.changed:
            self._end_verifying(index)
            self.verified.add(*self.image.chunk_bounds(index))
            self.changed.notify_all()

    def reject(self, index: int) -> None:
        """Chunk `index` was read back and did not match: it is not held any more."""
        with self.changed:
            self._end_verifying(index)
            bounds = self.image.chunk_bounds(index)
            self.held.discard(*bounds)
            self.zeros.discard(*bounds)
            self.verified.discard(*bounds)
            self.repaired += 1
            self.changed.notify_all()

    def missing(self) -> RangeSet:
        """What is not held."""
        with self.changed:
            return RangeSet.span(0, self.size) - self.held

    def is_zero(self, start: int, end: int) -> bool:
        """Whether a range is held as nothing but zeros."""
        with self.changed:
            return self.zeros.covers(start, end)

    def digest(self, index: int) -> Optional[bytes]:
        """The server's digest of a chunk, where it has come."""
        with self.changed:
            return self.manifest.get(index)

    def wait_complete(self) -> None:
        """Wait until every byte is held, or the ledger is closed."""
        with self.changed:
            self._whole.wait_for(lambda: self.is_closed or self.is_complete)

    @property
    def is_complete(self) -> bool:
        """Whether every byte is held, and verified where that was asked for."""
        with self.changed:
            counted = self.verified if self._verifies else self.held
            return counted.total == self.size

    def close(self) -> None:
        """Wake everybody who waits, for the last time."""
        with self.changed:
            self.is_closed = True
            self.changed.notify_all()
            self._whole.notify_all()

    def _end_verifying(self, index: int) -> None:
        if self.verifying == index:
            self.verifying = None

    def _enqueue(self, index: int) -> None:
        if not self._verifies or index in self._queued or index in self._writers:
            return
        if index == self.verifying:
            return  # a new parent sends its digest again; if it is rejected now, nobody may read it back half-written
        if self.manifest.get(index) is None:
            return
        start, end = self.image.chunk_bounds(index)
        if self.held.covers(start, end) and not self.verified.covers(start, end):
            self._queued.add(index)
            self._queue.append(index)
            self._whole.notify_all()
