# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""An external program between pipes: the only place where the engine starts a program that is not Python.

The program is started with fork and exec, because an Ansible module may not use `subprocess`, and the
module's own `run_command` is not available here. Between fork and exec the child only moves descriptors.
"""

from __future__ import annotations

import os
import signal
import time
from typing import List, Optional

_POLL_S = 0.01
_NOT_STARTED = 127


class Program:
    """A child process with a pipe at each of its standard descriptors. The first word of `argv` is a path.

    The owner must call `close`, which kills the child if it still runs. `is_apart`: run it in a session of
    its own, so that it gets no signals from the terminal and cannot prompt there.
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
        """Close the child's standard input. May be called twice."""
        if self.stdin in self._open:
            self._open.remove(self.stdin)
            os.close(self.stdin)

    def poll(self) -> Optional[int]:
        """Return the exit status, or minus the signal that ended the child; None while it runs."""
        if self._status is None:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            if pid:
                self._status = os.waitstatus_to_exitcode(status)
        return self._status

    def wait(self, patience_s: float) -> int:
        """Return the exit status. Raises TimeoutError if the child still runs after `patience_s` seconds."""
        give_up_at = time.monotonic() + patience_s
        while self.poll() is None:
            if time.monotonic() > give_up_at:
                raise TimeoutError("process %d does not end" % self._pid)
            time.sleep(_POLL_S)
        return self._status or 0

    def close(self, patience_s: float) -> None:
        """Kill the child if it still runs, and close the pipes. May be called twice."""
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
    """Run in the child, and never return. The original pipe descriptors close on exec (PEP 446)."""
    try:
        if is_apart:
            os.setsid()
        # Move them above the standard ones first: if the caller closed those, a pipe may have one of their
        # numbers.
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
