# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""An image in parts, FILE_0, FILE_1, ..., as one source."""

from __future__ import annotations

import bisect
import contextlib
import dataclasses
import itertools
import os
from typing import Iterator, List, Optional, Tuple

from ..errors import SourceChanged, SourceError, UsageError
from ..ranges import RangeSet
from . import gpt
from .base import Lane
from .facts import SourceFacts
from .parts import Pool, part_indexes, part_name
from .source import Source, inspect_source


def inspect_split(path: str, proc_root: str = "/proc") -> SourceFacts:
    """Inspect all parts of a source. Raises UsageError: one is missing; SourceError: one is unreadable."""
    return _together(path, _inspect_parts(path, proc_root))


class SplitSource:
    """As Source, over several regular files. `expected`: what an earlier `inspect_split` found."""

    def __init__(self, path: str, expected: Optional[SourceFacts] = None, proc_root: str = "/proc") -> None:
        self._parts = _inspect_parts(path, proc_root)
        self.path = path
        self.facts = _together(path, self._parts)
        if expected is not None and dataclasses.replace(expected, archive=self.facts.archive) != self.facts:
            raise SourceChanged(path, 0)
        self.size = self.facts.size
        self._starts = [0, *itertools.accumulate(part.size for part in self._parts)]
        self._pool: Pool[Source] = Pool(lambda index: Source(self._parts[index].path, self._parts[index]), _close)

    def send(self, lane: Lane, offset: int, length: int) -> None:
        """Send all of a range. Raises SourceError, SourceChanged if a part shrank, the lane's errors."""
        for index, start, end in self._runs(offset, offset + length):
            with self._pool.use(index) as part, self._located(index):
                part.send(lane, start, end - start)

    def read(self, offset: int, view: memoryview) -> int:
        """Fill `view` from `offset`; return the count, less only at the image's end. Raises like `send`."""
        end = min(self.size, offset + len(view))
        done = 0
        for index, start, stop in self._runs(offset, end):
            with self._pool.use(index) as part, self._located(index):
                part.read(start, view[done : done + stop - start])
            done += stop - start
        return done

    def release(self, offset: int, length: int) -> None:
        """Drop a range from the page cache, because it will not be read soon."""
        for index, start, end in self._runs(offset, offset + length):
            with self._pool.use(index) as part:
                part.release(start, end - start)

    def data_ranges(self) -> RangeSet:
        """Return the ranges that are not holes."""
        found = RangeSet()
        for index, base in enumerate(self._starts[:-1]):
            with self._pool.use(index) as part:
                for start, end in part.data_ranges():
                    found.add(base + start, base + end)
        return found

    def check_unchanged(self) -> None:
        """Raise SourceChanged if a part's size or time of change differs from when it was opened."""
        for index, (part, start) in enumerate(zip(self._parts, self._starts)):
            try:
                found = os.stat(part.path)
            except OSError as error:
                raise SourceError(part.path, start, error.errno) from error
            seen = (part.size, part.mtime_ns, part.ctime_ns, part.inode)
            if (found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino) != seen:
                raise SourceChanged(self._parts[index].path, start)

    def close(self) -> None:
        """Close all parts. May be called twice."""
        self._pool.close()

    def _runs(self, start: int, end: int) -> Iterator[Tuple[int, int, int]]:
        """Yield a range by part: (index, start in the part, end in the part)."""
        index = max(0, bisect.bisect_right(self._starts, start) - 1)
        while start < end:
            base, stop = self._starts[index], min(end, self._starts[index + 1])
            if start < stop:
                yield index, start - base, stop - base
                start = stop
            index += 1

    @contextlib.contextmanager
    def _located(self, index: int) -> Iterator[None]:
        """Make errors name the part, with their offset in the image."""
        try:
            yield
        except (SourceError, SourceChanged) as error:
            at = self._starts[index] + (error.fields.get("offset") or 0)
            if isinstance(error, SourceError):
                raise SourceError(self._parts[index].path, at, error.fields.get("errno")) from error
            raise SourceChanged(self._parts[index].path, at) from error


def _inspect_parts(path: str, proc_root: str) -> List[SourceFacts]:
    directory, name = os.path.split(path)
    try:
        indexes = part_indexes(name, os.listdir(directory or "."))
    except OSError as error:
        raise UsageError("source", path, "parts in a directory that can be read (%s)" % error.strerror) from error
    if not indexes:
        raise UsageError("source", path, "a file in parts, and there is no %s" % part_name(path, 0))
    for expected, index in enumerate(indexes):
        if index != expected:
            names = part_name(path, expected), part_name(path, index)
            why = "" if expected else " (a run that was ended while it put its parts in place leaves them so)"
            raise UsageError("source", path, "all of its parts: %s is missing, and there is %s%s" % (*names, why))
    parts = [inspect_source(part_name(path, index), proc_root) for index in indexes]
    for part in parts:
        if part.kind != "file":
            raise UsageError("source", part.path, "a regular file, as each part of a source")
    return parts


def _together(path: str, parts: List[SourceFacts]) -> SourceFacts:
    first = parts[0]
    return SourceFacts(
        path=path,
        kind="file",
        size=sum(part.size for part in parts),
        allocated=sum(part.allocated for part in parts),
        device=first.device,
        inode=first.inode,
        mtime_ns=max(part.mtime_ns for part in parts),
        ctime_ns=max(part.ctime_ns for part in parts),
        boot_id=first.boot_id,
        gpt=gpt.tables(lambda offset, length: _peek(parts, offset, length)),
    )


def _peek(parts: List[SourceFacts], offset: int, length: int) -> bytes:
    """Return a few bytes of parts that are not open."""
    found = b""
    for part in parts:
        if 0 <= offset < part.size and len(found) < length:
            with contextlib.suppress(OSError), open(part.path, "rb") as file:  # a later read raises it
                file.seek(offset)
                found += file.read(min(length - len(found), part.size - offset))
            offset = 0
        else:
            offset -= part.size
    return found


def _close(parts: List[Source]) -> None:
    for part in parts:
        part.close()
