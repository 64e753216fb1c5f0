# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The image that is cloned: a regular file or a block device, opened read-only."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from dataclasses import replace
from typing import Iterator, Optional, Tuple

from ..errors import Refused, SourceChanged, SourceError, UsageError
from ..plan import blockmap
from ..ranges import RangeSet
from . import gpt, linux
from .base import Lane
from .descriptor import Descriptor
from .facts import SourceFacts
from .sysfs import Devices

#: Announcing a hole costs each node as much as receiving this many bytes: two frames, two calls on the
#: target, a lock.
SMALLEST_HOLE = 64 * 1024
_EXPECTED = "a regular file or a block device"
_QUIET = "mounting it read-only (mount -o remount,ro %s), or a snapshot of it as the source"
#: File systems that report holes where data was just written (openzfs issue 15526, fixed in 2.2.2 and
#: 2.1.14).
_UNTRUSTED_HOLES = frozenset(("zfs",))
_OTHER_KINDS = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISCHR, "a character device"),
    (stat.S_ISSOCK, "a socket"),
)


def inspect_source(path: str, proc_root: str = "/proc") -> SourceFacts:
    """Inspect a source. Raises UsageError for what cannot be a source, SourceError if it cannot be read."""
    fd = _open(path)
    try:
        return _facts(path, fd, proc_root)
    except OSError as error:
        raise SourceError(path, 0, error.errno) from error
    finally:
        os.close(fd)


def check_unmounted(source: SourceFacts) -> None:
    """Raise Refused for a disk that a mounted file system may write to.

    Data that the file system has in memory is not on the disk yet, so a copy would match neither the old
    state nor the new one. Counting writes to the disk would show this too late.
    """
    places = sorted(Devices().written_at(source.device)) if source.kind == "block" else []
    if places:
        found = "it is mounted for writing (%s), so that a copy of it need not be whole" % ", ".join(places)
        raise Refused("the source " + source.path, found, _QUIET % places[0])


def read_block_map(path: str, source: SourceFacts) -> blockmap.BlockMap:
    """Read the .bmap file of a source. Raises UsageError if it is invalid, or belongs to another image."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise ValueError("it is not a regular file")
        with open(path, "rb") as file:
            found = blockmap.parse(file.read(blockmap.MAX_FILE + 1))
    except OSError as error:
        raise UsageError("bmap", path, "a file that can be read (%s)" % error.strerror) from error
    except ValueError as error:
        raise UsageError("bmap", path, "a block map of version 1.3 to 2.0 (%s)" % error) from error
    if found.image_size != source.size:
        sizes = (found.image_size, source.path, source.size)
        raise UsageError("bmap", path, "that of the source: it is for %d bytes, %s has %d" % sizes)
    return found


class Source:
    """An open source, from which children are served (a `Readable`). May be used from any thread.

    `expected`: what an earlier `inspect_source` found; SourceChanged if the source differs from it.
    """

    def __init__(self, path: str, expected: Optional[SourceFacts] = None, proc_root: str = "/proc") -> None:
        fd = _open(path)
        try:
            self.facts = _facts(path, fd, proc_root)
            if expected is not None and _identity(expected) != _identity(self.facts):
                raise SourceChanged(path, 0)
            self._devices = Devices(proc_root=proc_root)
            self._written = self._count_writes(fd)
        except OSError as error:
            os.close(fd)
            raise SourceError(path, 0, error.errno) from error
        except BaseException:
            os.close(fd)
            raise
        self.path = path
        self.size = self.facts.size
        self._proc_root = proc_root
        self._descriptor = Descriptor(fd)
        self._data: Optional[Tuple[RangeSet, int]] = None
        try:
            self.facts = replace(self.facts, allocated=self._room())
        except BaseException:
            self._descriptor.close()
            raise

    def send(self, lane: Lane, offset: int, length: int) -> None:
        """Send all of a range. Raises SourceError, SourceChanged if the source shrank, the lane's errors."""
        end = offset + length
        try:
            with self._descriptor as fd:
                while offset < end:
                    count = lane.from_file(fd, offset, end - offset)
                    if not count:
                        raise SourceChanged(self.path, offset)
                    offset += count
        except OSError as error:
            raise SourceError(self.path, offset, error.errno) from error

    def read(self, offset: int, view: memoryview) -> int:
        """Fill `view` from `offset`; return the count, less only at the image's end. Raises like `send`."""
        part = view[: max(0, self.size - offset)]
        try:
            with self._descriptor as fd:
                count = linux.read_into(fd, part, offset)
        except OSError as error:
            raise SourceError(self.path, offset, error.errno) from error
        if count < len(part):
            raise SourceChanged(self.path, offset + count)
        return count

    def release(self, offset: int, length: int) -> None:
        """Drop a range from the page cache, because it will not be read soon."""
        with contextlib.suppress(OSError), self._descriptor as fd:
            linux.drop_cache(fd, offset, length)

    def data_ranges(self) -> RangeSet:
        """Return the ranges that are not holes; everything if the file system's holes are not reliable.

        A hole of less than SMALLEST_HOLE counts as data. Raises SourceError.
        """
        return self._look_for_data()[0]

    def check_unchanged(self) -> None:
        """Raise SourceChanged if a file has another size or time of change now, or a device was written to.

        A device is flushed first, so that writes of other programs that are still in memory count.
        """
        try:
            with self._descriptor as fd:
                if self.facts.kind != "file":
                    self._check_unwritten(fd)
                    return
                found = os.fstat(fd)
        except OSError as error:
            raise SourceError(self.path, 0, error.errno) from error
        facts = self.facts
        if (found.st_size, found.st_mtime_ns, found.st_ctime_ns) != (self.size, facts.mtime_ns, facts.ctime_ns):
            raise SourceChanged(self.path, min(found.st_size, self.size) if found.st_size != self.size else 0)

    def close(self) -> None:
        """Close the source. May be called twice."""
        self._descriptor.close()

    def _check_unwritten(self, fd: int) -> None:
        if self._written != self._count_writes(fd):
            raise SourceChanged(self.path, 0)

    def _count_writes(self, fd: int) -> Tuple[str, ...]:
        """Return the write counters of a device, after a flush so that writes still in memory count."""
        if self.facts.kind == "file":
            return ()
        try:
            os.fsync(fd)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EROFS):
                raise
        return self._devices.written(self.facts.device)

    def _room(self) -> int:
        """Return the bytes that a target needs, including holes that are sent as data."""
        allocated = self.facts.allocated
        if self.facts.kind != "file" or allocated >= self.size:
            return allocated
        return min(self.size, allocated + self._look_for_data()[1])

    def _look_for_data(self) -> Tuple[RangeSet, int]:
        """Return the data ranges, and the bytes of small holes in them; cached, as there may be many."""
        if self._data is None:
            self._data = RangeSet.span(0, self.size), 0
            if self.facts.kind == "file" and self._can_trust_holes():
                try:
                    with self._descriptor as fd:
                        self._data = _joined(_data(fd, self.size))
                except OSError as error:
                    if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
                        raise SourceError(self.path, 0, error.errno) from error
        return self._data

    def _can_trust_holes(self) -> bool:
        table = linux.parse_mountinfo(linux.read_text(self._proc_root + "/self/mountinfo"))
        kinds = {mount.fstype for mount in table if mount.device == self.facts.device}
        return not kinds & _UNTRUSTED_HOLES


def _open(path: str) -> int:
    try:
        # Check before opening: opening alone would rewind a tape, or start the writer of a pipe.
        _check_kind(path, os.stat(path).st_mode)
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        raise UsageError("source", path, _EXPECTED + " that exists") from None
    except OSError as error:
        raise SourceError(path, 0, error.errno) from error


def _check_kind(path: str, mode: int) -> None:
    for is_kind, name in _OTHER_KINDS:
        if is_kind(mode):
            raise UsageError("source", path, "%s, not %s" % (_EXPECTED, name))


def _facts(path: str, fd: int, proc_root: str) -> SourceFacts:
    found = os.fstat(fd)
    _check_kind(path, found.st_mode)
    is_block = stat.S_ISBLK(found.st_mode)
    size = linux.device_size(fd) if is_block else found.st_size
    return SourceFacts(
        path=path,
        kind="block" if is_block else "file",
        size=size,
        allocated=size if is_block else min(size, found.st_blocks * 512),  # stat(2): units of 512 bytes
        device=linux.device_name(found.st_rdev if is_block else found.st_dev),
        inode=found.st_ino,
        mtime_ns=found.st_mtime_ns,
        ctime_ns=found.st_ctime_ns,
        boot_id=linux.boot_id(proc_root),
        gpt=gpt.tables(lambda offset, length: os.pread(fd, length, offset)),
    )


def _identity(facts: SourceFacts) -> Tuple[object, ...]:
    """Return what must not change between two inspections; a device's times and inode are meaningless."""
    common = (facts.kind, facts.size, facts.device)
    return common if facts.kind == "block" else (*common, facts.inode, facts.mtime_ns, facts.ctime_ns)


def _joined(extents: Iterator[Tuple[int, int]]) -> Tuple[RangeSet, int]:
    """Return the extents with gaps below SMALLEST_HOLE filled, and the number of bytes in those gaps."""
    joined, small, last = RangeSet(), 0, -SMALLEST_HOLE
    for start, end in extents:
        if start - last < SMALLEST_HOLE:
            small += start - last
            start = last
        joined.add(start, end)
        last = end
    return joined, small


def _data(fd: int, size: int) -> Iterator[Tuple[int, int]]:
    end = 0
    while end < size:
        try:
            start = os.lseek(fd, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # lseek(2): only a hole follows
                return
            raise
        if start >= size:
            return
        end = min(size, os.lseek(fd, start, os.SEEK_HOLE))
        yield start, end
