# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A regular file that is compared with the image first, and not written if it is equal.

The final file is read until something has to be written. Before the first write it is copied to the partial
file, which is renamed to the final name in the end, so a program with the old file open keeps it.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
from typing import Callable, Optional

from ..errors import Refused, TargetError
from ..ranges import RangeSet
from . import linux, walk
from .base import Store
from .file import FileStore, FileTarget
from .record import file_record

_STEP = 64 << 20


class ComparedStore(FileStore):
    """The final file until something has to be written, then a partial file that starts as its copy.

    `open_partial` returns the locked partial file; called once, before the first write. `release` closes it.
    """

    def __init__(
        self,
        old: int,
        directory: int,
        path: str,
        size: int,
        claimed: RangeSet,
        open_partial: Callable[[], int],
        release: Callable[[], None],
    ) -> None:
        self._claimed = claimed
        super().__init__(old, directory, path, size)
        self._open_partial: Optional[Callable[[], int]] = open_partial
        self._release = release
        self._switch_lock = threading.Lock()
        self._looked = os.fstat(old)

    @property
    def claimed(self) -> RangeSet:
        return self._claimed

    @property
    def is_untouched(self) -> bool:
        return self._open_partial is not None

    def begin_changes(self) -> bool:
        with self._switch_lock:
            if self._open_partial is None:
                return False
            self._raise_if_failed()
            try:
                self._switch(self._open_partial())
            except OSError as error:
                raise self._fail(TargetError(self.path, "copy", 0, error.errno or errno.EIO)) from error
            self._open_partial = None
            return True

    def close(self) -> None:
        super().close()
        with self._switch_lock:
            self._release()

    def commit(self) -> None:
        if not self.is_untouched:
            super().commit()
            return
        if self.flushes:
            self.flush()
        with self._writing("compare", 0):
            self._check_same()

    def abort(self) -> None:
        """Remove the copy, which has no journal and is of no use to a later run, and close."""
        if not self.is_untouched:
            self._unlink_partial()
        self.close()

    def _check_same(self) -> None:
        """Check that the name still leads to the compared file, unchanged: no lock protects that file."""
        with self._directory as directory:
            walk.check_place(os.path.dirname(self.path), directory)
            found = os.stat(self._name, dir_fd=directory, follow_symlinks=False)
        seen = self._looked
        if (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns) != (
            seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns,
        ):
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    def _switch(self, partial: int) -> None:
        """Switch to the partial file, for reads too; reads under way finish on the old file."""
        try:
            with self._descriptor as old:
                self._copy(old, partial)
        except BaseException:
            os.close(partial)
            raise
        self._touched.add(0, self.size)
        self._descriptor.replace(partial)

    def _copy(self, old: int, partial: int) -> None:
        length = min(self.size, os.fstat(old).st_size)
        if not linux.reflink(old, partial):
            for offset in range(0, length, _STEP):
                self._raise_if_closed()
                count = min(_STEP, length - offset)
                linux.clone_range(old, partial, offset, count)
                self.on_step(count)
        os.ftruncate(partial, self.size)


class ComparedFile(FileTarget):
    """A file that exists already. Data of an interrupted run takes precedence over comparing it."""

    def begin(self, size: Optional[int], chunk_size: int = 0) -> Store:
        is_resumed = not self._is_new and self._resumes and file_record(self._path).exists()
        old = self._open_old() if size and chunk_size and not is_resumed else -1
        if old < 0 or size is None:
            return super().begin(size, chunk_size)
        found = os.fstat(old).st_size
        # If the sizes differ, the last chunk is sent in any case, so another size is always a change.
        same = size if found == size else min(found, size - 1) // chunk_size * chunk_size
        directory = os.dup(self._directory)
        claimed = RangeSet.span(0, same)
        store = ComparedStore(old, directory, self._path, size, claimed, self._take_partial, self.release)
        linux.drop_cached(old, 0, same)
        return store

    def _open_old(self) -> int:
        name = os.path.basename(self._path)
        try:
            fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=self._directory)
        except OSError:
            return -1  # the file is gone or unreadable: there is nothing to compare
        found = os.fstat(fd)
        if stat.S_ISREG(found.st_mode) and not walk.is_planted(found, os.fstat(self._directory)):
            return fd
        os.close(fd)
        return -1

    def _take_partial(self) -> int:
        if self._directory < 0:
            raise Refused(self._path, "it was given up meanwhile")
        self._is_new = False
        fd, self._fd = self._fd, -1
        os.ftruncate(fd, 0)
        return fd
