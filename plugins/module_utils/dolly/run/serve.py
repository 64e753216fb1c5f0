# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What receiver and sender processes share: configuration, log, signals, status files and result files."""

from __future__ import annotations

import dataclasses
import os
import secrets
import signal
import sys
import syslog
import time
import traceback
from typing import Any, Callable, Dict, Protocol

from ..errors import Aborted, DollyError, UsageError, printable
from ..net.reactor import Reactor
from ..plan.job import MAX_SECONDS, Timeouts
from ..relay.context import Context
from ..relay.node import as_fields
from . import core_dumps, output
from .own_names import own_names
from .rundir import RunDir

_STATUS_INTERVAL_S = 0.4
#: How long a log that cannot be written may delay the result of a process.
_LOG_PATIENCE_S = 10.0


def stamped(line: str) -> str:
    """Format a log line with its time. Text from a peer cannot end the line, nor control the terminal."""
    return "%s %s\n" % (time.strftime("%Y-%m-%d %H:%M:%S"), printable(line))


def log(line: str) -> None:
    """Write a line to standard error, which is the log file of a detached process. Never blocks a run."""
    text, stream = stamped(line), sys.stderr
    output.writer_of(stream).put(lambda: output.write(text, stream))


def log_defect() -> None:
    """Log the traceback of the exception that is being handled."""
    for line in traceback.format_exc().splitlines():
        log(line)


def make_context(
    run_id: str, name: str, secret: bytes, timeouts: Timeouts, write_log: Callable[[str], None] = log
) -> Context:
    """Create the context of a real process, with the real clock and real randomness."""
    return Context(run_id, name, secret, Reactor(), timeouts, lambda: secrets.token_bytes(32), write_log)


def timeouts_of(config: Dict[str, Any]) -> Timeouts:
    """Return the limits of a run, from `dead_after` and the `_timeout` options. Raises UsageError."""
    timeouts = Timeouts()
    for name in timeouts.to_dict():
        option = name if name == "dead_after" else name + "_timeout"
        if config.get(option) is None:
            continue
        try:
            timeouts = dataclasses.replace(timeouts, **{name: float(config[option])})
        except (TypeError, ValueError) as error:
            expected = "seconds above 0 and up to %d" % MAX_SECONDS
            raise UsageError(option, config[option], expected) from error
    return timeouts


class Stoppable(Protocol):
    """A participant of a run that can be stopped."""

    def stop(self, error: DollyError) -> None:
        """End it. May be called from any thread, and from a signal handler."""


def stop_on_signals(runner: Stoppable) -> None:
    """End `runner` cleanly on SIGTERM, SIGINT or SIGHUP. Call this on the main thread only."""

    def on_signal(number: int, _frame: Any) -> None:
        # The message goes to every node of the run, so it names the machine on which the signal arrived.
        where = (own_names() or ["this machine"])[0]
        runner.stop(Aborted("dolly on %s was told to end by %s" % (where, signal.Signals(number).name)))

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, on_signal)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)


class StatusFile:
    """Writes the status of a run when it has changed, at a limited rate."""

    def __init__(self, rundir: RunDir, describe: Callable[[Any], Dict[str, Any]]) -> None:
        self._rundir = rundir
        self._describe = describe
        self._last: Dict[str, Any] = {}
        self._written_at = 0.0
        self._state = ""
        self._has_complained = False

    def __call__(self, runner: Any) -> None:
        """Write the status if it has changed and is due."""
        now = time.monotonic()
        # A change of state is written at once: after a kill, it tells whether the target may be damaged.
        state, self._state = self._state, getattr(getattr(runner, "word", None), "state", "")
        if now - self._written_at < _STATUS_INTERVAL_S and self._state == state:
            return
        status = self._describe(runner)
        if status != self._last:
            self._last, self._written_at = status, now
            found = dict(status, updated=time.time())
            output.status_writer().put_latest(self, lambda: self._write(found))

    def _write(self, status: Dict[str, Any]) -> None:
        try:
            self._rundir.write_json("status.json", status)
        except OSError as error:  # the image matters more than its status
            if not self._has_complained:
                self._has_complained = True
                log("the status cannot be written: %s" % error)


def serve(path: str, work: Callable[[RunDir, Dict[str, Any], bytes], Dict[str, Any]]) -> int:
    """Run `work` in an existing run directory and always leave its result there. Returns the exit status."""
    head, name = os.path.split(path)
    base, run_id = os.path.split(head)
    rundir = RunDir(base, run_id, name)
    core_dumps.forbid()
    rundir.note_process()
    config = rundir.read_json("config.json") or {}
    begin = "%s starts, %s" % (name, _object_of(config))
    _tell_system(run_id, begin)
    with output.in_background(_LOG_PATIENCE_S):
        log("%s of run %s" % (begin, run_id))
        try:
            result = work(rundir, config, rundir.take_secret())
        except Exception as error:
            if not isinstance(error, DollyError):
                log_defect()
            result = {"state": "failed", "changed": False, "error": as_fields(error)}
        why = (result.get("error") or {}).get("message") if result["state"] != "done" else ""
        told = ": %s" % why if why else ", %d bytes" % (result.get("bytes") or 0)
        log("ended: %s%s" % (result["state"], told))
    rundir.write_json("result.json", result)  # last, because its reader may read the log at once
    _tell_system(run_id, "%s ended: %s%s" % (name, result["state"], told), is_failed=bool(why))
    return 0 if result["state"] == "done" else 1


def run_to_end(run: Callable[[], None], result_of: Callable[[], Dict[str, Any]]) -> Dict[str, Any]:
    """Return `result_of()` after `run`, even after an unexpected exception: it tells what was written."""
    try:
        run()
    except Exception as error:
        log_defect()
        result = result_of()
        return result if result["state"] == "done" else dict(result, state="failed", error=as_fields(error))
    return result_of()


def _object_of(config: Dict[str, Any]) -> str:
    kind = "target" if config.get("target") else "source"
    return "%s %s" % (kind, config.get(kind) or "-")


def _tell_system(run_id: str, line: str, is_failed: bool = False) -> None:
    """Write a line to the system log, if there is one: it outlives the log of the run."""
    syslog.openlog("dolly", syslog.LOG_PID, syslog.LOG_DAEMON)
    syslog.syslog(syslog.LOG_ERR if is_failed else syslog.LOG_INFO, "run %s: %s" % (run_id, printable(line)))
