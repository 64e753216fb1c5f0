# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A page about a run for an operator on call: what happened, which hosts failed and why, and what to do next.

The page is self-contained: it includes its styles and pictures, fetches nothing, and runs no script.
"""

from __future__ import annotations

import errno
import html
import time
import typing as t

from ansible_collections.dolly.ring.plugins.module_utils.dolly import units
from ansible_collections.dolly.ring.plugins.module_utils.dolly.status.notes import happened
from ansible_collections.dolly.ring.plugins.module_utils.ring import causes as ring_causes
from ansible_collections.dolly.ring.plugins.plugin_utils import report_pictures as pictures
from ansible_collections.dolly.ring.plugins.plugin_utils import ring_results
from ansible_collections.dolly.ring.plugins.plugin_utils.ring_words import digest_cell, duration, printable

MOST_ROWS = 500
LONGEST_HEADLINE = 120
COLUMNS = (
    *("pos", "node", "state", "target", "MB", "s", "MB/s", "verified", "digest", "happened", "address"),
)
NUMBERS = frozenset(("pos", "MB", "s", "MB/s"))

STYLE = """
body{font:15px/1.45 system-ui,sans-serif;margin:2em auto;max-width:62em;padding:0 1em;color:#1c2330;background:#fff}
h1{font-size:1.5em;margin:0 0 .3em;padding:.5em .7em;border-left:.4em solid}
h1.done{border-color:#2a7d4f;background:#e8f5ed}h1.failed{border-color:#b3261e;background:#fbeae9}
h1.partial{border-color:#b26a00;background:#fdf3e2}
h2{font-size:1.1em;margin:1.8em 0 .4em}p.sub,small{color:#566}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.2em .8em .2em 0;vertical-align:top}
th{color:#566;font-weight:600;border-bottom:1px solid #ccd}
td.n,th.n{text-align:right}td.n{white-space:nowrap;font-variant-numeric:tabular-nums}
ul.why li{margin:.3em 0}svg{max-width:100%;height:auto}svg text{font:11px system-ui,sans-serif;fill:#1c2330}
tr.loud td{font-weight:600}tr.bad td{background:#fbeae9}
table.nodes td:nth-child(2):not([colspan]){white-space:nowrap}
table.facts{width:auto}table.facts th{border:0;padding-right:1.5em}table.facts td{overflow-wrap:anywhere}
code{background:#eef;padding:0 .2em}
"""

#: What to do next, by the kind of the error that ended the node or the run.
NEXT = {
    "TargetError": "Check that disk (dmesg, smartctl), replace it if need be, and clone that host again.",
    "BadChunk": "Do not trust that disk, controller or memory: replace it, then clone that host again.",
    "CannotConnect": "Open the ports of the ring in every firewall between these hosts, and look whether they are up.",
    "NameUnknown": "Correct that name, or give an address (dolly_ring_address).",
    "PeerLost": "Look whether that machine is up and its network works, then clone it again.",
    "Refused": "Look at what was refused; the sentence says what would allow it.",
    "SourceError": "Check the disk that the image lies on, or fetch the image again.",
    "SourceChanged": "Stop whatever writes to the image, or clone a snapshot of it.",
    "ChecksumMismatch": "Fetch the image again, or correct dolly_ring_checksum.",
    "NotEnoughNodes": "Repair the hosts named, take them out of the play, or do with fewer (dolly_ring_min_nodes).",
    "TargetHung": "Look at that disk and at the kernel's log there; then clone it again.",
    "TooSlow": "Look for what slows that disk or its link down, or lower dolly_ring_min_rate; then clone it again.",
    "TimedOut": "Find out what it waited for, or raise the limit that the sentence names.",
}

#: A full target is not a broken one.
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
MORE_ROOM = "Make room there, or name a larger target, and clone that host again."
#: How the sentence of an error says that no option can override it.
FOR_GOOD = "No option allows it"
REFUSED_FOR_GOOD = "Change what the sentence says of what was refused, or name another target: nothing overrules it."


def page(data: t.Mapping[str, t.Any]) -> str:
    """Return the page for *data*: summary, the server's history, options, and the time of the page."""
    summary, history = data["summary"], data.get("history") or {}
    nodes = summary["nodes"]
    parts = [
        headline(summary),
        facts(summary, history.get("began"), data.get("made")),
        failures(nodes),
        notes(summary),
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
    rest = ""
    if summary["state"] == "predicted":
        line = "Check mode: nothing was written."
    elif len(line) > LONGEST_HEADLINE and state == "failed":
        line, left = "No host %s." % does, without_causes(summary)
        rest = "<p>%s</p>" % text(left) if left else ""
    return '<h1 class="%s">%s</h1>\n%s' % (state, text(line), rest)


def without_causes(summary: t.Mapping[str, t.Any]) -> str:
    """Return the message of a run without the causes that the list of failed hosts repeats; may be empty."""
    causes = {node["name"]: str(node.get("reason") or "") for node in summary["nodes"] if rank_of_blame(node) == 0}
    left = str(summary["msg"]).replace(ring_causes.together(causes), "").replace("  ", " ").strip()
    return "" if left == ring_causes.NO_NODE else left


def facts(summary: t.Mapping[str, t.Any], began: t.Optional[float], made: t.Optional[float]) -> str:
    """Format what was cloned, when, and how fast. A refused run never began: it gets the page's date."""
    source = summary["source"] or {}
    sent = bool(summary["bytes"])
    told = [
        ("Run", summary["run_id"]),
        ("Date", moment(began or made)),
        ("Image", "%s from %s" % (source.get("path", "-"), summary["server"])),
        ("Size", amount(source.get("size") or summary["bytes"])),
        ("Cloned", summary.get("covers") if sent and summary.get("covers") != "all bytes" else ""),
        ("Took", "%s, %.1f MB/s to each node" % (duration(summary["seconds"]), summary["rate_mb_s"]) if sent else ""),
        ("Held up by", summary.get("limited_by")),
        ("Digest", summary.get("digest")),
        ("SHA-256", summary.get("sha256")),
    ]
    rows = "".join("<tr><th>%s</th><td>%s</td></tr>" % (name, text(value)) for name, value in told if value)
    return '<table class="facts">%s</table>' % rows


def moment(at: t.Optional[float]) -> str:
    """Format a local date and time with its offset from UTC."""
    return time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(at)) if at else ""


def amount(size: t.Optional[int]) -> str:
    return "%s (%d bytes)" % (units.format_size(size), size) if size else ""


def notes(summary: t.Mapping[str, t.Any]) -> str:
    """Format the warnings of the modules with the hosts that they concern, each warning once."""
    found: t.Dict[str, t.List[str]] = {}
    for name, said in [(summary["server"], summary), *((node["name"], node) for node in summary["nodes"])]:
        for note in said.get("notes") or ():
            found.setdefault(str(note), []).append(name)
    items = "".join("<li><b>%s</b>: %s</li>" % (text(", ".join(who[:20])), text(note)) for note, who in found.items())
    return section("Notes", "<ul>%s</ul>" % items if items else "")


def names_of_bad(nodes: t.Sequence[t.Mapping[str, t.Any]]) -> str:
    names = [node["name"] for node in nodes if node["state"] not in ("done", "predicted")]
    return ", ".join(names[:5]) + (" and %d more" % (len(names) - 5) if len(names) > 5 else "")


def rank_of_blame(node: t.Mapping[str, t.Any]) -> int:
    """Rank hosts for sorting: 0 for culprits, 1 for hosts that failed because of them, 2 for good hosts."""
    if node["state"] in ("done", "predicted"):
        return 2
    return 1 if ring_results.is_innocent(node) else 0


def failures(nodes: t.Sequence[t.Mapping[str, t.Any]]) -> str:
    """List who failed and why, and what to do; one entry per reason, culprits first."""
    bad = sorted((node for node in nodes if rank_of_blame(node) < 2), key=rank_of_blame)
    if not bad:
        return ""
    grouped: t.Dict[str, t.List[t.Mapping[str, t.Any]]] = {}
    for node in bad:
        grouped.setdefault(str(node.get("reason") or node["state"]), []).append(node)
    items, advice = [], []
    for reason, group in grouped.items():
        names = ", ".join(node["name"] for node in group[:20]) + (" and more" if len(group) > 20 else "")
        items.append("<li><b>%s</b>: %s</li>" % (text(names), text(reason)))
        if not ring_results.is_innocent(group[0]):
            advice.append(advice_for(group))
    listed = "".join("<li>%s</li>" % text(line) for line in dict.fromkeys(advice))
    half = [node["name"] for node in bad if node.get("half_written")]
    if half:
        listed += "<li>Half-written, not to be started from: <b>%s</b>.</li>" % text(", ".join(half[:50]))
    listed += "<li>Clone these alone again: <code>-l %s</code></li>" % text(",".join(node["name"] for node in bad[:50]))
    return '<h2>Who failed and why</h2>\n<ul class="why">%s</ul>\n<h2>What to do next</h2>\n<ul>%s</ul>' % (
        "".join(items), listed,
    )


def advice_for(group: t.Sequence[t.Mapping[str, t.Any]]) -> str:
    for node in group:
        error = node.get("error") or {}
        if error.get("kind") == "Refused" and FOR_GOOD in str(node.get("reason")):
            return REFUSED_FOR_GOOD
        if error.get("kind") == "TargetError" and error.get("errno") in NO_ROOM:
            return MORE_ROOM
        if error.get("kind") in NEXT:
            return NEXT[error["kind"]]
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
    since = moment(began) or "the begin"
    return "<p><small>Seconds since %s.</small></p>%s<table>%s</table>%s" % (text(since), marked, rows, more)


def node_table(nodes: t.Sequence[t.Mapping[str, t.Any]]) -> str:
    """Format a row for each host: culprits first, otherwise in ring order."""
    head = "".join("<th%s>%s</th>" % (' class="n"' if name in NUMBERS else "", name) for name in COLUMNS)
    rows = "".join(node_row(node) for node in sorted(nodes, key=rank_of_blame))
    return '<table class="nodes"><tr>%s</tr>%s</table>' % (head, rows)


def node_row(node: t.Mapping[str, t.Any]) -> str:
    """Format the row of a host, and below it the reason of its failure and its notes."""
    is_bad = rank_of_blame(node) < 2
    marked = ' class="bad"' if is_bad else ""
    said = [str(node.get("reason") or "")] * is_bad + [str(note) for note in node.get("notes") or ()]
    below = "".join(
        '<tr%s><td></td><td colspan="%d">%s</td></tr>' % (marked, len(COLUMNS) - 1, text(one)) for one in said if one
    )
    cells = (
        ("pos", "-" if node["position"] is None else int(node["position"])),
        ("node", node["name"]),
        ("state", node["state"]),
        ("target", target_of(node)),
        ("MB", "%.1f" % (node["bytes"] / 1e6)),
        ("s", "%.1f" % node["seconds"]),
        ("MB/s", "%.1f" % node["rate_mb_s"]),
        ("verified", "yes" if node["verified"] else "no"),
        ("digest", digest_cell(node)),
        ("happened", happened(node)),
        ("address", node.get("address") or ""),
    )
    row = "".join("<td%s>%s</td>" % (' class="n"' if name in NUMBERS else "", text(value)) for name, value in cells)
    return "<tr%s>%s</tr>%s" % (marked, row, below)


def target_of(node: t.Mapping[str, t.Any]) -> str:
    """Name the target with the model and serial number on its label."""
    target, error = node.get("target") or {}, node.get("error") or {}
    path = target.get("path") or error.get("path") or error.get("what") or ""
    label = [str(target[name]) for name in ("model", "serial") if target.get(name)]
    return "%s (%s)" % (path, ", ".join(label)) if label else str(path)


def option_table(options: t.Mapping[str, t.Any]) -> str:
    """List the options of the ring. They hold no secret; to be safe, a name that looks secret is left out."""
    given = {name: value for name, value in options.items() if value not in ("", [], None)}
    shown = {name: given[name] for name in sorted(given) if "secret" not in name}
    return '<table class="facts">%s</table>' % "".join(
        "<tr><td>%s</td><td>%s</td></tr>" % (text(name.replace("dolly_ring_", "")), text(value))
        for name, value in shown.items()
    )
