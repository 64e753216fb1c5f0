# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The two interfaces of this folder: Target, before any byte is written, and Store, from then on.

    facts = inspect_target(path)         look
    check_target(facts, ...)             refuse
    target = open_target(path)
    target.prepare()                     lock; the target is as it was
    store = target.begin(size, chunk)    only after START
    store.receive / zero / send / read   from several threads
    store.end(size)                      only after begin(None), which has no size
    store.flush(); store.commit()
    store.finalize()                     if `needs_finalizing`, after the last read
    store.close()                        or store.abort()

Storage never sees a socket: the caller passes a Lane, which moves bytes between a socket and the file or
memory that the store names, by the fastest way available.
"""

from __future__ import annotations

import abc
from typing import Callable, List, Optional, Protocol

from ..ranges import RangeSet
from .facts import TargetFacts
from .record import Record


class Lane(Protocol):
    """The socket's side. A failure of the socket is a DollyError, a failure of the file an OSError."""

    def to_file(self, fd: int, offset: int, length: int) -> int:
        """Move between 1 and `length` bytes from the socket to the file; return the count."""

    def to_view(self, view: memoryview) -> int:
        """Move between 1 and `len(view)` bytes from the socket to memory; return the count."""

    def from_file(self, fd: int, offset: int, length: int) -> int:
        """Move bytes from the file to the socket; return the count, 0 if the file ends early."""

    def from_view(self, view: memoryview) -> None:
        """Send all of `view` to the socket."""


class Readable(Protocol):
    """What bytes can be sent from: a source, or a store that serves children."""

    path: str
    size: int

    def send(self, lane: Lane, offset: int, length: int) -> None:
        """Send all of a range."""

    def read(self, offset: int, view: memoryview) -> int:
        """Fill `view` from `offset`; return the count, which is less only where the image ends."""

    def release(self, offset: int, length: int) -> None:
        """Drop a range from the page cache, because it will not be read soon. The bytes stay as they are."""

    def close(self) -> None:
        """Close everything. May be called twice."""


class Store(abc.ABC):
    """The image as it arrives, in a place that can be read back. Offsets and lengths are in bytes.

    Every method may be called from any thread. The caller ensures that a range has one writer at a time and
    that no thread reads bytes before they were written. A failure to write is sticky: from then on `receive`,
    `zero`, `flush` and `commit` raise that first TargetError, because after a failed fsync the page cache
    still reads back good and a second fsync returns 0.
    """

    path: str
    size: int
    #: Notes for the user, as sentences, on things that do not make the result wrong.
    notes: List[str]
    #: Bytes that a window has room for; it discards older ones. None: everything can be read back.
    window: Optional[int] = None
    #: Whether `commit` flushes. If not, a power loss soon after may destroy what was published.
    flushes: bool = True
    #: Whether there is a medium to flush to. A pipe has none.
    is_lasting: bool = True
    #: Whether bytes may have been overwritten, also by a call that failed half-way. Only devices set this.
    is_written: bool = False
    #: The journal for a later run, where there can be one.
    record: Optional[Record] = None
    #: Called with the count of bytes that the store moves by itself, which may take long.
    on_step: Callable[[int], None] = staticmethod(lambda count: None)

    @property
    def claimed(self) -> RangeSet:
        """Whole chunks that the target may hold already: digest them before requesting them."""
        return self.record.claimed if self.record is not None else RangeSet()

    @property
    def is_untouched(self) -> bool:
        """Whether the target was compared, and nothing had to be written."""
        return False

    @property
    def needs_finalizing(self) -> bool:
        """Whether the target must differ from the image in the end, so that `finalize` has work to do."""
        return False

    def begin_changes(self) -> bool:
        """Prepare for the first write; return whether the readable bytes were moved for that.

        If so, digest them again. Raises TargetError, Refused.
        """
        return False

    @abc.abstractmethod
    def receive(self, lane: Lane, offset: int, length: int) -> int:
        """Store at most `length` bytes from the lane; return their count.

        Raises TargetError, and what the lane raises; then any part of the range may have been written.
        """

    @abc.abstractmethod
    def zero(self, offset: int, length: int) -> None:
        """Make a range read as zeros, after a flush also on the medium. Raises TargetError."""

    @abc.abstractmethod
    def send(self, lane: Lane, offset: int, length: int) -> None:
        """Send all of a range. Raises TargetError, and what the lane raises."""

    @abc.abstractmethod
    def read(self, offset: int, view: memoryview) -> int:
        """Fill `view` from `offset`; return the count, less only at the image's end. Raises TargetError."""

    def hole(self, offset: int, length: int) -> int:
        """Return how many bytes from `offset` on, at most `length`, are known to be zeros without reading.

        The file system reports a hole there; what was written does not count. Raises TargetError.
        """
        return 0

    def end(self, size: int) -> None:
        """Set the size of the image after `begin(None)`; cut off what was written beyond, where possible.

        Call this only when no thread reads or writes beyond `size` any more. Until then, the attribute `size`
        is the room available. Raises TargetError; ValueError: more than there is room for.
        """
        raise NotImplementedError

    def settle(self, offset: int, length: int) -> None:  # noqa: B027 - only disks have something to do
        """Start the writeback of a written range, without waiting for its end.

        May block while the disk's queue is full: not for threads that move data. Raises TargetError.
        """

    def release(self, offset: int, length: int) -> None:  # noqa: B027
        """Drop a range from the page cache, because it will not be read soon. Dirty pages stay."""

    def sink(self, start: int, end: int) -> None:
        """Only in a window: pass the next bytes, in order, to the sink. Raises TargetError, BadArchive."""
        raise NotImplementedError

    @abc.abstractmethod
    def flush(self) -> None:
        """Flush everything written so far to the medium. Raises TargetError."""

    @abc.abstractmethod
    def commit(self) -> None:
        """Flush if `flushes`, then publish the image. It can still be read afterwards.

        Raises TargetError, also for an earlier failure.
        """

    def finalize(self) -> None:  # noqa: B027
        """After `commit`: make the target differ from the image where that was requested.

        Call this only after the last read, because later reads need not return the image. The target stays
        usable after a power loss during the call. Raises TableNotMoved; TargetError: the image is bad, too.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Close everything; without `commit` the target stays unfinished. May be called twice."""

    @abc.abstractmethod
    def abort(self) -> None:
        """Close at once. Calls under way in other threads still end; later ones raise TargetError."""


class Target(abc.ABC):
    """A place that an image may go to."""

    facts: TargetFacts

    @abc.abstractmethod
    def prepare(self) -> None:
        """Lock the target for this run, without changing its content. Raises Refused, TargetError."""

    @abc.abstractmethod
    def begin(self, size: Optional[int], chunk_size: int = 0) -> Store:
        """Make room for `size` bytes and return the store; call this once. Raises Refused, TargetError.

        None: the size is unknown yet; `Store.end` sets it, before `commit`. `chunk_size`: the bytes that one
        digest covers; then data of an earlier run may stay, which `record.claimed` of the store names. 0:
        that data could not be checked, so all of it is discarded.
        """

    @abc.abstractmethod
    def release(self) -> None:
        """Undo `prepare`; does nothing after `begin` has passed the locks to a store."""
