# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person at a terminal sees: progress during the run, and a table at its end."""

from __future__ import annotations

import time
from typing import Any, Callable, Dict, List, Optional, TextIO, Tuple

from ..errors import printable
from ..rates import RateMeter, eta
from ..relay.down.downstream import SETTLED
from ..relay.node import Node
from ..run.output import write, writer_of
from ..run.serve import stamped
from ..status.notes import happened
from ..units import format_amount, format_duration, format_rate

_PLAIN_INTERVAL_S = 5.0
_LIVE_INTERVAL_S = 0.4
#: How long nodes may take to get ready before a line names the nodes that are not ready.
_UNSAID_S = 2.0
_MAX_NAMES = 4


class LiveLine:
    """Rewrites one line on a terminal; on other streams, adds lines.

    The run goes on if the stream is full, has no reader, or does not exist. `show`, `log` and `finish` never
    wait for the stream while output is written in the background (`output.py`).
    """

    def __init__(self, stream: Optional[TextIO], is_quiet: bool) -> None:
        self._stream = stream
        self._is_live = stream is not None and stream.isatty()
        self._is_quiet = is_quiet
        self._shown_at = 0.0
        self._last = ""
        self._has_line = False  # used only by the writer of the stream

    def is_due(self, now: float) -> bool:
        """Whether the next line is due."""
        interval = _LIVE_INTERVAL_S if self._is_live else _PLAIN_INTERVAL_S
        return not self._is_quiet and now - self._shown_at >= interval

    def show(self, line: str, now: float) -> None:
        """Show `line` in place of the last one, unless it is empty or unchanged."""
        if line and line != self._last:
            self._shown_at, self._last = now, line
            text = printable(line)
            writer_of(self._stream).put_latest(self, lambda: self._show(text))

    def logger(self, is_verbose: bool) -> Callable[[str], None]:
        """Return the function that takes the log of a run: `log`, or one that drops every line."""
        return self.log if is_verbose else lambda line: None

    def log(self, text: str) -> None:
        """Write a line with the time, on a line of its own."""
        line = stamped(text)
        writer_of(self._stream).put(lambda: self._log(line))

    def finish(self) -> None:
        """End the live line."""
        writer_of(self._stream).put(self._finish, is_needed=True)

    def _show(self, line: str) -> None:
        self._has_line = self._is_live
        write("\r%s\x1b[K" % line if self._is_live else line + "\n", self._stream)

    def _log(self, line: str) -> None:
        write(("\r\x1b[K" if self._has_line else "") + line, self._stream)
        self._has_line = False

    def _finish(self) -> None:
        if self._has_line:
            self._has_line = False
            write("\n", self._stream)


class ProgressLine(LiveLine):
    """Reports the progress of a foreground run; a subclass formats it in `_line`."""

    def __init__(self, stream: Optional[TextIO], is_quiet: bool, uncompressed_size: Optional[int] = None) -> None:
        super().__init__(stream, is_quiet)
        self._uncompressed_size = uncompressed_size
        self._meter = RateMeter()

    def __call__(self, runner: Any) -> None:
        """Show the progress of `runner`, if a line is due."""
        now = time.monotonic()
        if self.is_due(now):
            self.show(self._line(runner, now), now)

    def _line(self, runner: Any, now: float) -> str:
        """Format the progress; empty if there is nothing to show yet."""
        raise NotImplementedError

    def _tell(self, now: float, done: int, total: Optional[int], who: str) -> str:
        """Format `done` of `total` bytes, `total` being None if unknown, with `who` at the end."""
        if total and self._uncompressed_size:  # a person thinks in uncompressed bytes
            done, total = done * self._uncompressed_size // total, self._uncompressed_size
        self._meter.add(now, done)
        rate = self._meter.rate(now)
        if not total:
            return "%s  %s%s" % (format_amount(done), format_rate(rate), who)
        left = eta(total, done, rate)
        return "%5.1f %%  %s of %s  %s  ETA %s%s" % (
            100.0 * done / total,
            format_amount(done),
            format_amount(total),
            format_rate(rate),
            format_duration(left) if left is not None else "-",
            who,
        )


class Progress(ProgressLine):
    """Progress of the ring below a node; on the server before the start, the nodes that are not ready."""

    def __init__(self, stream: Optional[TextIO], is_quiet: bool, uncompressed_size: Optional[int] = None) -> None:
        super().__init__(stream, is_quiet, uncompressed_size)
        self._waiting_since: Optional[float] = None

    def _line(self, runner: Node, now: float) -> str:
        if runner.plan is not None and not runner.rank and not runner.has_begun:
            return self._waiting(runner, now)
        snapshots = runner.board.all()
        size = runner.ledger.image.covered if runner.ledger is not None else None
        if not snapshots or not size:
            return ""
        moving = [one for one in snapshots if one.state not in SETTLED] or snapshots
        ended = sum(one.state == "done" for one in snapshots)
        who = "  nodes done %d of %d" % (ended, len(snapshots))
        return self._tell(now, min(one.held for one in moving), size, who)

    def _waiting(self, runner: Node, now: float) -> str:
        self._waiting_since = now if self._waiting_since is None else self._waiting_since
        if runner.plan is None or now - self._waiting_since < _UNSAID_S:
            return ""
        names = {rank: node.name for rank, node in enumerate(runner.plan.nodes) if rank}
        ready = {one.rank for one in runner.board.all() if one.state == "ready"}
        missing = [name for rank, name in names.items() if rank not in ready]
        text = "%d of %d nodes are ready" % (len(ready), len(names))
        return text + (", waiting for %s" % _listed(missing) if missing else "")


def _listed(names: List[str]) -> str:
    shown = ", ".join(names[:_MAX_NAMES])
    return shown + (" and %d more" % (len(names) - _MAX_NAMES) if len(names) > _MAX_NAMES else "")


def table(nodes: List[Dict[str, Any]], told: str = "") -> str:
    """Format the results, one row per node in ring order; below, the errors that `told` does not hold."""
    head = ("node", "result", "bytes", "seconds", "rate", "verified", "repaired", "happened")
    rows: List[Tuple[str, ...]] = [head]
    for node in nodes:
        rows.append(
            (
                printable(str(node["name"])),
                printable(str(node["state"])),
                format_amount(int(node.get("bytes") or 0)),
                "%.1f" % float(node.get("seconds") or 0),
                format_rate(float(node.get("rate") or 0)),
                "yes" if node.get("verified") else "no",
                str(node.get("repaired") or 0),
                printable(happened(node)),
            )
        )
    if not any(row[-1] for row in rows[1:]):
        rows = [row[:-1] for row in rows]  # without the empty column, so that the table fits a terminal
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    for node in nodes:
        if node.get("error"):
            start, message = "%s: " % printable(str(node["name"])), printable(str(node["error"].get("message", "")))
            reason = (message[len(start) :] if message.startswith(start) else message).rstrip(".")
            if not told or not (reason in told or told.rstrip(".") in message):
                lines.append(message if message.startswith(start) else start + message)
    return "\n".join(lines)


def times_line(name: str, times: Dict[str, Any]) -> str:
    """Format where a node's time went, in seconds, in the terms of `profile.py`; empty if unknown."""
    parts = ["%s %.1f" % (what, seconds) for what, seconds in times.items() if what != "children"]
    for child, told in (times.get("children") or {}).items():
        parts.append("to %s: %s" % (child, " ".join("%s %.1f" % item for item in told.items()) or "nothing"))
    return "seconds of %s: %s" % (name, ", ".join(parts)) if parts else ""


def verdict_lines(result: Dict[str, Any], server: str, is_verbose: bool) -> List[str]:
    """What limited the run, if that is clear; if verbose, also where the time of each node went."""
    lines = []
    if is_verbose:
        told = [(server, result["times"]), *((node["name"], node.get("times") or {}) for node in result["nodes"])]
        lines = [line for line in (times_line(name, times) for name, times in told) if line]
    return lines + (["limited by: %s" % result["limited_by"]] if result["limited_by"] else [])


def coverage_line(result: Dict[str, Any]) -> str:
    """Say which part of the image was cloned; empty if it was all of it."""
    covers = str(result.get("covers") or "all bytes")
    return "" if covers == "all bytes" else "\ncovers: " + covers


def half_written_line(result: Dict[str, Any]) -> str:
    """Warn of a half-written disk; empty if there is none."""
    if not result.get("half_written"):
        return ""
    path = printable(str((result.get("target") or {}).get("path", "the disk")))
    return "\n%s is half-written: nothing may start from it" % path
