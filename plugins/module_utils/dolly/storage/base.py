# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The two interfaces of this folder: Target, before any byte is written, and Store, from then on.

    facts = inspect_target(path)         look
    check_target(facts, ...)             refuse
    target = open_target(path)
    target.prepare()                     lock; the target is as it was
    store = target.begin(size, chunk)    only after START
    store.receive / zero / send / read   from several threads
    store.end(size)                      only where begin(None) was told no size
    store.flush(); store.commit()
    store.finalize()                     where it `needs_finalizing`, when nobody reads any more
    store.close()                        or store.abort()

Storage never sees a socket: the caller hands in a Lane, which moves bytes between a socket and what the
store names, the fastest way it knows.
"""

from __future__ import annotations

import abc
from typing import Callable, List, Optional, Protocol

from ..ranges import RangeSet
from .facts import TargetFacts
from .record import Record


class Lane(Protocol):
    """The socket's side. Its own failures are DollyErrors; an OSError is the file's."""

    def to_file(self, fd: int, offset: int, length: int) -> int:
        """Socket to file: between 1 and `length` bytes; the count."""

    def to_view(self, view: memoryview) -> int:
        """Socket to memory: between 1 and `len(view)` bytes; the count."""

    def from_file(self, fd: int, offset: int, length: int) -> int:
        """File to socket; the count sent, 0 where the file ended early."""

    def from_view(self, view: memoryview) -> None:
        """Memory to socket, all of it."""


class Readable(Protocol):
    """What bytes can be sent from: a source, or a store that others are served from."""

    path: str
    size: int

    def send(self, lane: Lane, offset: int, length: int) -> None:
        """Send all of a range."""

    def read(self, offset: int, view: memoryview) -> int:
        """Fill `view` from `offset`; the count is less only where the image ends."""

    def release(self, offset: int, length: int) -> None:
        """Nobody reads a range soon: its memory may go to others. What is there stays as it is."""

    def close(self) -> None:
        """Let go of everything. May be called twice."""


class Store(abc.ABC):
    """The image as it arrives, in a place that can be read back. Offsets and lengths are in bytes.

    Every method may be called from any thread; whoever calls sees to it that a range has one writer at a
    time and that nobody reads what was not written. A failure to write is sticky: from then on `receive`,
    `zero`, `flush` and `commit` raise that first TargetError, because after a failed fsync the page cache
    still reads back good and a second fsync returns 0.
    """

    path: str
    size: int
    #: Oddities that do not make the result wrong, as sentences.
    notes: List[str]
    #: Bytes that a window has room for: it forgets older ones. None: everything can be read back.
    window: Optional[int] = None
    #: Whether `commit` flushes. Without that a power loss soon after may take what it has published.
    flushes: bool = True
    #: Whether there is a medium to flush to. What goes into a pipe is in the hands of whoever reads it.
    is_lasting: bool = True
    #: Whether anything may have been overwritten, also by a call that failed half-way; said of devices alone.
    is_written: bool = False
    #: The journal for a later run, where there can be one.
    record: Optional[Record] = None
    #: Told of bytes that the store moves by itself, which may take long.
    on_step: Callable[[int], None] = staticmethod(lambda count: None)

    @property
    def claimed(self) -> RangeSet:
        """Whole chunks that may be those of the image already: to be digested before they are asked for."""
        return self.record.claimed if self.record is not None else RangeSet()

    @property
    def is_untouched(self) -> bool:
        """Whether the target was compared, and nothing had to be written."""
        return False

    @property
    def needs_finalizing(self) -> bool:
        """Whether the target is to differ from the image in the end, so that `finalize` has something to do."""
        return False

    def begin_changes(self) -> bool:
        """To be called before anything is written; whether what could be read before was moved for that.

        Then it is to be digested again. Raises TargetError, Refused.
        """
        return False

    @abc.abstractmethod
    def receive(self, lane: Lane, offset: int, length: int) -> int:
        """One step of at most `length` bytes from the lane; they are stored when it returns their count.

        Raises TargetError, and what the lane raises; then any part of the range may have been written.
        """

    @abc.abstractmethod
    def zero(self, offset: int, length: int) -> None:
        """Make a range read as zeros, on the medium too once flushed. Raises TargetError."""

    @abc.abstractmethod
    def send(self, lane: Lane, offset: int, length: int) -> None:
        """Send all of a range. Raises TargetError, and what the lane raises."""

    @abc.abstractmethod
    def read(self, offset: int, view: memoryview) -> int:
        """Fill `view` from `offset`; the count is less only where the image ends. Raises TargetError."""

    def hole(self, offset: int, length: int) -> int:
        """How many bytes from `offset` on, at most `length`, need not be read to know that they are zeros.

        Not because they were written, but because the place has nothing there by its own word. Raises TargetError.
        """
        return 0

    def end(self, size: int) -> None:
        """Say how large the image is after `begin(None)`; what was written beyond is cut off where that can be.

        Only when nobody reads or writes any more beyond `size`. Until then `size` is the most there is room for.
        Raises TargetError; ValueError: more than there is room for.
        """
        raise NotImplementedError

    def settle(self, offset: int, length: int) -> None:  # noqa: B027 - only disks have something to do
        """Let a range that was written start on its way to the medium, and do not wait for its arrival.

        May block where the disk's queue is full, so it is nothing for a thread that moves data. Raises TargetError.
        """

    def release(self, offset: int, length: int) -> None:  # noqa: B027
        """Nobody reads a range soon: its memory may go to others. What is not on the medium yet stays."""

    def sink(self, start: int, end: int) -> None:
        """Of a window: pass on bytes, the next ones in order each time. Raises TargetError, BadArchive."""
        raise NotImplementedError

    @abc.abstractmethod
    def flush(self) -> None:
        """Bring everything written so far to the medium. Raises TargetError."""

    @abc.abstractmethod
    def commit(self) -> None:
        """Flush if it `flushes`, then let the image take its place for good. Reading goes on after it.

        Raises TargetError, also what has failed before.
        """

    def finalize(self) -> None:  # noqa: B027
        """After `commit`: make the target differ from the image where that was asked for.

        Only when nobody reads any more, for what is read from now on need not be the image. Also after a loss of
        power in the middle of it the target is whole. Raises TableNotMoved; TargetError: the image is not good either.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Let go of everything; without `commit` the target stays unfinished. May be called twice."""

    @abc.abstractmethod
    def abort(self) -> None:
        """Give up now. Calls under way in other threads end as they can; later ones raise TargetError."""


class Target(abc.ABC):
    """A place that an image may go to."""

    facts: TargetFacts

    @abc.abstractmethod
    def prepare(self) -> None:
        """Have the target for this run alone, and change nothing that is there. Raises Refused, TargetError."""

    @abc.abstractmethod
    def begin(self, size: Optional[int], chunk_size: int = 0) -> Store:
        """Make room for `size` bytes and hand out the store, once. Raises Refused, TargetError.

        None: nobody knows the size yet; `Store.end` says it, before `commit`.
        With a `chunk_size`, the bytes that one digest covers, what an earlier run left may stay, and
        `record.claimed` of the store says what that is. Without one nothing could be checked, and all goes.
        """

    @abc.abstractmethod
    def release(self) -> None:
        """Undo `prepare`; nothing happens where `begin` has handed the locks to a store."""
