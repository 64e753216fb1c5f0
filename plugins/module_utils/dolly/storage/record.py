# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the journal of a target lies: beside a file, else in the state directory.

Nothing here is a reason for a run to fail: without a journal the next run sends everything again.
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
    """What the journal of a file is called, which lies beside it."""
    return ".%s.dolly-journal" % name


def default_state_dir() -> str:
    """Where journals of devices lie: /var/lib/dolly for root, else below the user's own state directory."""
    if os.geteuid() == 0:
        return ROOT_STATE_DIR
    state = os.environ.get("XDG_STATE_HOME", "")  # XDG base directory specification: a relative one is ignored
    if not os.path.isabs(state):
        state = os.path.join(os.path.expanduser("~"), ".local", "state")
    return os.path.join(state, "dolly")


def device_identity(facts: TargetFacts) -> str:
    """The same for a disk or partition whatever it is called today; by its name where it has no other identity."""
    known = ["%s %s" % (name, value) for name, value in (("wwn", facts.wwn), ("serial", facts.serial)) if value]
    part = re.search(r"\d+\Z", facts.real_path) if facts.is_partition else None
    where = known or ["path %s" % facts.real_path]
    return ", ".join([*where, *(["partition %s" % part.group()] if part else []), "size %d" % facts.size])


def device_journal_name(facts: TargetFacts) -> str:
    """What the journal of a device is called: a word for people, and a digest of what identifies it."""
    word = re.sub(r"[^A-Za-z0-9._-]+", "-", facts.serial or facts.wwn or os.path.basename(facts.real_path))[:60]
    return "%s-%s.journal" % (word, hashlib.sha256(device_identity(facts).encode("utf-8", "replace")).hexdigest()[:16])


class Record:
    """The journal of one target. `shape` says what the run writes; without one nothing is claimed or written.

    Not thread-safe, but for `remove`.
    """

    def __init__(self, directory: str, name: str, opened: int = -1) -> None:
        self.path = os.path.join(directory, name)
        self.shape: Optional[journal.Shape] = None
        #: What an earlier run says is on the target: to be digested there before it is believed.
        self.claimed = RangeSet()
        self._directory = directory
        self._name = name
        # A directory that is swapped for another one during a run must change nothing.
        self._opened = Descriptor(os.dup(opened)) if opened >= 0 else None

    def load(self, shape: journal.Shape) -> RangeSet:
        """The bytes that the journal claims for this shape; from now on `save` writes it."""
        self.shape = shape
        try:
            self.claimed = journal.decode(self._read(), shape)
        except OSError:
            self.claimed = RangeSet()
        return self.claimed

    def claim_all(self, shape: journal.Shape) -> None:
        """Claim everything, journal or not: the target is to be compared with the image."""
        self.shape = shape
        self.claimed = RangeSet.span(0, shape.size)

    def save(self, claimed: RangeSet) -> None:
        """Claim the whole chunks of these bytes, which must be on the medium. OSError, ValueError: it was not written.

        A reader sees the old journal or the new one, also after a loss of power.
        """
        if self.shape is None:
            return
        data = journal.encode(self.shape, claimed)
        if self._opened is None:
            os.makedirs(self._directory, 0o700, exist_ok=True)
        temporary = self._name + ".new"
        with self._open_directory() as directory:
            _unlink(temporary, directory)  # of a run that was killed while it wrote
            fd = os.open(temporary, _WRITE_FLAGS, 0o600, dir_fd=directory)
            with os.fdopen(fd, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(fd)
            os.rename(temporary, self._name, src_dir_fd=directory, dst_dir_fd=directory)
            os.fsync(directory)

    def remove(self, flushes: bool = True) -> bool:
        """Claim nothing any more; whether there was a journal. OSError: it is still there, or may be again.

        Only if it `flushes`, a loss of power does not bring the journal back.
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
        """Claim nothing of what an earlier run left, because it is about to go."""
        self.claimed = RangeSet()
        try:
            self.remove(flushes=False)
        except OSError:
            pass  # it claims what is not there: chunks that will be read in vain

    def exists(self) -> bool:
        """Whether there is a journal."""
        return os.path.lexists(self.path)

    def close(self) -> None:
        """Let go of the directory. May be called twice."""
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
    """The journal of a regular file; `opened` is a descriptor of its directory, where there is one."""
    directory, name = os.path.split(real_path)
    return Record(directory, journal_name(name), opened)


def device_record(facts: TargetFacts, state_dir: str = "") -> Record:
    """The journal of a block device; `state_dir` empty: the default."""
    return Record(state_dir or default_state_dir(), device_journal_name(facts))


def _sync(directory: int) -> None:
    try:
        os.fsync(directory)
    except OSError as error:
        if error.errno != errno.EINVAL:  # fsync(2): some file systems cannot do that with a directory
            raise


def _unlink(name: str, directory: int) -> bool:
    try:
        os.unlink(name, dir_fd=directory)
    except FileNotFoundError:
        return False
    return True
