# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starts the engine as a separate process that outlives its parent."""

from __future__ import annotations

import os
import sys
import time
from typing import Any, Dict, List

from ..errors import DollyError, Refused, TimedOut
from . import core_dumps
from .archive import write_engine
from .rundir import RunDir

_POLL_S = 0.02
_ENGINE = "engine.pyz"
_HIGHEST_FD = 65536


def launch(rundir: RunDir, mode: str, config: Dict[str, Any], secret: bytes) -> None:
    """Start a `receiver` or a `sender` in its run directory, and return while the process is still starting.

    The secret goes into a file that only this user can read; the process deletes the file after reading it.
    Raises Refused if a process already runs there.
    """
    core_dumps.forbid()
    if rundir.is_running():
        raise Refused(rundir.path, "process %s of this run is still running there" % rundir.process_id())
    rundir.remove()
    rundir.create()
    rundir.write_json("config.json", config)
    rundir.write("secret", secret)
    write_engine(rundir.file(_ENGINE))
    _spawn([sys.executable, "-I", rundir.file(_ENGINE), "serve", mode, rundir.path], rundir.file("log"))


def await_listening(rundir: RunDir, timeout_s: float) -> Dict[str, Any]:
    """Return the status of a process as soon as the status names the port on which the process listens.

    Raises the error that the process failed with, or TimedOut.
    """
    give_up_at = time.monotonic() + timeout_s
    while True:
        status = rundir.read_status()
        if status is not None and status.get("port"):
            return status
        result = rundir.read_result()
        if result is not None:
            raise DollyError(str((result.get("error") or {}).get("message", "it ended without a reason")))
        if time.monotonic() > give_up_at:
            log = " / ".join(rundir.log_tail(5)) or "empty"
            raise TimedOut("waiting for the engine to start (its log: %s)" % log, timeout_s, "start_timeout")
        time.sleep(_POLL_S)


def _spawn(argv: List[str], log: str) -> None:
    """Double fork, so that init adopts the process. It inherits no descriptor of the caller.

    A process that kept the standard descriptors would hang the Ansible task, which waits for their end.
    """
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    try:
        os.setsid()
        if os.fork():
            os._exit(0)
        _detach(log)
        os.execv(argv[0], argv)
    finally:
        os._exit(127)  # only reached if something above failed


def _detach(log: str) -> None:
    os.chdir("/")
    os.umask(0o077)
    null = os.open(os.devnull, os.O_RDWR)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    os.dup2(null, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.closerange(3, _HIGHEST_FD)
