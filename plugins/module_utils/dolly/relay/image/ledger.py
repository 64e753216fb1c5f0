# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node holds: the one piece of state that its threads share.

Lane threads add what arrived and wait for what they may send, the verifier takes whole chunks, the reactor
computes what is missing. All of it happens under one condition.
"""

from __future__ import annotations

import threading
import time
from typing import Callable, List, Optional, Tuple

from ...errors import ProtocolError, Refused
from ...integrity.manifest import DIGEST_SIZE, SHA256, Hashing, Manifest
from ...plan.job import MAX_SIZE, Image
from ...ranges import RangeSet
from .arrivals import Arrivals
from .outage import Outage
from .verify_queue import VerifyQueue
from .window import Window


class Ledger:
    """Byte ranges of the image by what is known about them. Safe to use from every thread.

    held:     in the store, may be sent on
    zeros:    known to be zeros; held, except for holes of the source that are not digested yet
    verified: held, and read back with the right digest
    rejected: failed verification, and have to come again from a node that has verified them
    claimed:  in the store according to an earlier run; neither held nor missing until digested

    What a block map leaves out counts as held from the beginning, so that a chunk is whole when the rest of it
    is. It is never sent: `Scheduler` serves mapped bytes alone.

    In a node whose store is a window these say what has been there; what is still there begins at `base`.
    """

    def __init__(
        self, image: Image, verifies: bool, clock: Callable[[], float] = time.monotonic, hashing: Hashing = SHA256
    ) -> None:
        self.image = image
        self.manifest = Manifest(image, hashing)
        self.pulse = Outage(clock)
        lock = threading.RLock()
        #: Held while anything here is used; notified when there may be something new to send.
        self.changed = threading.Condition(lock)
        # Separate from `changed`, or each arriving piece would wake the verifier too, for nothing.
        self._whole = threading.Condition(lock)
        self.held = image.unmapped()
        self.zeros = RangeSet()
        self.verified = RangeSet()
        self.claimed = RangeSet()
        # Sent together with the missing ranges, or a parent would give what it has not verified itself.
        self.rejected = RangeSet()
        #: Verified chunks that a child got wrong: not sent as a repair until they have been read again.
        self.doubtful = RangeSet()
        #: Keeps the bytes of incoming chunks that were wrong before.
        self.arrivals = Arrivals(image.chunk_size)
        #: Whether this node requests nothing any more, because the image is about to be published.
        self.is_sealed = False
        self.repaired = 0
        #: Claimed ranges that proved right, as far as they are cloned: bytes that nobody had to send.
        self.spared = RangeSet()
        #: Bytes of claims that were digested, or moved before that: progress that no other figure shows.
        self.checked = 0
        #: Bytes that came in pieces, without zeros; repeated bytes count again.
        self.received = 0
        #: Bytes that went to children, counted likewise.
        self.sent = 0
        self.is_closed = False
        #: The chunk that is being read back; None while the verifier waits for one.
        self.verifying: Optional[int] = None
        self._verifies = verifies
        self._awaits_end = False
        #: Called on any thread when every byte is held, in a run without verification.
        self.on_full: Callable[[], None] = lambda: None
        self._given = self.held.total
        self._given_verified = 0
        #: The chunk that is being read at a place where it does not stay: its verdict does not count.
        self.stale: Optional[int] = None
        self._backlog = VerifyQueue()
        self._window = Window()

    @property
    def size(self) -> int:
        """Bytes of the image; 0 while that is unknown."""
        return self.image.size or 0

    @property
    def limit(self) -> int:
        """The end of the bytes that may be stored now."""
        end = MAX_SIZE if self.image.size is None else self.image.size
        return end if self._window.length is None else min(end, self.base + self._window.length)

    @property
    def base(self) -> int:
        """The lowest byte that is in the store; above 0 only in a window."""
        return self._window.base

    @property
    def below(self) -> int:
        """The children of this node will never want a byte below this offset."""
        return self._window.below

    @property
    def resumed(self) -> int:
        """Bytes that were in the store already, and right."""
        with self.changed:
            return self.spared.total

    @property
    def arrived(self) -> int:
        """Held bytes that are part of what is cloned."""
        with self.changed:
            return self.held.total - self._given

    @property
    def confirmed(self) -> int:
        """Verified bytes that are part of what is cloned."""
        with self.changed:
            return self.verified.total - self._given_verified

    def add(self, start: int, end: int, is_zero: bool = False) -> None:
        """Add bytes that arrived in the store."""
        with self.changed:
            self.held.add(start, end)
            self.pulse.beat()
            if is_zero:
                self.zeros.add(start, end)
            else:
                self.zeros.discard(start, end)
                self.received += end - start
            self.changed.notify_all()
            if not self._verifies:
                self._notice()
                if self._is_full:
                    self._whole.notify_all()
                    self.on_full()

    def hold(self, data: RangeSet, zeros: RangeSet) -> None:
        """On the server: these ranges may be sent, those in `zeros` as ZERO pieces."""
        with self.changed:
            self.held.update(data)
            self.held.update(zeros)
            self.zeros.update(zeros)
            self.changed.notify_all()

    def know_zeros(self, zeros: RangeSet) -> None:
        """On the server: these ranges are holes; `hold` says later that they may be sent."""
        with self.changed:
            self.zeros.update(zeros)

    def hold_all(self, zeros: RangeSet) -> None:
        """On the server: every byte may be sent; `zeros` are holes."""
        self.hold(RangeSet([(0, self.size)]) if self.size else RangeSet(), zeros)

    def end(self, size: int) -> None:
        """Set the size of the image, where it was unknown. Raises ProtocolError if it cannot be right."""
        with self.changed:
            if self.image.size is None and size < self.held.span_end:
                raise ProtocolError("The parent", "an image that ends at %d, before bytes that came from it" % size)
            self.manifest.end(size)
            self._awaits_end = False
            self.image = self.manifest.image
            if size:
                last = (size - 1) // self.image.chunk_size
                self._offer(last, last + 1)
            self._notice()
            self.changed.notify_all()
            self._whole.notify_all()

    def begin_write(self, start: int, end: int) -> RangeSet:
        """Reserve bytes for writing, without those of chunks that are whole already. Returns what is reserved.

        A reserved chunk is not verified before `end_write`, or a late duplicate could change it between its
        digest and the mark "verified".
        """
        image = self.image
        chunks = (start // image.chunk_size, (end - 1) // image.chunk_size + 1)
        bounds = (image.chunk_bounds(chunks[0])[0], image.chunk_bounds(chunks[1] - 1)[1])
        with self.changed:
            free = RangeSet.span(*chunks)
            for taken in (self.held, self.claimed):  # a claimed chunk may be being read, and was not requested
                if taken.overlaps(*bounds):
                    free.difference_update(image.whole_chunks(taken.within(*bounds)))
            self._backlog.begin(free)
            size = image.chunk_size
            return RangeSet((max(start, first * size), min(end, last * size)) for first, last in free)

    def end_write(self, taken: RangeSet) -> None:
        """Release what `begin_write` returned."""
        size = self.image.chunk_size
        with self.changed:
            for start, end in taken:
                first, last = start // size, (end - 1) // size + 1
                self._backlog.end(first, last)
                self._offer(first, last)
            if self._window.length is not None:
                self.changed.notify_all()

    def runs(self, start: int, end: int) -> List[Tuple[int, int, bool]]:
        """Split a range into (start, end, is_held). In a window, held parts are not written again."""
        if self._window.length is None:
            return [(start, end, False)]
        with self.changed:
            found: List[Tuple[int, int, bool]] = []
            while start < end:
                gap_start, gap_end = self.held.first_gap(start, end) or (end, end)
                if start < gap_start:
                    found.append((start, gap_start, True))
                if gap_start < gap_end:
                    found.append((gap_start, gap_end, False))
                start = gap_end
            return found

    def learn(self, first: int, digests: bytes) -> None:
        """Add digests of chunks from `first` on. Raises ProtocolError when they contradict known ones."""
        with self.changed:
            self.manifest.add(first, digests)
            if digests:
                self._offer(first, first + len(digests) // DIGEST_SIZE)

    def next_chunk(self, timeout_s: Optional[float] = None) -> Optional[int]:
        """Wait for a chunk to verify: whole, with a digest. None when closed, complete or timed out."""
        with self.changed:
            self.verifying = None
            self._whole.wait_for(lambda: self.is_closed or bool(self._backlog) or self.is_complete, timeout_s)
            if not self.is_closed:
                self.verifying = self._backlog.take()
            return self.verifying

    def accept(self, index: int, count: int = 1) -> None:
        """`count` chunks from `index` on were read back and matched."""
        with self.changed:
            self._end_verifying(index)
            start, end = self.image.chunk_bounds(index)[0], self.image.chunk_bounds(index + count - 1)[1]
            if self.image.mapped is not None:
                for each in range(index, index + count):
                    if not self.verified.covers(*self.image.chunk_bounds(each)):
                        self._given_verified += self.image.given_in(each)
            self.verified.add(start, end)
            self.rejected.discard(start, end)
            self.arrivals.forget(index, index + count)
            self._backlog.drop(index, index + count)
            self._notice()
            self.changed.notify_all()

    def reject(self, index: int) -> None:
        """Chunk `index` was read back and did not match: it is no longer held."""
        with self.changed:
            self._end_verifying(index)
            bounds = self.image.chunk_bounds(index)
            if self.verified.covers(*bounds):
                self._given_verified -= self.image.given_in(index)
            for part in self.image.chunk_parts(index):
                self.held.discard(*part)
            self.zeros.discard(*bounds)
            self.verified.discard(*bounds)
            self.rejected.add(*bounds)
            self.arrivals.expect(index, *bounds)
            self.repaired += 1
            self.changed.notify_all()

    def suspect(self, chunks: RangeSet) -> None:
        """These whole chunks are no longer verified."""
        with self.changed:
            self._given_verified -= (self.verified & chunks & self.image.unmapped()).total
            self.verified.difference_update(chunks)

    def doubt(self, chunks: RangeSet) -> None:
        """These whole chunks are no longer held or verified."""
        with self.changed:
            self.suspect(chunks)
            self.held.difference_update(chunks - self.image.unmapped())
            self.zeros.difference_update(chunks)
            self.spared.difference_update(chunks)

    def tick(self, count: int) -> None:
        """Count bytes that were read or moved inside the target."""
        with self.changed:
            self.checked += count

    def missing(self) -> RangeSet:
        """Bytes that have to be sent and that the store has room for: neither held nor claimed."""
        with self.changed:
            return RangeSet.span(self.base, max(self.base, self.limit)) - self.held - self.claimed

    def is_zero(self, start: int, end: int) -> bool:
        """Whether a range is held as nothing but zeros."""
        with self.changed:
            return self.zeros.covers(start, end)

    def zero_length(self, index: int) -> Optional[int]:
        """The bytes of chunk `index` that its digest covers, if all of them are held as zeros; else None."""
        parts = self.image.chunk_parts(index)
        with self.changed:
            if all(self.is_zero(*part) for part in parts):
                return sum(end - start for start, end in parts)
            return None

    def zero_chunks(self, index: int, most: int) -> int:
        """How many chunks of full size from `index` on, at most `most`, are held as nothing but zeros."""
        size = self.image.chunk_size
        with self.changed:
            if self.image.mapped is not None:
                return 0  # a digest covers different bytes in each chunk
            start, end = index * size, min(index + most, self.size // size) * size
            gap = self.zeros.first_gap(start, end) if start < end else (start, end)
            return (end if gap is None else gap[0]) // size - index

    def zero_run(self, index: int, digest: bytes, most: int) -> int:
        """How many chunks from `index` on, up to `most`, are held as zeros and have the server's `digest`."""
        with self.changed:
            count = self.zero_chunks(index, most)
            for number in range(count):
                if self.manifest.get(index + number) != digest or self._backlog.is_written(index + number):
                    return number
            return count

    def digest(self, index: int) -> Optional[bytes]:
        """The server's digest of a chunk; None if it has not come."""
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
            return self._is_full and not self._awaits_end

    @property
    def _is_full(self) -> bool:
        return self.image.size is not None and self._counted.total == self.size

    def await_end(self) -> None:
        """Nothing is complete before `end`: without digests that says that the source has not changed meanwhile."""
        self._awaits_end = not self._verifies

    def seal(self) -> bool:
        """Wait until nothing is in doubt. Whether everything is held, and verified: then that stays so."""
        with self.changed:
            self.changed.wait_for(lambda: self.is_closed or not self.doubtful)
            self.is_sealed = self.is_complete and not self.is_closed
            return self.is_sealed

    # --- windows ------------------------------------------------------------------------------------

    @property
    def safe(self) -> int:
        """This node itself will never want a byte below this offset."""
        with self.changed:
            if self._window.length is not None:
                return self._window.sunk
            end = MAX_SIZE if self.image.size is None else self.image.size
            gap = self._counted.first_gap(0, end)
            return end if gap is None else gap[0]

    def open_window(self, length: Optional[int]) -> None:
        """The store has room for `length` bytes at a time; None: for all. Raises Refused with a block map."""
        if length is not None and self.image.mapped is not None:
            found = "it takes the image as a stream, from which a block map cannot leave anything out"
            raise Refused("the target", found, "a run without the block map")
        with self.changed:
            self._window.length = length

    def watch(self, on_progress: Callable[[], None]) -> None:
        """Call `on_progress`, on any thread, when `safe`, `base` or `below` has moved by part of a window."""
        with self.changed:
            self._window.watch(on_progress)

    def sink(self, end: int) -> None:
        """This node itself is done with every byte below `end`."""
        with self.changed:
            self._moved(self._window.sink(end))

    def keep(self, start: int, below: int) -> None:
        """No node that may ask wants a byte below `start`, and no present child wants one below `below`."""
        with self.changed:
            self._moved(self._window.keep(start, below))

    def make_room(self, end: int) -> bool:
        """Wait until the window reaches `end`, and forget as little as possible. False when closed before."""
        with self.changed:
            if self._window.length is not None:
                self.sink(end - self._window.length)
            self.changed.wait_for(lambda: self.is_closed or self._window.reaches(end))
            return not self.is_closed

    def next_to_sink(self, start: int, most: int) -> Optional[int]:
        """Wait for good bytes from `start` on that nobody is writing. Returns where they end.

        That is at most `most` further, and `start` itself at the end of the image. None: the ledger was
        closed.
        """
        with self.changed:
            self.changed.wait_for(
                lambda: self.is_closed or start == self.image.size or self._good_end(start, 1) > start
            )
            return None if self.is_closed else self._good_end(start, most)

    def _good_end(self, start: int, most: int) -> int:
        gap = self._counted.first_gap(start, start + most)
        written = self._backlog.lowest_written
        # A late lane writes once more what another one has brought; its place must not be a newer byte's by then.
        least = start + most if written is None else max(start, written * self.image.chunk_size)
        return min(start + most if gap is None else gap[0], least)

    def wait_sunk(self) -> None:
        """Wait until this node itself is done with the whole image, or the ledger is closed."""
        with self.changed:
            window = self._window
            self.changed.wait_for(
                lambda: self.is_closed or window.length is None or window.sunk == self.image.size
            )

    @property
    def _counted(self) -> RangeSet:
        return self.verified if self._verifies else self.held

    def _moved(self, has_more_room: bool) -> None:
        self._notice()
        if has_more_room or self._window.sunk == self.image.size:
            self.changed.notify_all()

    def _notice(self) -> None:
        self._window.notice(lambda: self.safe)

    def wait_closed(self, timeout_s: float) -> bool:
        """Wait until the ledger is closed, at most `timeout_s`. Returns whether it is."""
        with self.changed:
            return self._whole.wait_for(lambda: self.is_closed, timeout_s)

    def close(self) -> None:
        """Close the ledger, and wake every waiting thread for the last time."""
        with self.changed:
            self.is_closed = True
            self.changed.notify_all()
            self._whole.notify_all()

    def _end_verifying(self, index: int) -> None:
        if self.verifying == index:
            self.verifying = None

    def _offer(self, first: int, end: int) -> None:
        """Queue chunks `first` to `end` for verification: the claimed ones, and whole unverified ones."""
        if not self._verifies:
            return
        image = self.image
        bounds = (image.chunk_bounds(first)[0], image.chunk_bounds(end - 1)[1])
        due = image.whole_chunks(self.held.within(*bounds))
        if due:
            due.difference_update(image.whole_chunks(self.verified.within(*bounds)))
        if self.claimed:
            due.update(image.whole_chunks(self.claimed.within(*bounds)))
        if self.verifying is not None:
            # A new parent repeats this chunk's digest; once rejected, the chunk must not be read half-
            # written.
            due.discard(self.verifying, self.verifying + 1)
        if due and self._backlog.offer(due & self.manifest.known):
            self._whole.notify_all()
