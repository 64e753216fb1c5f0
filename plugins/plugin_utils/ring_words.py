# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Lines for an operator: the progress of a run, and the table of its nodes."""

from __future__ import annotations

import textwrap
import typing as t

from ansible_collections.dolly.ring.plugins.module_utils.dolly.status.notes import happened
from ansible_collections.dolly.ring.plugins.module_utils.ring import causes

#: Callbacks whose output is read by a program; other lines would break it.
FOR_PROGRAMS = ("json", "jsonl", "null", "oneline", "tap", "junit", "ndjson")
WIDEST_NAME = 28
COLUMNS = 79
HEAD = ("pos", "node", "state", "MB", "s", "MB/s", "verified", "digest")
NUMBERS = frozenset(("pos", "MB", "s", "MB/s"))


def is_for_people(callback: str) -> bool:
    """Whether other lines may be printed between the output of this callback."""
    return callback.rpartition(".")[2] not in FOR_PROGRAMS


def printable(text: t.Any) -> str:
    """Return one line without control characters, safe for terminals and logs."""
    return "".join(sign if sign.isprintable() else " " for sign in str(text))


def duration(seconds: float) -> str:
    """Format seconds as h:mm:ss, or m:ss."""
    whole = max(0, round(seconds))
    hours, rest = divmod(whole, 3600)
    minutes, last = divmod(rest, 60)
    return "%d:%02d:%02d" % (hours, minutes, last) if hours else "%d:%02d" % (minutes, last)


class ProgressLine:
    """Formats the sender's progress as lines. The rate is that of the slowest node still at work."""

    def __init__(self) -> None:
        self._last: t.Optional[t.Tuple[float, int]] = None

    def line(self, now: float, progress: t.Mapping[str, t.Any]) -> str:
        """Return the line for the progress at *now*, in seconds of any one clock."""
        held, size = progress["held"], progress["size"]
        rate = 0.0
        if self._last is not None and now > self._last[0]:
            rate = max(0.0, (held - self._last[1]) / (now - self._last[0]))
        self._last = (now, held)
        parts = ["%5.1f %%" % progress["percent"]]
        if progress["slowest"]:
            parts.append("%.1f MB/s" % (rate / 1e6) if rate else "- MB/s")
            parts.append("ETA %s" % (duration((size - held) / rate) if rate and size >= held else "-"))
        parts.append(
            "nodes: %d of %d ok, %d lost, %d late"
            % (progress["done"], progress["total"], progress["lost"], progress["late"])
        )
        if progress["slowest"]:
            slowest = "slowest: %s" % printable(progress["slowest"])
            if size:
                slowest += " at %d %%" % (100 * held // size)
            if progress["limited_by"]:
                slowest += ", limited by %s" % printable(progress["limited_by"])
            parts.append(slowest)
        return "dolly.ring: " + "; ".join(parts)


def folded(line: str) -> t.List[str]:
    """Fold a line for a terminal of 80 columns, at semicolons if possible, else at spaces."""
    lines: t.List[str] = []
    for part in line.split("; "):
        joined = "%s; %s" % (lines[-1], part) if lines else part
        if lines and len(joined) > COLUMNS:
            lines[-1] += ";"
            lines.append("    " + part)
        else:
            lines[-1:] = [joined]
    return [
        piece
        for one in lines
        for piece in textwrap.wrap(
            one, COLUMNS, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
        )
    ]


def table(summary: t.Mapping[str, t.Any]) -> t.List[str]:
    """Return a title, a head, and for each node in ring order its result and what happened to it."""
    nodes = summary["nodes"]
    if any(node["state"] == "predicted" for node in nodes):
        return forecast(summary)
    bad = [node["name"] for node in nodes if node["state"] != "done"]
    good = len(nodes) - len(bad)
    # The server counts only the nodes of the ring, which some hosts have not joined.
    does = "could be measured" if summary["source"].get("kind") == "dummy" else "hold it"
    count = "; %d of %d hosts %s, not %s" % (good, len(nodes), does, causes.names(bad)) if bad and good else ""
    lines = folded(printable(title_of(summary) + count))
    if summary["digest"]:
        lines.append("digest %s" % summary["digest"])
    rows = [HEAD, *(cells_of(node) for node in nodes)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    for row, node in zip(rows, [{}, *nodes]):
        cells = [
            cell.rjust(width) if name in NUMBERS else cell.ljust(width) for cell, width, name in zip(row, widths, HEAD)
        ]
        lines.append("  ".join(cells).rstrip())
        if happened(node):
            lines.append("     " + happened(node))
    return lines + notes_of(summary)


def notes_of(summary: t.Mapping[str, t.Any]) -> t.List[str]:
    """Return the notes of the modules, such as a missing partition table, each once with its hosts."""
    about = {printable(note): [printable(summary["server"])] for note in summary.get("notes") or ()}
    for node in summary["nodes"]:
        for note in node.get("notes") or ():
            about.setdefault(printable(note), []).append(printable(node["name"]))
    told = ["note: %s: %s" % (causes.names(names), note) for note, names in about.items()]
    return [line for note in told for line in folded(note)]


def title_of(summary: t.Mapping[str, t.Any]) -> str:
    return "%s from %s: %s" % (summary["source"].get("path", "no image"), summary["server"], summary["msg"])


def cells_of(node: t.Mapping[str, t.Any]) -> t.Tuple[str, ...]:
    return (
        "-" if node["position"] is None else str(node["position"]),
        name_cell(node),
        node["state"],
        "%.1f" % (node["bytes"] / 1e6),
        "%.1f" % node["seconds"],
        "%.1f" % node["rate_mb_s"],
        "yes" if node["verified"] else "no",
        digest_cell(node),
    )


def name_cell(node: t.Mapping[str, t.Any]) -> str:
    name = printable(node["name"])
    if len(name) <= WIDEST_NAME:
        return name
    half = (WIDEST_NAME - 3) // 2
    return name[: WIDEST_NAME - 3 - half] + "..." + name[-half:]  # names may differ at either end


def digest_cell(node: t.Mapping[str, t.Any]) -> str:
    """Return the start of a node's digest. `verify: mac` leaves no digest although the node was verified."""
    if node["state"] != "done":
        return ""
    return node["digest"][:8] or ("by MAC" if node["verified"] else "")


def forecast(summary: t.Mapping[str, t.Any]) -> t.List[str]:
    """Return a title, a head, and for each node what a run would overwrite, or why it would not."""
    width = max([len("node"), *(len(name_cell(node)) for node in summary["nodes"])])
    form = "%%-%ds  %%-11s  %%s" % width
    lines = [*folded(printable(title_of(summary))), form % ("node", "state", "what would happen to it")]
    for node in summary["nodes"]:
        # A problem of the run as a whole is in the title already.
        text = node["reason"].partition(", but as it stands: ")[0]
        lines.append(printable(form % (name_cell(node), node["state"], text)))
    return lines + notes_of(summary)
