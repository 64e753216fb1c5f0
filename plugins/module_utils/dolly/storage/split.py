# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""An image that is stored in parts of a given size: FILE_0, FILE_1, ...

Each part is written beside its final name. When the image is complete, the first part of an older set is
removed, the new parts but the first are renamed, remaining parts of a longer set are removed, and the first
part is renamed last. The image can be read back and served at any offset, like one file.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import threading
from typing import Dict, Iterator, List, Optional, Set, Tuple

from ..errors import Refused, TargetError
from . import linux, walk
from .base import Lane, Store
from .facts import TargetFacts
from .file import FileTarget, partial_name, sync_directory, take_over_mode
from .parts import MAX_OPEN, Pool, flush_together, part_index, part_indexes, part_name

_MAX_SIZE = 2 ** 63 - 1
_FLAGS = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
#: How many parts are published together; all of them are open then, and others use some meanwhile.
_BATCH = MAX_OPEN // 2


class SplitStore(Store):
    """Partial files that become the parts in `commit`. Owns `directory` and `lock`, the open first part."""

    def __init__(self, directory: int, lock: int, path: str, part_size: int, size: Optional[int]) -> None:
        self.path = path
        self.size = _MAX_SIZE if size is None else size
        self.notes: List[str] = []
        self._directory = directory
        self._lock = lock
        self._name = os.path.basename(path)
        self._part_size = part_size
        self._made: Set[int] = set()
        #: Parts that have their final names: which file (device, inode) each of them is.
        self._published: Dict[int, Tuple[int, int]] = {}
        self._error: Optional[TargetError] = None
        self._is_closed = False
        self._is_committed = False
        self._guard_lock = threading.Lock()
        self._pool: Pool[int] = Pool(self._open, self._close_parts)

    def receive(self, lane: Lane, offset: int, length: int) -> int:
        index, start, stop = next(self._runs(offset, length))
        with self._working("write", offset), self._pool.use(index) as fd:
            return lane.to_file(fd, start, stop - start)

    def zero(self, offset: int, length: int) -> None:
        for index, start, stop in self._runs(offset, length):
            with self._working("zero", offset), self._pool.use(index) as fd:
                for at in range(start, stop, linux.ZERO_STEP):
                    count = min(linux.ZERO_STEP, stop - at)
                    if not linux.punch_hole(fd, at, count):
                        linux.write_zeros(fd, at, count)

    def send(self, lane: Lane, offset: int, length: int) -> None:
        for index, start, stop in self._runs(offset, length):
            with self._reading(offset), self._pool.use(index) as fd:
                while start < stop:
                    count = lane.from_file(fd, start, stop - start)
                    if not count:
                        raise OSError(errno.EIO, os.strerror(errno.EIO))
                    start += count

    def read(self, offset: int, view: memoryview) -> int:
        done = 0
        for index, start, stop in self._runs(offset, min(len(view), max(0, self.size - offset))):
            with self._reading(offset), self._pool.use(index) as fd:
                count = linux.read_into(fd, view[done : done + stop - start], start)
            done += count
            if count < stop - start:
                break
        return done

    def hole(self, offset: int, length: int) -> int:
        found = 0
        for index, start, stop in self._runs(offset, min(length, self.size - offset)):
            with self._reading(offset), self._pool.use(index) as fd:
                count = linux.hole_length(fd, start, stop - start)
            found += count
            if count < stop - start:
                break
        return found

    def end(self, size: int) -> None:
        if not 0 <= size <= self.size:
            raise ValueError("an image of %d bytes, and there is room for %d" % (size, self.size))
        self.size = size
        with self._working("truncate", size):
            for index in sorted(self._made):
                if index < self._count:
                    with self._pool.use(index) as fd:
                        os.ftruncate(fd, self._length_of(index))

    def flush(self) -> None:
        indexes = self._pool.each()  # the others were flushed when they were closed
        with self._working("fsync", indexes[0] * self._part_size if indexes else 0), contextlib.ExitStack() as stack:
            flush_together([stack.enter_context(self._pool.use(index)) for index in indexes])

    def commit(self) -> None:
        if self.flushes:
            self.flush()
        if self._is_committed:
            return
        with self._working("commit", 0):
            walk.check_place(os.path.dirname(self.path), self._directory)
            self._retire_first()
        for first in range(1, self._count, _BATCH):
            with self._working("commit", first * self._part_size):
                self._publish(range(first, min(first + _BATCH, self._count)))
        with self._working("commit", self.size):
            self._remove_tail()
            self._sync_directory()
        with self._working("commit", 0):
            self._publish(range(1))
            self._sync_directory()
            walk.check_place(os.path.dirname(self.path), self._directory)
        self._is_committed = True

    def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._pool.close()
            os.close(self._lock)
            os.close(self._directory)

    def abort(self) -> None:
        """Remove the partial files, because no later run can resume from them, and close."""
        if not self._is_closed and not self._is_committed:
            with contextlib.suppress(OSError):
                remove_partials(self._directory, self._name)
        self.close()

    @property
    def _count(self) -> int:
        """The number of parts of the image; an empty image has one empty part."""
        return max(1, -(-self.size // self._part_size))

    def _length_of(self, index: int) -> int:
        return min(self._part_size, self.size - index * self._part_size)

    def _runs(self, offset: int, length: int) -> Iterator[Tuple[int, int, int]]:
        """Yield a range by part: (index, start in the part, end in the part)."""
        end = offset + length
        if offset < 0 or length < 0 or end > self.size:
            raise ValueError("range %d+%d is outside the image of %d bytes" % (offset, length, self.size))
        while offset < end:
            index, start = divmod(offset, self._part_size)
            stop = min(self._part_size, start + end - offset)
            yield index, start, stop
            offset += stop - start

    def _open(self, index: int) -> int:
        if self._is_closed:
            raise OSError(errno.ECANCELED, os.strerror(errno.ECANCELED))
        if index in self._published:
            return self._open_published(index)
        name = partial_name(part_name(self._name, index))
        if index in self._made:
            return os.open(name, _FLAGS, dir_fd=self._directory)
        # The first part exists already: it is the lock.
        fd = os.open(name, _FLAGS | os.O_CREAT | (os.O_EXCL if index else 0), 0o600, dir_fd=self._directory)
        try:
            os.ftruncate(fd, self._length_of(index))
        except BaseException:
            os.close(fd)
            raise
        self._made.add(index)
        return fd

    def _open_published(self, index: int) -> int:
        """Open a published part under its final name, to serve children, if it is still the same file."""
        fd = os.open(part_name(self._name, index), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._directory)
        if _identity(fd) != self._published[index]:
            os.close(fd)
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return fd

    def _close_parts(self, fds: List[int]) -> None:
        try:
            if self.flushes and not self._is_closed:
                with self._working("fsync", self.size):
                    flush_together(fds)  # after reopening, an earlier write error might not be reported
        finally:
            for fd in fds:
                os.close(fd)

    def _retire_first(self) -> None:
        """Remove the old first part: an interrupted commit must not leave a mix that looks like an image.

        A single part that replaces a single part needs no such mark, because its rename is atomic.
        """
        name = part_name(self._name, 0)
        with self._pool.use(0) as fd:
            take_over_mode(self, fd, name, self._directory)
        if self._count == 1 and part_indexes(self._name, os.listdir(self._directory)) in ([], [0]):
            return
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self._directory)
            self._sync_directory()

    def _sync_directory(self) -> None:
        if self.flushes:
            sync_directory(self, self._directory)

    def _publish(self, indexes: range) -> None:
        names = [part_name(self._name, index) for index in indexes]
        with contextlib.ExitStack() as stack:
            fds = [stack.enter_context(self._pool.use(index)) for index in indexes]
            for index, fd, name in zip(indexes, fds, names):
                if os.fstat(fd).st_size != self._length_of(index):
                    raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
                if index:
                    take_over_mode(self, fd, name, self._directory)
            if self.flushes:
                flush_together(fds)
            for index, fd, name in zip(indexes, fds, names):
                os.rename(partial_name(name), name, src_dir_fd=self._directory, dst_dir_fd=self._directory)
                self._published[index] = _identity(fd)  # in use here, so not reopened meanwhile

    def _remove_tail(self) -> None:
        """Remove parts of an older, longer set up to the first gap: files behind it may be unrelated."""
        for index in range(self._count, _MAX_SIZE):
            try:
                os.unlink(part_name(self._name, index), dir_fd=self._directory)
            except FileNotFoundError:
                break
        remove_partials(self._directory, self._name, but_first=True)

    @contextlib.contextmanager
    def _working(self, operation: str, offset: int) -> Iterator[None]:
        if self._error is not None:
            raise self._error
        try:
            yield
        except OSError as error:  # sticky: see Store in base.py
            with self._guard_lock:
                if self._error is None:
                    self._error = TargetError(self.path, operation, offset, error.errno or errno.EIO)
            raise self._error from error

    @contextlib.contextmanager
    def _reading(self, offset: int) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise TargetError(self.path, "read", offset, error.errno or errno.EIO) from error


class SplitTarget(FileTarget):
    """Parts of at most `part_size` bytes. `facts` describe the first part, whose partial file is the lock."""

    def __init__(self, path: str, facts: TargetFacts, part_size: int) -> None:
        super().__init__(facts, resumes=False)
        self._name = os.path.basename(path)
        self._path = os.path.join(walk.resolve(os.path.dirname(os.path.abspath(path))), self._name)
        self._partial = partial_name(part_name(self._name, 0))
        self._part_size = part_size

    def prepare(self) -> None:
        """Open the directory; check that no other run uses the parts, and that all are regular files."""
        super().prepare()
        try:
            self._guard("open", self._check_parts)
        except BaseException:
            self.release()
            raise

    def begin(self, size: Optional[int], chunk_size: int = 0) -> SplitStore:
        if self._directory < 0:
            raise RuntimeError("begin() without prepare()")
        try:
            self._is_new = False
            self._guard("truncate", lambda: os.ftruncate(self._fd, 0))  # discard all data of an earlier run
            self._guard("create", lambda: remove_partials(self._directory, self._name, but_first=True))
        except BaseException:
            self.release()
            raise
        store = SplitStore(self._directory, self._fd, self._path, self._part_size, size)
        self._fd = self._directory = -1
        return store

    def _check_parts(self) -> None:
        for index in part_indexes(self._name, os.listdir(self._directory)):
            name = part_name(self._name, index)
            found = os.stat(name, dir_fd=self._directory, follow_symlinks=False)
            if not stat.S_ISREG(found.st_mode):
                raise Refused(self._path, "%s beside it is no regular file" % name)


def _identity(fd: int) -> Tuple[int, int]:
    found = os.fstat(fd)
    return found.st_dev, found.st_ino


def remove_partials(directory: int, name: str, but_first: bool = False) -> None:
    """Remove the partial files of an earlier run. Raises OSError."""
    suffix = partial_name("")[1:]
    for found in os.listdir(directory):
        inner = found[1 : -len(suffix)]
        index = part_index(name, inner) if found == partial_name(inner) else None
        if index is not None and not (but_first and index == 0):
            os.unlink(found, dir_fd=directory)
