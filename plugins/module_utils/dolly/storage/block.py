# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk or a partition as target: held exclusively from `prepare` to the end, written in place."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import threading
import time
from typing import Callable, Optional, Sequence, Tuple

from ..errors import Refused, TableNotMoved, TargetError
from ..recovery.journal import Shape
from . import gpt, linux
from .base import Lane, Target
from .descriptor_store import DescriptorStore
from .facts import TargetFacts
from .record import Record, device_identity, device_record

#: BLKZEROOUT needs whole logical blocks; whole pages keep it off pages that other
#: threads write.
_PAGE = 4096
#: udev holds a shared lock while it probes a device that was just closed.
_LOCK_TRIES = 20
_LOCK_PAUSE_S = 0.1
_UDEV_TIMEOUT_S = 30.0
_OPEN_TRIES = 5
_OPEN_PAUSE_S = 0.05

_REASONS = {
    errno.EBUSY: "it is mounted, swap, part of something larger, or another run writes to it (EBUSY)",
    errno.EROFS: "it is read-only",
    errno.EACCES: "this user may not write to it",
    errno.EPERM: "this user may not write to it",
    errno.ENOENT: "there is no such device",
    errno.ENXIO: "there is no such device",
    errno.ENODEV: "there is no such device",
    errno.ENOMEDIUM: "there is no medium in it",
    errno.ELOOP: "it has become a symbolic link",
}


class BlockStore(DescriptorStore):
    """An open block device; `size` is the image's, the device may be larger."""

    def __init__(self, fd: int, path: str, size: int, is_whole_disk: bool, record: Optional[Record] = None) -> None:
        super().__init__(fd, path, size)
        self.record = record
        self._is_compared = False
        self._is_whole_disk = is_whole_disk
        #: Whether `finalize` moves the backup of a GUID partition table to the end of the disk.
        self.moves_gpt = False
        self._is_published = False
        self._alignment = max(_PAGE, linux.block_size(fd))
        self._can_punch = self._can_zero_out = True
        self._overlay: gpt.Writes = []
        self._overlay_lock = threading.Lock()

    def read(self, offset: int, view: memoryview) -> int:
        overlay = self._overlay
        count = super().read(offset, view)
        for start, piece in overlay:
            first, end = max(start, offset), min(start + len(piece), offset + count)
            if first < end:
                view[first - offset : end - offset] = piece[first - start : end - start]
        return count

    def send(self, lane: Lane, offset: int, length: int) -> None:
        self._check_bounds(offset, length)
        end = offset + length
        for start, piece in sorted(self._overlay):
            if offset < start + len(piece) and start < end:
                if offset < start:
                    super().send(lane, offset, start - offset)
                stop = min(end, start + len(piece))
                lane.from_view(memoryview(piece)[max(0, offset - start) : stop - start])
                offset = max(stop, offset)
        if offset < end:
            super().send(lane, offset, end - offset)

    def _before_write(self, fd: int, offset: int, length: int) -> None:
        self.is_written = True
        self._uncover(offset, length)

    def _uncover(self, offset: int, length: int) -> None:
        """Remove a written range from the overlay. The rest may belong to another chunk: keep it."""
        if self._overlay:
            with self._overlay_lock:
                self._overlay = gpt.without(self._overlay, offset, length)

    def _zero_step(self, fd: int, offset: int, length: int) -> None:
        self._before_write(fd, offset, length)
        end = offset + length
        first = min(end, -(-offset // self._alignment) * self._alignment)
        last = max(first, end // self._alignment * self._alignment)
        if first < last and not self._let_zero(fd, first, last - first):
            first = last = end
        linux.write_zeros(fd, offset, first - offset)
        linux.write_zeros(fd, last, end - last)

    def _let_zero(self, fd: int, offset: int, length: int) -> bool:
        """Let the device itself zero whole blocks; return whether it could.

        A hole is tried first: it takes no room on a thin device, or in the file behind a loop device, and the
        kernel refuses it where it would not read as zeros. BLKZEROOUT allocates the blocks.
        """
        self._can_punch = self._can_punch and linux.punch_hole(fd, offset, length)
        if self._can_punch:
            return True
        self._can_zero_out = self._can_zero_out and linux.zero_out(fd, offset, length)
        return self._can_zero_out

    def compare(self, tables: Sequence[gpt.Table] = ()) -> None:
        """Note that the whole device is compared, and that an unchanged device is a valid result.

        If an earlier run moved one of the image's `tables`, and this run is to move it too, the table counts
        as equal: its bytes are read, and sent, as the image has them. Raises OSError.
        """
        self._is_compared = True
        if not self.needs_finalizing:
            return
        with self._descriptor as fd:
            for table in tables:
                if table.block == linux.block_size(fd):
                    self._overlay = gpt.as_in_image(_reader(fd), table, linux.device_size(fd), self.size)

    @property
    def is_untouched(self) -> bool:
        return self._is_compared and not self.is_written

    def close(self) -> None:
        """Close the device and, where udev runs, wait until udev has probed the new content.

        Then the names below /dev/disk match the new content when the run ends.
        """
        is_news = self._is_published and not self.is_untouched and not self._descriptor.is_closed
        if is_news and self._is_whole_disk:
            self._reread_partitions()
        super().close()
        if is_news and not linux.await_udev(_UDEV_TIMEOUT_S):
            self.notes.append("udev was still at work %g s after %s was written" % (_UDEV_TIMEOUT_S, self.path))

    @property
    def needs_finalizing(self) -> bool:
        return self.moves_gpt and self._is_whole_disk

    def finalize(self) -> None:
        if not self.needs_finalizing:
            return
        self._raise_if_failed()
        try:
            with self._descriptor as fd:
                self._move_gpt(fd)
        except OSError as error:
            if not self.flushes:  # the error may concern the image, which was not flushed before
                raise self._fail_at("fsync", 0, error) from error
            raise TableNotMoved(self.path, error.strerror or str(error)) from error

    def _publish(self, fd: int) -> None:
        if linux.device_size(fd) < self.size:  # the device was shrunk, and the end of the image is gone
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._is_published = True

    def _reread_partitions(self) -> None:
        """Call this after the last read: once the kernel announces partitions, others may write to them."""
        try:
            with self._descriptor as fd:
                linux.reread_partitions(fd)
        except OSError as error:  # the image is still good, and not every device has partitions
            self.notes.append("the partition table of %s was not read again: %s" % (self.path, error.strerror))

    def _move_gpt(self, fd: int) -> None:
        try:
            writes = gpt.moved_backup(_reader(fd, self._overlay), linux.block_size(fd), linux.device_size(fd))
        except ValueError as error:
            self.notes.append("the partition table of %s was left as it is: %s" % (self.path, error))
            return
        if writes is None:
            self.notes.append("there is no GUID partition table on %s" % self.path)
            return
        is_moved = False
        for offset, data in writes:
            if os.pread(fd, len(data), offset) == data:
                continue
            is_moved = self.is_written = True
            linux.write_all(fd, memoryview(data), offset)
            if self.flushes:
                os.fsync(fd)
        if is_moved:
            self.notes.append("the backup of the partition table was moved to the end of %s" % self.path)


def _reader(fd: int, overlay: Sequence[Tuple[int, bytes]] = ()) -> gpt.Read:
    return lambda offset, length: gpt.laid_over(list(overlay), offset, os.pread(fd, length, offset))


class BlockTarget(Target):
    """A block device. `facts` identify the device; another device under the same name is refused."""

    def __init__(
        self, facts: TargetFacts, state_dir: str = "", resumes: bool = True, compares: bool = False
    ) -> None:
        self.facts = facts
        #: Set before `begin`: whether `finalize` moves the GUID partition table's backup to the end.
        self.moves_gpt = False
        #: Set before `begin`: the partition tables of the image, where they are known.
        self.tables: Sequence[gpt.Table] = ()
        self._compares = compares
        self._path = facts.real_path
        self._state_dir = state_dir
        self._resumes = resumes
        self._fd = -1
        self._size = 0

    def prepare(self) -> None:
        """Open the device O_EXCL, which the kernel refuses for a device in use, and lock it against udev."""
        try:
            self._fd = self._open()
        except OSError as error:
            raise self._refusal(error) from error
        try:
            self._guard("open", self._look)
            self._guard("lock", self._lock)
        except BaseException:
            self.release()
            raise

    def begin(self, size: Optional[int], chunk_size: int = 0) -> BlockStore:
        if self._fd < 0:
            raise RuntimeError("begin() without prepare()")
        if size is None:
            size, chunk_size = self._size, 0
        if size > self._size:
            found = "it has %d bytes and the image has %d" % (self._size, size)
            self.release()
            raise Refused(self._path, found)
        record = self._load_record(size, chunk_size)
        store = BlockStore(self._fd, self._path, size, not self.facts.is_partition, record)
        store.moves_gpt = self.moves_gpt
        self._fd = -1
        if self._compares and chunk_size:
            self._guard("read", lambda: store.compare(self.tables))
        return store

    def release(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _load_record(self, size: int, chunk_size: int) -> Record:
        record = device_record(self.facts, self._state_dir)
        if chunk_size and self._compares:
            record.claim_all(Shape(device_identity(self.facts), size, chunk_size))
        elif chunk_size and self._resumes:
            record.load(Shape(device_identity(self.facts), size, chunk_size))
        else:
            record.forget()
        for start, end in record.claimed:
            linux.drop_cached(self._fd, start, end - start)
        return record

    def _open(self) -> int:
        for left in reversed(range(_OPEN_TRIES)):
            try:
                return os.open(self._path, os.O_RDWR | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW)
            except OSError as error:
                # A program that probes whether a device is in use holds it for a moment.
                if error.errno != errno.EBUSY or not left:
                    raise
                time.sleep(_OPEN_PAUSE_S)
        raise AssertionError("the last try raises")

    def _refusal(self, error: OSError) -> Exception:
        reason = _REASONS.get(error.errno or 0)
        if reason is None:
            return TargetError(self._path, "open", 0, error.errno or errno.EIO)
        return Refused(self._path, reason)

    def _guard(self, operation: str, action: Callable[[], None]) -> None:
        try:
            action()
        except OSError as error:
            raise TargetError(self._path, operation, 0, error.errno or errno.EIO) from error

    def _look(self) -> None:
        found = os.fstat(self._fd)
        if not stat.S_ISBLK(found.st_mode) or linux.device_name(found.st_rdev) != self.facts.device:
            raise Refused(self._path, "it is not device %s any more" % self.facts.device)
        sequence = linux.disk_sequence(self._fd)
        if sequence != self.facts.sequence and sequence and self.facts.sequence:
            raise Refused(self._path, "another disk has taken the place of the one that was checked", "a new run")
        if linux.is_read_only_device(self._fd):
            raise Refused(self._path, _REASONS[errno.EROFS])
        self._size = linux.device_size(self._fd)

    def _lock(self) -> None:
        for left in reversed(range(_LOCK_TRIES)):
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if not left:
                    raise Refused(self._path, "another process holds a lock on it", "the end of that one") from None
                time.sleep(_LOCK_PAUSE_S)
