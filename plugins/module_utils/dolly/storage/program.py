# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""An external program between pipes: the one place where the engine starts one that is not Python.

It is forked and executed by hand, because a module of Ansible may not use `subprocess`, and this is not where the
module's own `run_command` can be had. Between fork and exec the child only moves descriptors.
"""

from __future__ import annotations

import os
import signal
import time
from typing import List, Optional

_POLL_S = 0.01
_NOT_STARTED = 127


class Program:
    """A child with a pipe at each of its standard descriptors. The first word of `argv` is a path.

    Whoever makes one must call `close`, which ends it when it is still there. `is_apart`: in a session of its own, so
    that no key at the terminal reaches it, and it can ask nobody there.
    """

    def __init__(self, argv: List[str], is_apart: bool = False) -> None:
        theirs, mine = [], []
        for is_input in (True, False, False):
            reader, writer = os.pipe()
            theirs.append(reader if is_input else writer)
            mine.append(writer if is_input else reader)
        self.stdin, self.stdout, self.stderr = mine
        self._open = list(mine)
        self._status: Optional[int] = None
        try:
            self._pid = os.fork()
            if not self._pid:
                _become(argv, theirs, is_apart)
        except OSError:
            self._close_pipes()
            raise
        finally:
            for descriptor in theirs:
                os.close(descriptor)

    def close_stdin(self) -> None:
        """Tell it that nothing more comes. May be called twice."""
        if self.stdin in self._open:
            self._open.remove(self.stdin)
            os.close(self.stdin)

    def poll(self) -> Optional[int]:
        """Its exit status, negative the signal that ended it; None while it is there."""
        if self._status is None:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            if pid:
                self._status = os.waitstatus_to_exitcode(status)
        return self._status

    def wait(self, patience_s: float) -> int:
        """Its exit status. Raises TimeoutError when it is still there after so long."""
        give_up_at = time.monotonic() + patience_s
        while self.poll() is None:
            if time.monotonic() > give_up_at:
                raise TimeoutError("process %d does not end" % self._pid)
            time.sleep(_POLL_S)
        return self._status or 0

    def close(self, patience_s: float) -> None:
        """End it, if it has not ended by itself, and close the pipes. May be called twice."""
        try:
            if self.poll() is None:
                os.kill(self._pid, signal.SIGKILL)
                self.wait(patience_s)
        finally:
            self._close_pipes()

    def _close_pipes(self) -> None:
        while self._open:
            os.close(self._open.pop())


def _become(argv: List[str], descriptors: List[int], is_apart: bool) -> None:
    """In the child: it never returns. The pipes' own descriptors close by themselves (PEP 446)."""
    try:
        if is_apart:
            os.setsid()
        # Above the standard ones first: where the caller has closed those, a pipe may lie on the place of another.
        safe = [_above_standard(descriptor) for descriptor in descriptors]
        for place, descriptor in enumerate(safe):
            os.dup2(descriptor, place)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        os.execv(argv[0], argv)
    finally:
        os._exit(_NOT_STARTED)


def _above_standard(descriptor: int) -> int:
    while descriptor < 3:
        descriptor = os.dup(descriptor)
    return descriptor
