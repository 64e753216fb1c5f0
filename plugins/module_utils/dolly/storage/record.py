# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading and writing the journal of a target: beside a file, or in the state directory for a device.

A run never fails because of its journal: without one, the next run sends everything again.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import stat
from typing import Iterator, Optional

from ..ranges import RangeSet
from ..recovery import journal
from . import linux
from .descriptor import Descriptor
from .facts import TargetFacts

ROOT_STATE_DIR = "/var/lib/dolly"
_READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_WRITE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def journal_name(name: str) -> str:
    """Return the name of the journal of a file, which lies beside the file."""
    return ".%s.dolly-journal" % name


def default_state_dir() -> str:
    """Return the directory for journals of devices: /var/lib/dolly for root, else one of the user's own."""
    if os.geteuid() == 0:
        return ROOT_STATE_DIR
    state = os.environ.get("XDG_STATE_HOME", "")  # XDG base directory specification: ignore a relative path
    if not os.path.isabs(state):
        state = os.path.join(os.path.expanduser("~"), ".local", "state")
    return os.path.join(state, "dolly")


def device_identity(facts: TargetFacts) -> str:
    """Return an identity of a disk or partition that survives renaming; its path if it has no other."""
    known = ["%s %s" % (name, value) for name, value in (("wwn", facts.wwn), ("serial", facts.serial)) if value]
    part = re.search(r"\d+\Z", facts.real_path) if facts.is_partition else None
    where = known or ["path %s" % facts.real_path]
    return ", ".join([*where, *(["partition %s" % part.group()] if part else []), "size %d" % facts.size])


def device_journal_name(facts: TargetFacts) -> str:
    """Return the name of a device's journal: a readable word, and a digest of the device's identity."""
    word = re.sub(r"[^A-Za-z0-9._-]+", "-", facts.serial or facts.wwn or os.path.basename(facts.real_path))[:60]
    return "%s-%s.journal" % (word, hashlib.sha256(device_identity(facts).encode("utf-8", "replace")).hexdigest()[:16])


class Record:
    """The journal of one target. `shape` describes the run's image; if None, nothing is claimed or saved.

    Not thread-safe, except `remove`.
    """

    def __init__(self, directory: str, name: str, opened: int = -1) -> None:
        self.path = os.path.join(directory, name)
        self.shape: Optional[journal.Shape] = None
        #: What an earlier run claims is on the target. A hint: digest the target before trusting it.
        self.claimed = RangeSet()
        self._directory = directory
        self._name = name
        # A run must not be affected when its directory is replaced by another one.
        self._opened = Descriptor(os.dup(opened)) if opened >= 0 else None

    def load(self, shape: journal.Shape) -> RangeSet:
        """Return the bytes that the journal claims for this shape, which `save` uses from now on."""
        self.shape = shape
        try:
            self.claimed = journal.decode(self._read(), shape)
        except OSError:
            self.claimed = RangeSet()
        return self.claimed

    def claim_all(self, shape: journal.Shape) -> None:
        """Claim everything, even without a journal: the whole target is to be compared with the image."""
        self.shape = shape
        self.claimed = RangeSet.span(0, shape.size)

    def save(self, claimed: RangeSet) -> None:
        """Write a journal that claims the whole chunks of these bytes, which must be on the medium.

        A reader sees the old journal or the new one, even after a power loss. OSError, ValueError: failed.
        """
        if self.shape is None:
            return
        data = journal.encode(self.shape, claimed)
        if self._opened is None:
            os.makedirs(self._directory, 0o700, exist_ok=True)
        temporary = self._name + ".new"
        with self._open_directory() as directory:
            _unlink(temporary, directory)  # may be left by a run that was killed while it wrote
            fd = os.open(temporary, _WRITE_FLAGS, 0o600, dir_fd=directory)
            with os.fdopen(fd, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(fd)
            os.rename(temporary, self._name, src_dir_fd=directory, dst_dir_fd=directory)
            os.fsync(directory)

    def remove(self, flushes: bool = True) -> bool:
        """Remove the journal; return whether there was one. OSError: it is still there, or may come back.

        Without `flushes`, a power loss may bring the journal back.
        """
        try:
            with self._open_directory() as directory:
                _unlink(self._name + ".new", directory)
                was_there = _unlink(self._name, directory)
                if was_there and flushes:
                    _sync(directory)
                return was_there
        except (FileNotFoundError, NotADirectoryError):
            return False

    def forget(self) -> None:
        """Drop all claims and the journal of an earlier run, whose data is about to be discarded."""
        self.claimed = RangeSet()
        try:
            self.remove(flushes=False)
        except OSError:
            pass  # a stale journal only makes a later run read some chunks in vain

    def exists(self) -> bool:
        """Whether there is a journal."""
        return os.path.lexists(self.path)

    def close(self) -> None:
        """Close the directory. May be called twice."""
        if self._opened is not None:
            self._opened.close()

    def _read(self) -> bytes:
        with self._open_directory() as directory:
            fd = os.open(self._name, _READ_FLAGS, dir_fd=directory)
            try:
                found = os.fstat(fd)
                if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
                    return b""
                data = bytearray(min(found.st_size, journal.MAX_LENGTH + 1))
                return bytes(data[: linux.read_into(fd, memoryview(data), 0)])
            finally:
                os.close(fd)

    @contextlib.contextmanager
    def _open_directory(self) -> Iterator[int]:
        if self._opened is not None:
            with self._opened as directory:
                yield directory
            return
        directory = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield directory
        finally:
            os.close(directory)


def file_record(real_path: str, opened: int = -1) -> Record:
    """Return the journal of a regular file; `opened` is a descriptor of its directory, or -1."""
    directory, name = os.path.split(real_path)
    return Record(directory, journal_name(name), opened)


def device_record(facts: TargetFacts, state_dir: str = "") -> Record:
    """Return the journal of a block device, in the default directory if `state_dir` is empty."""
    return Record(state_dir or default_state_dir(), device_journal_name(facts))


def _sync(directory: int) -> None:
    try:
        os.fsync(directory)
    except OSError as error:
        if error.errno != errno.EINVAL:  # fsync(2): some file systems cannot sync a directory
            raise


def _unlink(name: str, directory: int) -> bool:
    try:
        os.unlink(name, dir_fd=directory)
    except FileNotFoundError:
        return False
    return True
