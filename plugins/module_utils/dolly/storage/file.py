# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A regular file as target: written beside its final name, and renamed over it when it is complete.

All calls are relative to one open directory, so replacing that directory does not affect a run.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import threading
from typing import Callable, Optional

from ..errors import Refused, TargetError
from ..ranges import RangeSet
from ..recovery.journal import Shape
from . import linux, walk
from .base import Lane, Store, Target
from .descriptor import Descriptor
from .descriptor_store import DescriptorStore
from .facts import TargetFacts
from .record import Record, file_record

_MAX_SIZE = 2 ** 63 - 1  # off_t: the file grows as it is written
_PARTIAL_FLAGS = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC


def partial_name(name: str) -> str:
    """Return the name of a file until it is complete; without a run id, so that a later run finds it."""
    return ".%s.dolly-partial" % name


class FileStore(DescriptorStore):
    """A partial file that becomes the final one in `commit`. Owns both descriptors."""

    def __init__(self, fd: int, directory: int, path: str, size: int, record: Optional[Record] = None) -> None:
        super().__init__(fd, path, size)
        self.record = record
        self._directory = Descriptor(directory)
        self._name = os.path.basename(path)
        self._partial = partial_name(self._name)
        self._is_committed = False
        # The rest is a fresh hole: it reads as zeros already. What an earlier run left may be anything.
        self._touched = RangeSet.span(0, size if self.claimed else 0)
        self._touched_lock = threading.Lock()
        self._reached = 0 if size == _MAX_SIZE else size

    def receive(self, lane: Lane, offset: int, length: int) -> int:
        count = super().receive(lane, offset, length)
        self._reach(offset + count)
        return count

    def hole(self, offset: int, length: int) -> int:
        with self._reading(offset) as fd:
            return linux.hole_length(fd, offset, length)

    def close(self) -> None:
        super().close()
        self._directory.close()
        if self.record is not None:
            self.record.close()

    def abort(self) -> None:
        """Leave the partial file for a later run, unless nothing was written to it."""
        if not self._touched.total:
            self._unlink_partial()
        self.close()

    def _before_write(self, fd: int, offset: int, length: int) -> None:
        self._check_length(fd, self._reached)
        with self._touched_lock:
            self._touched.add(offset, offset + length)

    def _reach(self, end: int) -> None:
        with self._touched_lock:
            self._reached = max(self._reached, end)

    def _check_length(self, fd: int, least: int) -> None:
        """Somebody who cuts the file short takes bytes that were verified; what is written next would hide that."""
        if os.fstat(fd).st_size < least:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    def _zero_step(self, fd: int, offset: int, length: int) -> None:
        self._check_length(fd, self._reached)
        with self._touched_lock:
            is_hole = not self._touched.overlaps(offset, offset + length)
        if self.size == _MAX_SIZE:
            # The file may end before these bytes, and must contain them when it is read back.
            linux.write_zeros(fd, offset + length - 1, 1)
            self._reach(offset + length)
        if is_hole or linux.punch_hole(fd, offset, length):
            return
        linux.write_zeros(fd, offset, length)

    def _cut(self, fd: int, size: int) -> None:
        self._check_length(fd, size)
        os.ftruncate(fd, size)
        self._reached = size

    def _unlink_partial(self) -> None:
        try:
            with self._descriptor as fd, self._directory as directory:
                if _is_named(fd, self._partial, directory):
                    os.unlink(self._partial, dir_fd=directory)
        except OSError:
            pass  # an empty file remains; the reason why the run was aborted is more important

    def _publish(self, fd: int) -> None:
        if self._is_committed:
            return
        with self._directory as directory:
            if not _is_named(fd, self._partial, directory) or os.fstat(fd).st_size != self.size:
                raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
            walk.check_place(os.path.dirname(self.path), directory)
            take_over_mode(self, fd, self._name, directory)
            if self.flushes:
                os.fsync(fd)
            os.rename(self._partial, self._name, src_dir_fd=directory, dst_dir_fd=directory)
            if self.flushes:
                sync_directory(self, directory)
            walk.check_place(os.path.dirname(self.path), directory)  # or nothing lies where it was to go
        self._is_committed = True


def take_over_mode(store: Store, fd: int, name: str, directory: int) -> None:
    """Give a partial file the mode and owner of the file that it is about to replace. Raises OSError."""
    try:
        old = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        _set_default_mode(fd)
        return
    if not stat.S_ISREG(old.st_mode):
        raise OSError(errno.EEXIST, os.strerror(errno.EEXIST))
    if walk.is_planted(old, os.fstat(directory)):
        _note(store, "%s was made by user %d in a directory that others may write to: neither that owner nor the mode"
              " was kept" % (store.path, old.st_uid))  # fmt: skip
        _set_default_mode(fd)
        return
    if os.geteuid() == 0:
        try:
            os.fchown(fd, old.st_uid, old.st_gid)
        except PermissionError as error:  # NFS may not allow root to change owners
            _note(store, "the owner of %s could not be kept: %s" % (store.path, error.strerror))
    os.fchmod(fd, stat.S_IMODE(old.st_mode) & 0o777)


def _set_default_mode(fd: int) -> None:
    os.fchmod(fd, 0o644 & ~linux.parse_umask(linux.read_text("/proc/self/status")))


def sync_directory(store: Store, directory: int) -> None:
    """Flush a directory, so that renames in it are on the medium. Raises OSError."""
    try:
        os.fsync(directory)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        _note(store, "the file system of %s cannot sync a directory" % store.path)


def _note(store: Store, sentence: str) -> None:
    if sentence not in store.notes:
        store.notes.append(sentence)


class FileTarget(Target):
    """A regular file, which may exist already. `facts.real_path` is its place."""

    def __init__(self, facts: TargetFacts, resumes: bool = True) -> None:
        self.facts = facts
        self._resumes = resumes
        self._path = facts.real_path
        self._partial = partial_name(os.path.basename(self._path))
        self._record: Optional[Record] = None
        self._directory = -1
        self._fd = -1
        self._is_new = False  # whether this object created the partial file, which is still empty

    def prepare(self) -> None:
        """Open the directory and lock the partial file; create an empty one if no earlier run left any.

        This is not left to `begin`: another host that has the same target, on a shared file system, must be
        refused before anything is written.
        """
        self._guard("open", self._open_directory)
        try:
            self._guard("open", self._lock_existing)
            if self._fd < 0:
                self._guard("create", self._lock_new)
                self._is_new = True
        except BaseException:
            self.release()
            raise

    def begin(self, size: Optional[int], chunk_size: int = 0) -> Store:
        if self._directory < 0:
            raise RuntimeError("begin() without prepare()")
        try:
            self._is_new = False
            record = self._record = file_record(self._path, self._directory)
            self._guard("truncate", lambda: self._make_room(record, size, chunk_size))
        except BaseException:
            self.release()
            raise
        store = FileStore(self._fd, self._directory, self._path, _MAX_SIZE if size is None else size, record)
        self._record = None
        self._fd = self._directory = -1
        return store

    def release(self) -> None:
        if self._record is not None:
            self._record.close()
        if self._is_new:
            self._is_new = False
            with contextlib.suppress(OSError):  # at worst an empty file remains
                if _is_named(self._fd, self._partial, self._directory):
                    os.unlink(self._partial, dir_fd=self._directory)
        fds = (self._fd, self._directory)
        self._fd = self._directory = -1
        for fd in fds:
            if fd >= 0:
                os.close(fd)

    def remove_partial(self) -> None:
        """Remove the partial file of an earlier run. Raises TargetError; Refused: in use, or not ours."""
        try:
            self._guard("open", self._open_directory)
            self._guard("open", self._lock_existing)
            if self._fd >= 0:
                self._guard("unlink", lambda: os.unlink(self._partial, dir_fd=self._directory))
        finally:
            self.release()

    def _guard(self, operation: str, action: Callable[[], None]) -> None:
        try:
            action()
        except OSError as error:
            raise TargetError(self._path, operation, 0, error.errno or errno.EIO) from error

    def _open_directory(self) -> None:
        directory, is_same = os.path.dirname(self._path), False
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            self._directory = walk.open_directory(directory)
            is_same = self._is_as_checked(os.fstat(self._directory))
        if not is_same:
            self.release()
            found = "its directory %s is not what it was when it was checked" % directory
            raise Refused(self._path, found, "a new run, which checks it again")
        if not os.access(".", os.W_OK | os.X_OK, dir_fd=self._directory):
            self.release()
            raise Refused(self._path, "no file can be made in its directory %s" % directory)

    def _is_as_checked(self, found: os.stat_result) -> bool:
        checked = (self.facts.device, self.facts.directory)
        return not self.facts.directory or checked == (linux.device_name(found.st_dev), found.st_ino)

    def _lock_existing(self) -> None:
        try:
            fd = os.open(self._partial, _PARTIAL_FLAGS, dir_fd=self._directory)
        except FileNotFoundError:
            return
        self._fd = self._lock(fd)

    def _lock_new(self) -> None:
        flags = _PARTIAL_FLAGS | os.O_CREAT
        self._fd = self._lock(os.open(self._partial, flags, 0o600, dir_fd=self._directory))

    def _lock(self, fd: int) -> int:
        try:
            self._check_partial(fd)
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not _is_named(fd, self._partial, self._directory):
                # The run that held the lock has just renamed the file: the open file is the finished one.
                raise BlockingIOError(errno.EWOULDBLOCK, "renamed")
        except BlockingIOError:
            os.close(fd)
            found = "another run is writing to it (%s is locked)" % self._partial
            raise Refused(self._path, found, "the end of that run, or for each node a target of its own") from None
        except BaseException:
            os.close(fd)
            raise
        return fd

    def _check_partial(self, fd: int) -> None:
        found = os.fstat(fd)
        # With a second link, another user's file could be overwritten through a world-writable directory.
        if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1 or found.st_uid != os.geteuid():
            raise Refused(self._path, "%s beside it is not a file of an earlier run" % self._partial)

    def _make_room(self, record: Record, size: Optional[int], chunk_size: int) -> None:
        found = os.fstat(self._fd)
        if size is not None and chunk_size and self._resumes:
            record.load(Shape("file %d" % found.st_ino, size, chunk_size))
        if record.claimed and found.st_size == size:
            for start, end in record.claimed:
                linux.drop_cached(self._fd, start, end - start)
            return
        record.forget()
        os.ftruncate(self._fd, 0)  # first, to discard all data of an earlier run
        os.ftruncate(self._fd, size or 0)


def _is_named(fd: int, name: str, directory: int) -> bool:
    """Whether `name` in `directory` is still the open file."""
    try:
        found = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(found, os.fstat(fd))
