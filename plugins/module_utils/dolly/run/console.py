# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person at a terminal sees: progress while it runs, a table when it is over."""

from __future__ import annotations

import sys
import time
from typing import Any, Dict, List, Optional, TextIO

from ..happened import happened
from ..rates import RateMeter, eta
from ..relay.downstream import SETTLED
from ..relay.node import Node
from ..units import format_duration, format_rate, format_size
from .serve import log

_PLAIN_INTERVAL_S = 5.0
_LIVE_INTERVAL_S = 0.4


class LiveLine:
    """Rewrites one line on a terminal, adds lines elsewhere."""

    def __init__(self, stream: TextIO, is_quiet: bool) -> None:
        self._stream = stream
        self._is_live = stream.isatty()
        self._is_quiet = is_quiet
        self._shown_at = 0.0
        self._has_line = False
        self._last = ""

    def is_due(self, now: float) -> bool:
        """Whether it is time for another one."""
        interval = _LIVE_INTERVAL_S if self._is_live else _PLAIN_INTERVAL_S
        return not self._is_quiet and now - self._shown_at >= interval

    def show(self, line: str, now: float) -> None:
        """Show it in place of the last one, unless it is empty or says the same."""
        if line and line != self._last:
            self._shown_at, self._last = now, line
            self._stream.write("\r%s\x1b[K" % line if self._is_live else line + "\n")
            self._stream.flush()
            self._has_line = self._is_live

    def log(self, text: str) -> None:
        """A line with the time, which does not stay on the same line as the progress."""
        if self._has_line:
            self._stream.write("\r\x1b[K")
        log(text)

    def finish(self) -> None:
        """Leave the live line."""
        if self._has_line:
            self._stream.write("\n")
            self._stream.flush()
            self._has_line = False


class Progress(LiveLine):
    """A reporter for nodes that run in the foreground."""

    def __init__(self, stream: TextIO, is_quiet: bool, uncompressed_size: Optional[int] = None) -> None:
        super().__init__(stream, is_quiet)
        self._uncompressed_size = uncompressed_size
        self._meter = RateMeter()

    def __call__(self, node: Node) -> None:
        """Show how far the ring below `node` is, if it is time."""
        now = time.monotonic()
        if self.is_due(now):
            self.show(self._line(node, now), now)

    def _line(self, node: Node, now: float) -> str:
        snapshots = node.board.all()
        size = (node.ledger.image.covered or 0) if node.ledger is not None else 0
        if not snapshots or not size:
            return ""
        moving = [one for one in snapshots if one.state not in SETTLED] or snapshots
        slowest = min(moving, key=lambda one: one.held)
        held = slowest.held
        if self._uncompressed_size:  # what a person knows of a compressed image is how large it will be
            size, held = self._uncompressed_size, held * self._uncompressed_size // size
        self._meter.add(now, held)
        rate = self._meter.rate(now)
        left = eta(size, held, rate)
        return "%5.1f %%  %s of %s  %s  ETA %s  nodes done %d of %d" % (
            100.0 * held / size,
            format_size(held),
            format_size(size),
            format_rate(rate),
            format_duration(left) if left is not None else "-",
            sum(one.state == "done" for one in snapshots),
            len(snapshots),
        )


def table(nodes: List[Dict[str, Any]]) -> str:
    """The results of a run, one line for a node, in ring order."""
    rows = [("node", "result", "bytes", "seconds", "rate", "verified", "repaired", "happened")]
    for node in nodes:
        rows.append(
            (
                str(node["name"]),
                str(node["state"]),
                format_size(int(node.get("bytes") or 0)),
                "%.1f" % float(node.get("seconds") or 0),
                format_rate(float(node.get("rate") or 0)),
                "yes" if node.get("verified") else "no",
                str(node.get("repaired") or 0),
                happened(node),
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    for node in nodes:
        if node.get("error"):
            start, message = "%s: " % node["name"], str(node["error"].get("message", ""))
            lines.append(message if message.startswith(start) else start + message)
    return "\n".join(lines)


def times_line(name: str, times: Dict[str, Any]) -> str:
    """Where a node's time went, in seconds, by the words of `profile.py`; empty where nothing is known."""
    parts = ["%s %.1f" % (what, seconds) for what, seconds in times.items() if what != "children"]
    for child, told in (times.get("children") or {}).items():
        parts.append("to %s: %s" % (child, " ".join("%s %.1f" % item for item in told.items()) or "nothing"))
    return "seconds of %s: %s" % (name, ", ".join(parts)) if parts else ""


def verdict_lines(result: Dict[str, Any], server: str, is_verbose: bool) -> List[str]:
    """What limited the run, where that stands out; and for the curious where the time of each node went."""
    lines = []
    if is_verbose:
        told = [(server, result["times"]), *((node["name"], node.get("times") or {}) for node in result["nodes"])]
        lines = [line for line in (times_line(name, times) for name, times in told) if line]
    return lines + (["limited by: %s" % result["limited_by"]] if result["limited_by"] else [])


def coverage_line(result: Dict[str, Any]) -> str:
    """What of the image a result is about; nothing where that is all of it."""
    covers = str(result.get("covers") or "all bytes")
    return "" if covers == "all bytes" else "\ncovers: " + covers


def half_written_line(result: Dict[str, Any]) -> str:
    """That a disk was left in pieces; nothing where it was not."""
    if not result.get("half_written"):
        return ""
    return "\n%s is half-written: nothing may start from it" % (result.get("target") or {}).get("path", "the disk")


def write_line(text: str, stream: TextIO = sys.stdout) -> None:
    """Print."""
    stream.write(text + "\n")
    stream.flush()
