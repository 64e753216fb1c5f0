# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The directory of one node of one run: what the process is told, what it says, how to find it again."""

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
    """Where run directories lie: /run/dolly for root, else below the user's own runtime or temporary directory."""
    if os.geteuid() == 0 and os.path.isdir("/run"):
        return "/run/dolly"
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if runtime and os.path.isdir(runtime):
        return os.path.join(runtime, "dolly")
    return "/tmp/dolly-%d" % os.geteuid()


class RunDir:
    """`base`/`run_id`/`name`, readable by its owner alone. All files in it are written whole or not at all."""

    def __init__(self, base: str, run_id: str, name: str) -> None:
        for option, value in (("run_id", run_id), ("name", name)):
            if not value or "/" in value or "\0" in value or value in (".", ".."):
                raise UsageError(option, value, "a name that can be a directory")
        self.base = os.path.abspath(base or default_base())  # the process leaves the present directory
        self.path = os.path.join(self.base, run_id, name)

    def file(self, name: str) -> str:
        """The path of a file in it."""
        return os.path.join(self.path, name)

    def create(self) -> None:
        """Make it. Raises Refused when it, or what it lies in, belongs to somebody else or is open to others."""
        for path in self._levels():
            _make_private(path)

    @contextlib.contextmanager
    def one_at_a_time(self, timeout_s: float) -> Iterator[None]:
        """Keep others out who start something below `base`, until it can be seen.

        Raises Refused like `create`, and when others have been at it for `timeout_s`.
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
        """Whether there is one."""
        return os.path.isdir(self.path)

    def write(self, name: str, data: bytes) -> None:
        """Write a file, 0600, so that a reader sees the old one or the new one and nothing between."""
        temporary = self.file(".%s.%d" % (name, os.getpid()))
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(data)
        os.rename(temporary, self.file(name))

    def write_json(self, name: str, data: Any) -> None:
        """Write a file of JSON."""
        self.write(name, json.dumps(data, sort_keys=True).encode())

    def read_json(self, name: str) -> Optional[Dict[str, Any]]:
        """The content of a file of JSON, None where there is none."""
        try:
            with open(self.file(name), "rb") as file:
                data = json.load(file)
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return None
        return data if isinstance(data, dict) else None

    def read_status(self) -> Optional[Dict[str, Any]]:
        """What the process last said of itself."""
        return self.read_json("status.json")

    def read_result(self) -> Optional[Dict[str, Any]]:
        """How it ended; None as long as it has not."""
        return self.read_json("result.json")

    def take_secret(self) -> bytes:
        """The run's secret, which is nowhere on disk after this."""
        path = self.file("secret")
        with open(path, "rb") as file:
            secret = file.read()
        os.unlink(path)
        return secret

    def log_tail(self, lines: int = 20) -> List[str]:
        """The last lines of the log."""
        try:
            with open(self.file("log"), "rb") as file:
                file.seek(0, os.SEEK_END)
                file.seek(max(0, file.tell() - 64 * 1024))
                return file.read().decode("utf-8", "replace").splitlines()[-lines:]
        except OSError:
            return []

    def note_process(self) -> None:
        """Called by the process itself: how to recognise it."""
        self.write_json("process.json", {"pid": os.getpid(), "born": _born(os.getpid())})

    def process_id(self) -> Optional[int]:
        """The id of the process if it still runs, and is the one that was started here.

        What lies where others could have written it is not believed: `stop` would kill whom they name.
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
        """Ask the process to end, kill it after `timeout_s`; whether it is gone then."""
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
        """Remove it, and the run's directory when this was the last one; whether there was anything.

        Raises Refused where somebody else could have put a link in the way, as he can in /tmp.
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
    """Lock an open directory; whether it came to that in time, also where directories have no locks."""
    give_up_at = time.monotonic() + timeout_s
    while True:
        try:
            fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > give_up_at:
                return False
            time.sleep(_POLL_S)
        except OSError:  # as of NFS: what the lock is for is then found out later
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
    """Whether it is a directory, not a link to one, that only this user can enter."""
    try:
        found = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077


def _born(pid: int) -> str:
    """When a process was started, in ticks since boot; empty when there is none, or only its remains.

    A process id is used again; id and birth together are not. proc(5): the 22nd field, and the name before
    it may hold spaces and brackets.
    """
    try:
        with open("/proc/%d/stat" % pid, "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return ""
    if len(fields) < 20 or fields[0] in (b"Z", b"X"):
        return ""
    return fields[19].decode()
