# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The pictures of a report, as self-contained SVG."""

from __future__ import annotations

import html
import math
import typing as t

from ansible_collections.dolly.ring.plugins.plugin_utils import ring_results
from ansible_collections.dolly.ring.plugins.plugin_utils.ring_words import printable

WIDTH = 960
ROW_OF_NODES = 8
#: The largest number of lines that can still be told apart.
MOST_LINES = 24
MOST_BARS = 60
#: A chart ends at this multiple of the usual rate. First bytes often go to memory: they would flatten the
#: rest.
MOST_ABOVE_USUAL = 2.5
TIME_UNITS = ((3600, "h"), (60, "min"), (1, "s"))
COLOURS = {
    "done": "#2a7d4f",
    "predicted": "#2a7d4f",
    "server": "#3459a6",
    "lost": "#b3261e",
    "unreachable": "#6b7280",
    "failed": "#b3261e",
}
SPENT = {
    "receive": "#9db4d8",
    "write": "#d98c3f",
    "read": "#7b6fb3",
    "hash": "#b9a3d9",
    "flush": "#b3261e",
    "idle": "#e3e6ea",
}
ARROW_TIP = (
    '<defs><marker id="tip" markerWidth="8" markerHeight="8" refX="7" refY="3" orient="auto">'
    '<path d="M0,0 L7,3 L0,6 z" fill="#566"/></marker></defs>'
)
LINES = ("#3459a6", "#d98c3f", "#2a7d4f", "#b3261e", "#7b6fb3", "#008b94", "#8a5a2b", "#5b6470")


def svg(height: float, body: t.Iterable[str], label: str) -> str:
    frame = 'viewBox="0 0 %d %d" width="%d" role="img" aria-label="%s"' % (WIDTH, height, WIDTH, html.escape(label))
    return '<svg xmlns="http://www.w3.org/2000/svg" %s>%s</svg>' % (frame, "".join(body))


def words(x: float, y: float, content: t.Any, anchor: str = "start") -> str:
    return '<text x="%.1f" y="%.1f" text-anchor="%s">%s</text>' % (x, y, anchor, html.escape(printable(content)))


def short(name: str, most: int = 15) -> str:
    return name if len(name) <= most else name[: most - 1] + "\u2026"


def ring(nodes: t.Sequence[t.Mapping[str, t.Any]], parents: t.Mapping[str, str], server: str) -> str:
    """Draw the server and the nodes in ring order, row by row, with arrows from each node's last parent."""
    order = [{"name": server, "state": "server"}, *nodes]
    step, drop, radius = WIDTH / ROW_OF_NODES, 78, 15
    places = {}
    for number, node in enumerate(order):
        row, column = divmod(number, ROW_OF_NODES)
        places.setdefault(node["name"], (step * (column + 0.5), 42 + drop * row))
    parts = [ARROW_TIP]
    for name, parent in parents.items():
        begin = places.get(server if parent == "the server" else parent)
        if name in places and begin:
            parts.append(arrow(begin, places[name], radius))
    for node in order:
        x, y = places[node["name"]]
        is_innocent = ring_results.is_innocent(node)
        state = "not at fault" if is_innocent else node["state"]
        colour = COLOURS["unreachable"] if is_innocent else COLOURS.get(node["state"], COLOURS["failed"])
        told = "%s: %s %s" % (node["name"], node["state"], node.get("reason") or "")
        parts.append(
            '<circle cx="%.1f" cy="%.1f" r="%d" fill="%s"><title>%s</title></circle>'
            % (x, y, radius, colour, html.escape(printable(told)))
        )
        parts.append(words(x, y + radius + 13, short(node["name"]), "middle"))
        parts.append(words(x, y + radius + 25, state, "middle"))
    return svg(42 + drop * (1 + (len(order) - 1) // ROW_OF_NODES), parts, "the ring in its order")


def arrow(begin: t.Tuple[float, float], end: t.Tuple[float, float], radius: float) -> str:
    width, height = end[0] - begin[0], end[1] - begin[1]
    length = max(1.0, (width * width + height * height) ** 0.5)
    dx, dy = width / length * (radius + 2), height / length * (radius + 2)
    skips = abs(height) < 1 and abs(width) > WIDTH / ROW_OF_NODES + 1
    way = "M%.1f,%.1f L%.1f,%.1f" % (begin[0] + dx, begin[1] + dy, end[0] - dx, end[1] - dy)
    if skips:  # above the nodes in between
        over = begin[1] - radius - 12
        bend = (begin[0] + 30, over - 8, end[0] - 30, over - 8, end[0] - 8, end[1] - radius)
        way = "M%.1f,%.1f C%.1f,%.1f %.1f,%.1f %.1f,%.1f" % (begin[0] + 8, begin[1] - radius, *bend)
    return '<path d="%s" fill="none" stroke="#566" stroke-width="1.5" marker-end="url(#tip)"/>' % way


def rates(history: t.Mapping[str, t.Any]) -> str:
    """Draw MB/s of each node over time; of many nodes, the first, the last and some in between."""
    times, held = history.get("times") or [], history.get("held") or {}
    if len(times) < 2 or not held:
        return ""
    names = list(held)
    if len(names) > MOST_LINES:
        names = [names[round(number * (len(names) - 1) / (MOST_LINES - 1))] for number in range(MOST_LINES)]
    series = {name: slopes(times, held[name]) for name in names}
    highest = max([max(values) for values in series.values()] + [1e-9])
    height, left, right, low = 240, 60, WIDTH - 130, 210
    span = max(times[-1], 1e-9)
    top = ticks(min(highest, MOST_ABOVE_USUAL * usual(times, series.values()) or highest))[-1]
    parts = axes(left, right, low, top, span)
    if highest > top:
        parts.append(words(left + 8, 14, "cut off: up to %.4g MB/s for a moment" % highest))
    for number, name in enumerate(names):
        colour = LINES[number % len(LINES)]
        dots = " ".join(
            "%.1f,%.1f" % (left + (right - left) * at / span, low - 190 * min(value, top) / top)
            for at, value in zip(times[1:], series[name])
        )
        parts.append('<polyline points="%s" fill="none" stroke="%s" stroke-width="1.4"/>' % (dots, colour))
        if number < 16:
            y = 14 + 14 * number
            parts.append('<rect x="%d" y="%d" width="9" height="9" fill="%s"/>' % (right + 12, y, colour))
            parts.append(words(right + 26, y + 8, short(name)))
    return svg(height, parts, "rate of each node over time")


def slopes(times: t.Sequence[float], held: t.Sequence[int]) -> t.List[float]:
    """Return MB/s between consecutive times."""
    pairs = zip(times, times[1:], held, held[1:])
    return [max(0.0, (after - before) / max(end - begin, 1e-6)) / 1e6 for begin, end, before, after in pairs]


def usual(times: t.Sequence[float], series: t.Iterable[t.Sequence[float]]) -> float:
    """Return the median rate over the time in which nodes moved; 0 if none ever did."""
    moved = sorted(
        (value, end - begin) for values in series for value, begin, end in zip(values, times, times[1:]) if value > 0
    )
    rest = sum(seconds for dummy, seconds in moved) / 2
    for value, seconds in moved:
        rest -= seconds
        if rest <= 0:
            return value
    return 0.0


def ticks(highest: float, most: int = 5) -> t.List[float]:
    """Return round numbers from 0 to at least `highest`, in at most `most` steps of 1, 2 or 5 times 10**n."""
    highest = max(highest, 1e-9)
    raw = highest / most
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10, 20) if power * factor >= raw * 0.999999)
    return [step * number for number in range(math.ceil(highest / step * 0.999999) + 1)]


def axes(left: float, right: float, low: float, top: float, span: float) -> t.List[str]:
    """Draw both axes with round numbers, and faint grid lines."""
    parts = []
    for value in ticks(top):
        y = low - 190 * value / top
        parts.append('<path d="M%d,%.1f H%d" stroke="#e3e6ea"/>' % (left, y, right))
        parts.append(words(left - 6, y + 4, "%.4g" % value, "end"))
    seconds, unit = next((scale, name) for scale, name in TIME_UNITS if span >= 2 * scale or scale == 1)
    for value in ticks(span / seconds, 6):
        if value * seconds <= span * 1.000001:
            x = left + (right - left) * value * seconds / span
            parts.append('<path d="M%.1f,%d V%d" stroke="#889"/>' % (x, low, low + 4))
            parts.append(words(x, low + 17, "%.4g %s" % (value, unit), "middle"))
    parts.append('<path d="M%d,20 V%d H%d" fill="none" stroke="#889"/>' % (left, low, right))
    parts.append(words(left - 6, 12, "MB/s", "end"))
    return parts


def times(nodes: t.Sequence[t.Mapping[str, t.Any]]) -> str:
    """Draw a bar for each node: how its time was shared out."""
    shown = [node for node in nodes if any((node.get("times") or {}).get(what) for what in SPENT)][:MOST_BARS]
    if not shown:
        return ""
    longest = max(sum(parts_of(node).values()) for node in shown)
    left, room, parts = 140, WIDTH - 220, []
    for number, what in enumerate(SPENT):
        parts.append('<rect x="%d" y="2" width="10" height="10" fill="%s"/>' % (left + 110 * number, SPENT[what]))
        parts.append(words(left + 110 * number + 14, 11, what))
    for row, node in enumerate(shown):
        x, y = float(left), 22 + 18 * row
        parts.append(words(left - 8, y + 11, short(node["name"], 20), "end"))
        for what, seconds in parts_of(node).items():
            width = room * seconds / longest
            parts.append('<rect x="%.1f" y="%d" width="%.1f" height="13" fill="%s"><title>%s %.1f s</title></rect>' % (
                x, y, width, SPENT[what], what, seconds,
            ))
            x += width
        parts.append(words(x + 6, y + 11, "%.1f s" % sum(parts_of(node).values())))
    return svg(30 + 18 * len(shown), parts, "where each node's time went")


def parts_of(node: t.Mapping[str, t.Any]) -> t.Dict[str, float]:
    """Return the parts of a bar. Reading back and digesting run in parallel to these: they are left out."""
    spent = node.get("times") or {}
    beside = ("read", "hash")
    found = {what: float(spent[what]) for what in SPENT if spent.get(what) and what not in beside}
    return found or {what: float(spent[what]) for what in beside if spent.get(what)}


def timeline(events: t.Sequence[t.Mapping[str, t.Any]], end: float) -> str:
    """Draw healings and failures as marks on a line."""
    loud = [one for one in events if is_loud(one)]
    if not loud:
        return ""
    span = max([end, 1e-6] + [one["at"] for one in loud])
    parts = ['<path d="M20,30 H%d" stroke="#889"/>' % (WIDTH - 20)]
    for number, one in enumerate(loud[:200]):
        x = 20 + (WIDTH - 40) * one["at"] / span
        colour = "#b26a00" if one["what"].startswith("healed") else "#b3261e"
        told = html.escape(printable("%.1f s %s: %s" % (one["at"], one["node"], one["what"])))
        parts.append('<circle cx="%.1f" cy="30" r="6" fill="%s"><title>%s</title></circle>' % (x, colour, told))
        parts.append(words(min(max(x, 40), WIDTH - 40), 14 if number % 2 else 50, short(one["node"]), "middle"))
    parts += [words(20, 62, "0 s"), words(WIDTH - 20, 62, "%.1f s" % span, "end")]
    return svg(68, parts, "healings and failures")


def is_loud(event: t.Mapping[str, t.Any]) -> bool:
    return event["what"].split(":")[0] in ("healed", "late", "demoted", "failed", "lost", "unreachable", "excluded")
