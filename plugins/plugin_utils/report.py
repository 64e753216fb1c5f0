# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A page about a run for somebody who was woken up: what happened, who failed and why, what to do next.

It stands alone: styles and pictures are in it, nothing is fetched, and no script runs.
"""

from __future__ import annotations

import html
import time
import typing as t

from ansible_collections.dolly.ring.plugins.module_utils.dolly.happened import happened
from ansible_collections.dolly.ring.plugins.plugin_utils import report_pictures as pictures
from ansible_collections.dolly.ring.plugins.plugin_utils.ring_words import duration, printable

MOST_ROWS = 500

STYLE = """
body{font:15px/1.45 system-ui,sans-serif;margin:2em auto;max-width:62em;padding:0 1em;color:#1c2330;background:#fff}
h1{font-size:1.5em;margin:0 0 .3em;padding:.5em .7em;border-left:.4em solid}
h1.done{border-color:#2a7d4f;background:#e8f5ed}h1.failed{border-color:#b3261e;background:#fbeae9}
h1.partial{border-color:#b26a00;background:#fdf3e2}
h2{font-size:1.1em;margin:1.8em 0 .4em}p.sub,small{color:#566}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.2em .8em .2em 0;vertical-align:top}
th{color:#566;font-weight:600;border-bottom:1px solid #ccd}
td.n,th.n{text-align:right}td.n{font-variant-numeric:tabular-nums}
ul.why li{margin:.3em 0}svg{max-width:100%;height:auto}svg text{font:11px system-ui,sans-serif;fill:#1c2330}
tr.loud td{font-weight:600}
code{background:#eef;padding:0 .2em}
"""

#: What to do next, by the kind of the error that a node or the run ended with.
NEXT = {
    "TargetError": "Check that disk (dmesg, smartctl), replace it if need be, and clone that host again.",
    "BadChunk": "Do not trust that disk, controller or memory: replace it, then clone that host again.",
    "CannotConnect": "Open the ports of the ring in every firewall between these hosts, and look whether they are up.",
    "NameUnknown": "Correct that name, or give an address (dolly_ring_address).",
    "PeerLost": "Look whether that machine is up and its network works, then clone it again.",
    "Refused": "Look at the target that was refused; the sentence says what would allow it.",
    "SourceError": "Check the disk that the image lies on, or fetch the image again.",
    "SourceChanged": "Stop whatever writes to the image, or clone a snapshot of it.",
    "ChecksumMismatch": "Fetch the image again, or correct dolly_ring_checksum.",
    "NotEnoughNodes": "Repair the hosts named, take them out of the play, or do with fewer (dolly_ring_min_nodes).",
    "TargetHung": "Look at that disk and at the kernel's log there; then clone it again.",
    "TooSlow": "Look for what slows that disk or its link down, or lower dolly_ring_min_rate; then clone it again.",
    "TimedOut": "Find out what it waited for, or raise the limit that the sentence names.",
}


def page(data: t.Mapping[str, t.Any]) -> str:
    """Return the page about *data*: a summary, the history of the server, and the options."""
    summary, history = data["summary"], data.get("history") or {}
    nodes = summary["nodes"]
    parts = [
        headline(summary),
        failures(nodes),
        section("The ring", pictures.ring(nodes, history.get("parents") or {}, summary["server"])),
        section("Rate of each node over time", pictures.rates(history)),
        section("Where each node's time went", pictures.times(nodes)),
        section("What happened when", events(history)),
        section("Nodes", node_table(nodes)),
        section("Options", option_table(data.get("options") or {})),
    ]
    title = text("dolly.ring: %s" % summary["run_id"])
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    body = "\n".join(part for part in parts if part)
    head += "<title>%s</title><style>%s</style>" % (title, STYLE)
    return '<!doctype html>\n<html lang="en"><head>%s</head>\n<body>\n%s\n</body></html>\n' % (head, body)


def text(value: t.Any) -> str:
    return html.escape(printable(value))


def section(title: str, body: str) -> str:
    return "<h2>%s</h2>\n%s" % (text(title), body) if body else ""


def headline(summary: t.Mapping[str, t.Any]) -> str:
    nodes = summary["nodes"]
    good = sum(1 for node in nodes if node["state"] in ("done", "predicted"))
    state = "done" if good == len(nodes) else "partial" if good else "failed"
    is_dummy = (summary["source"] or {}).get("kind") == "dummy"
    does, do = ("could be measured",) * 2 if is_dummy else ("holds the image", "hold the image")
    line = {
        "done": "All %d hosts %s." % (len(nodes), do),
        "partial": "%d of %d hosts %s. Not %s." % (good, len(nodes), do, names_of_bad(nodes)),
        "failed": "No host %s: %s" % (does, summary["msg"]),
    }[state]
    if summary["state"] == "predicted":
        line = "Check mode: nothing was written."
    sub = "Image %s from %s, %d bytes in %s, %.1f MB/s to each node; run %s. %s" % (
        (summary["source"] or {}).get("path", "-"),
        summary["server"],
        summary["bytes"],
        duration(summary["seconds"]),
        summary["rate_mb_s"],
        summary["run_id"],
        "Held up by %s." % summary["limited_by"] if summary.get("limited_by") else "",
    )
    return '<h1 class="%s">%s</h1>\n<p class="sub">%s</p>' % (state, text(line), text(sub))


def names_of_bad(nodes: t.Sequence[t.Mapping[str, t.Any]]) -> str:
    names = [node["name"] for node in nodes if node["state"] not in ("done", "predicted")]
    return ", ".join(names[:5]) + (" and %d more" % (len(names) - 5) if len(names) > 5 else "")


def failures(nodes: t.Sequence[t.Mapping[str, t.Any]]) -> str:
    """Who failed and why, and what to do; hosts with the same reason together."""
    bad = [node for node in nodes if node["state"] not in ("done", "predicted")]
    if not bad:
        return ""
    grouped: t.Dict[str, t.List[t.Mapping[str, t.Any]]] = {}
    for node in bad:
        grouped.setdefault(str(node.get("reason") or node["state"]), []).append(node)
    items, advice = [], []
    for reason, group in grouped.items():
        names = ", ".join(node["name"] for node in group[:20]) + (" and more" if len(group) > 20 else "")
        items.append("<li><b>%s</b>: %s</li>" % (text(names), text(reason)))
        advice.append(advice_for(group))
    listed = "".join("<li>%s</li>" % text(line) for line in dict.fromkeys(advice))
    half = [node["name"] for node in bad if node.get("bytes")]
    if half:
        listed += "<li>Half-written, not to be started from: <b>%s</b>.</li>" % text(", ".join(half[:50]))
    listed += "<li>Clone these alone again: <code>-l %s</code></li>" % text(",".join(node["name"] for node in bad[:50]))
    return '<h2>Who failed and why</h2>\n<ul class="why">%s</ul>\n<h2>What to do next</h2>\n<ul>%s</ul>' % (
        "".join(items), listed,
    )


def advice_for(group: t.Sequence[t.Mapping[str, t.Any]]) -> str:
    kinds = [str((node.get("error") or {}).get("kind")) for node in group]
    known = [NEXT[kind] for kind in kinds if kind in NEXT]
    if known:
        return known[0]
    if group[0]["state"] in ("lost", "unreachable"):
        return "Look whether the host is up and whether Ansible reaches it (ansible -m ping)."
    return "Read the reason above and the last lines of the node's log (dolly_ring_result.log, dolly_ring_log_dir)."


def events(history: t.Mapping[str, t.Any]) -> str:
    told = history.get("events") or []
    if not told:
        return ""
    marked = pictures.timeline(told, (history.get("times") or [0])[-1])
    rows = "".join(
        '<tr%s><td class="n">%.1f s</td><td>%s</td><td>%s</td></tr>'
        % (' class="loud"' if pictures.is_loud(one) else "", one["at"], text(one["node"]), text(one["what"]))
        for one in told[:MOST_ROWS]
    )
    left_out = len(told) - min(len(told), MOST_ROWS) + int(history.get("events_left_out") or 0)
    more = "<p><small>%d more are not shown.</small></p>" % left_out if left_out else ""
    began = history.get("began")
    since = time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(began)) if began else "the begin"
    return "<p><small>Seconds since %s.</small></p>%s<table>%s</table>%s" % (text(since), marked, rows, more)


def node_table(nodes: t.Sequence[t.Mapping[str, t.Any]]) -> str:
    numbers = ("pos", "MB", "s", "MB/s")
    names = ("pos", "node", "state", "MB", "s", "MB/s", "verified", "happened", "address")
    head = "".join('<th%s>%s</th>' % (' class="n"' if name in numbers else "", name) for name in names)
    rows = "".join(
        '<tr><td class="n">%s</td><td>%s</td><td>%s</td><td class="n">%.1f</td><td class="n">%.1f</td>'
        '<td class="n">%.1f</td><td>%s</td><td>%s</td><td>%s</td></tr>'
        % (
            "-" if node["position"] is None else int(node["position"]),
            text(node["name"]),
            text(node["state"]),
            node["bytes"] / 1e6,
            node["seconds"],
            node["rate_mb_s"],
            "yes" if node["verified"] else "no",
            text(happened(node)),
            text(node.get("address") or ""),
        )
        for node in nodes
    )
    return "<table><tr>%s</tr>%s</table>" % (head, rows)


def option_table(options: t.Mapping[str, t.Any]) -> str:
    """The options of the ring. Nothing secret is among them; should a name look like that, it is left out."""
    given = {name: value for name, value in options.items() if value not in ("", [], None)}
    shown = {name: given[name] for name in sorted(given) if "secret" not in name}
    return "<table>%s</table>" % "".join(
        "<tr><td>%s</td><td>%s</td></tr>" % (text(name.replace("dolly_ring_", "")), text(value))
        for name, value in shown.items()
    )
