# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The directory of one node of one run, with its configuration, status and result, and its process id."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import shutil
import signal
import stat
import time
from typing import Any, Dict, Iterator, List, Optional, Tuple

from ..errors import Refused, UsageError

_POLL_S = 0.05


def default_base() -> str:
    """Return where run directories lie: /run/dolly for root, else the user's runtime or temporary folder."""
    if os.geteuid() == 0 and os.path.isdir("/run"):
        return "/run/dolly"
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if runtime and os.path.isdir(runtime):
        return os.path.join(runtime, "dolly")
    return "/tmp/dolly-%d" % os.geteuid()


class RunDir:
    """`base`/`run_id`/`name`, which only its owner can read. Every file in it is replaced as a whole."""

    def __init__(self, base: str, run_id: str, name: str) -> None:
        for option, value in (("run_id", run_id), ("name", name)):
            if not value or "/" in value or "\0" in value or value in (".", ".."):
                raise UsageError(option, value, "a name that can be a directory")
        self.base = os.path.abspath(base or default_base())  # the process leaves the current directory
        self.path = os.path.join(self.base, run_id, name)

    def file(self, name: str) -> str:
        """Return the path of a file in the directory."""
        return os.path.join(self.path, name)

    def create(self) -> None:
        """Create it. Raises Refused if it or a directory above it belongs or is open to other users."""
        for path in self._levels():
            _make_private(path)

    @contextlib.contextmanager
    def one_at_a_time(self, timeout_s: float) -> Iterator[None]:
        """Lock `base`, so that a process that starts below it is visible before the next one starts.

        Raises Refused like `create`, and if other processes hold the lock for `timeout_s`.
        """
        _make_private(self.base)
        base = os.open(self.base, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if not _locked(base, timeout_s):
                found = "others have been starting something there for %g s" % timeout_s
                raise Refused(self.base, found, "the end of the processes that lock it, which 'lslocks' lists")
            yield
        finally:
            os.close(base)

    def _levels(self) -> Tuple[str, str, str]:
        return self.base, os.path.dirname(self.path), self.path

    def exists(self) -> bool:
        """Whether the directory exists."""
        return os.path.isdir(self.path)

    def write(self, name: str, data: bytes) -> None:
        """Replace a file atomically, with mode 0600: a reader sees the old content or the new content."""
        temporary = self.file(".%s.%d" % (name, os.getpid()))
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(data)
        os.rename(temporary, self.file(name))

    def write_json(self, name: str, data: Any) -> None:
        """Replace a JSON file atomically."""
        self.write(name, json.dumps(data, sort_keys=True).encode())

    def read_json(self, name: str) -> Optional[Dict[str, Any]]:
        """Return the content of a JSON file, or None if there is none."""
        try:
            with open(self.file(name), "rb") as file:
                data = json.load(file)
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return None
        return data if isinstance(data, dict) else None

    def read_status(self) -> Optional[Dict[str, Any]]:
        """Return the last status of the process, or None."""
        return self.read_json("status.json")

    def read_result(self) -> Optional[Dict[str, Any]]:
        """Return the result of the process, or None until the process has ended."""
        return self.read_json("result.json")

    def take_secret(self) -> bytes:
        """Return the run's secret and delete its file."""
        path = self.file("secret")
        with open(path, "rb") as file:
            secret = file.read()
        os.unlink(path)
        return secret

    def log_tail(self, lines: int = 20) -> List[str]:
        """Return the last lines of the log."""
        try:
            with open(self.file("log"), "rb") as file:
                file.seek(0, os.SEEK_END)
                file.seek(max(0, file.tell() - 64 * 1024))
                return file.read().decode("utf-8", "replace").splitlines()[-lines:]
        except OSError:
            return []

    def note_process(self) -> None:
        """Record the id and the start time of the calling process, by which `process_id` recognises it."""
        self.write_json("process.json", {"pid": os.getpid(), "born": _born(os.getpid())})

    def process_id(self) -> Optional[int]:
        """Return the id of the process if it is still running and is the one that was started here.

        Does not trust directories that other users can write to: `stop` would kill a process of their choice.
        """
        if not all(_is_private(path) for path in self._levels()):
            return None
        noted = self.read_json("process.json")
        if noted is None or not isinstance(noted.get("pid"), int):
            return None
        pid: int = noted["pid"]
        return pid if noted.get("born") == _born(pid) != "" else None

    def is_running(self) -> bool:
        """Whether the process lives."""
        return self.process_id() is not None

    def stop(self, timeout_s: float) -> bool:
        """Send SIGTERM, then SIGKILL after `timeout_s`. Returns whether the process is gone."""
        for number, patience in ((signal.SIGTERM, timeout_s), (signal.SIGKILL, 2.0)):
            pid = self.process_id()
            if pid is None:
                return True
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                return True
            give_up_at = time.monotonic() + patience
            while self.is_running() and time.monotonic() < give_up_at:
                time.sleep(_POLL_S)
        return not self.is_running()

    def remove(self) -> bool:
        """Remove it, and the run's directory if it is empty then. Returns whether there was anything.

        Raises Refused if another user could have planted a symbolic link on the way, as is possible in /tmp.
        """
        if not self.exists():
            return False
        for path in self._levels():
            _check_private(path)
        shutil.rmtree(self.path)
        try:
            os.rmdir(os.path.dirname(self.path))
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT):
                raise
        return True


def _locked(directory: int, timeout_s: float) -> bool:
    """Lock an open directory. Returns False after `timeout_s`, and True on a file system without locks."""
    give_up_at = time.monotonic() + timeout_s
    while True:
        try:
            fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > give_up_at:
                return False
            time.sleep(_POLL_S)
        except OSError:  # NFS, for example; conflicts are then found later
            return True


def _make_private(path: str) -> None:
    with contextlib.suppress(FileExistsError):
        os.makedirs(path, 0o700)
    _check_private(path)


def _check_private(path: str) -> None:
    if not _is_private(path):
        raise Refused(
            path,
            "it is not a directory that only this user can enter, and the run's secret would lie in it",
            "remove it, or name another place with run_dir",
        )


def _is_private(path: str) -> bool:
    """Whether `path` is a real directory, no symbolic link, that only this user can enter."""
    try:
        found = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077


def _born(pid: int) -> str:
    """Return when a process was started, in ticks since boot; empty if there is none, or only a zombie.

    The kernel reuses process ids, but an id and its start time are unique together. proc(5): the start time
    is field 22, and the name in field 2 may hold spaces and brackets.
    """
    try:
        with open("/proc/%d/stat" % pid, "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return ""
    if len(fields) < 20 or fields[0] in (b"Z", b"X"):
        return ""
    return fields[19].decode()
