# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What receivers and senders of a classic ring share: options, own names, signals, status, what a terminal shows."""

from __future__ import annotations

import signal
import socket
import time
from typing import Any, Callable, Dict, Mapping, Sequence, TextIO, Tuple, Union

from ..errors import Aborted, UsageError
from ..plan import classic as plan
from ..rates import RateMeter, eta
from ..relay.classic_child import HopOptions
from ..relay.classic_client import ClassicClient
from ..relay.classic_server import ClassicServer
from ..units import format_duration, format_rate, format_size
from ..wire import classic
from .names import is_own_address
from .rundir import RunDir
from .serve import timeouts_of

_STATUS_INTERVAL_S = 0.4
_SHOWN_INTERVAL_S = 1.0
MAX_BLOCK = 1 << 20
_ALL_LIMITS = ("connect_timeout", "join_timeout", "barrier_timeout", "stall_timeout", "flush_timeout")

Runner = Union[ClassicClient, ClassicServer]


def hop_options(config: Mapping[str, Any]) -> HopOptions:
    """Ports, sizes and limits from options. Raises UsageError."""
    data_port = int(config.get("port") or classic.DATA_PORT)
    control_port = int(config.get("control_port") or data_port - 1)
    if not (1 <= data_port <= 65535 and 1 <= control_port <= 65535) or data_port == control_port:
        found = "%d and %d" % (data_port, control_port)
        raise UsageError("--port, --control-port", found, "two ports from 1 to 65535")
    block = int(config.get("block_size") or classic.BLOCK)
    if not 512 <= block <= MAX_BLOCK:
        raise UsageError("-b", block, "512 to %d bytes, the same on all nodes" % MAX_BLOCK)
    timeouts = timeouts_of(dict(config))
    if config.get("give_up"):
        seconds = float(config["give_up"])
        timeouts = timeouts_of(dict.fromkeys(_ALL_LIMITS, seconds))
    return HopOptions(
        data_port=data_port,
        control_port=control_port,
        block=block,
        tries=int(config.get("tries") or 0),
        segsize=int(config.get("segsize") or 0),
        buffer=int(config.get("socket_buffer") or 0),
        connect_s=timeouts.connect,
        join_s=timeouts.join,
        setup_s=timeouts.barrier,
        stall_s=timeouts.stall,
        flush_s=timeouts.flush,
    )


def find_self(text: plan.ClassicText, dialled: str, names: Sequence[str]) -> Tuple[int, str]:
    """Which client of a dollytab this machine is, and by which name; -1 and '' for none."""
    return plan.find_self(text, dialled, is_own_address, names, leads_here)


def leads_here(host: str) -> bool:
    """Whether the resolver knows an address of this machine under a name."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return False
    return any(is_own_address(str(entry[4][0])) for entry in found)


def stop_on_signals(runner: Runner) -> None:
    """End the run in good order when the process is told to end. Only for the main thread."""

    def on_signal(number: int, _frame: Any) -> None:
        runner.stop(Aborted("the process was told to end by %s" % signal.Signals(number).name))

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

    def __call__(self, runner: Runner) -> None:
        """Report, if it is time."""
        now = time.monotonic()
        if now - self._written_at < _STATUS_INTERVAL_S:
            return
        status = self._describe(runner)
        if status != self._last:
            self._last, self._written_at = status, now
            self._rundir.write_json("status.json", dict(status, updated=time.time()))


class Progress:
    """Shows how far a run is, on a terminal or in a log. The size is known to a receiver only at the end."""

    def __init__(self, stream: TextIO, is_quiet: bool) -> None:
        self._stream = stream
        self._is_quiet = is_quiet
        self._meter = RateMeter()
        self._shown_at = 0.0

    def __call__(self, runner: Runner) -> None:
        """Show a line, if it is time."""
        now = time.monotonic()
        done = runner.progress
        if self._is_quiet or done <= 0 or now - self._shown_at < _SHOWN_INTERVAL_S:
            return
        self._meter.add(now, done)
        self._shown_at = now
        rate = self._meter.rate(now)
        total = runner.flow.total
        left = eta(total, done, rate)
        of = " of %s" % format_size(total) if total is not None else ""
        line = "%s%s  %s" % (format_size(done), of, format_rate(rate))
        self._stream.write(line + ("  ETA %s\n" % format_duration(left) if left is not None else "\n"))
        self._stream.flush()
