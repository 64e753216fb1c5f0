# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What receiver and sender processes share: configuration, log, signals, status and result files."""

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
#: How long a log that takes nothing keeps a process from leaving its result.
_LOG_PATIENCE_S = 10.0


def stamped(line: str) -> str:
    """A line of a log, with the time and its end. What a peer said cannot end it, nor write to the terminal."""
    return "%s %s\n" % (time.strftime("%Y-%m-%d %H:%M:%S"), printable(line))


def log(line: str) -> None:
    """A line with the time, to standard error: the log file of a detached process. Never blocks a run."""
    text, stream = stamped(line), sys.stderr
    output.writer_of(stream).put(lambda: output.write(text, stream))


def log_defect() -> None:
    """The traceback of the exception that is being handled, line by line."""
    for line in traceback.format_exc().splitlines():
        log(line)


def make_context(
    run_id: str, name: str, secret: bytes, timeouts: Timeouts, write_log: Callable[[str], None] = log
) -> Context:
    """The context of a real process: its clock, its randomness."""
    return Context(run_id, name, secret, Reactor(), timeouts, lambda: secrets.token_bytes(32), write_log)


def timeouts_of(config: Dict[str, Any]) -> Timeouts:
    """The limits of a run, from options that end in `_timeout` and `dead_after`. Raises UsageError."""
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
    """Whatever takes part in a run."""

    def stop(self, error: DollyError) -> None:
        """End it; from any thread or a signal handler's."""


def stop_on_signals(runner: Stoppable) -> None:
    """End it in good order when the process is told to end. Only for the main thread."""

    def on_signal(number: int, _frame: Any) -> None:
        # Every node of the run gets to read it: which machine somebody ended it on is what they need to know.
        where = (own_names() or ["this machine"])[0]
        runner.stop(Aborted("dolly on %s was told to end by %s" % (where, signal.Signals(number).name)))

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, on_signal)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)


class StatusFile:
    """Writes the status of a run when it has changed, but not for every step."""

    def __init__(self, rundir: RunDir, describe: Callable[[Any], Dict[str, Any]]) -> None:
        self._rundir = rundir
        self._describe = describe
        self._last: Dict[str, Any] = {}
        self._written_at = 0.0
        self._state = ""
        self._has_complained = False

    def __call__(self, runner: Any) -> None:
        """Report, if it is time."""
        now = time.monotonic()
        # Who finds the status of a process that was killed has to know whether it may have written anything.
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
        except OSError as error:  # the image matters more than who looks on
            if not self._has_complained:
                self._has_complained = True
                log("the status cannot be written: %s" % error)


def serve(path: str, work: Callable[[RunDir, Dict[str, Any], bytes], Dict[str, Any]]) -> int:
    """Run `work` in an existing run directory and leave its result there, whatever happens. The exit code."""
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
    rundir.write_json("result.json", result)  # last: who finds it may read the log at once
    _tell_system(run_id, "%s ended: %s%s" % (name, result["state"], told), is_failed=bool(why))
    return 0 if result["state"] == "done" else 1


def run_to_end(run: Callable[[], None], result_of: Callable[[], Dict[str, Any]]) -> Dict[str, Any]:
    """What `result_of` tells after `run`, also when that ended with a defect: what became of a disk is not lost."""
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
    """One line for the log of the machine, which outlives the run's own. Nothing happens where there is none."""
    syslog.openlog("dolly", syslog.LOG_PID, syslog.LOG_DAEMON)
    syslog.syslog(syslog.LOG_ERR if is_failed else syslog.LOG_INFO, "run %s: %s" % (run_id, printable(line)))
