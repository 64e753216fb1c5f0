# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page: Markdown between two markers of a file whose other text stays as it is. Pure but for `write`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Sequence

from .claims import Claim, claims
from .contenders import BY_NAME
from .options import Group
from .statistics import Results, cpu, cpu_all, peak, rate, seconds, wall

BEGIN = "<!-- begin: figures written by make bench -->"
END = "<!-- end: figures written by make bench -->"
_COLUMNS = (
    ("seconds", seconds, "%.2f"),
    ("with start", wall, "%.2f"),
    ("MB/s", rate, "%.0f"),
    ("CPU s/GB/hop", cpu, "%.2f"),
    ("CPU with start", cpu_all, "%.2f"),
    ("peak MiB", peak, "%.0f"),
)
_NEW_PAGE = """\
<!--
SPDX-FileCopyrightText: 2026 The dolly.ring authors
SPDX-License-Identifier: GPL-3.0-or-later
-->
# Performance

%s
%s
"""
_HOW = """\
Every figure is the median of the rounds, the least and the greatest in brackets. In a round all contenders take
their turn on the same random data, and a ratio is taken within a round. *Seconds* run from the first 256 KiB at
the first node to the end of the last node's process, seen from outside in the same way for everybody; on disks a
`fsync` of every target is included. *With start* begins when the sender's process is started. *MB/s* is what every
node gets. *CPU* is user and system time of all processes in these seconds, by GB (10^9 bytes) and hop; *CPU with
start* counts what they took before, too. *Peak* is the resident memory of the largest node. Sources are in memory.
Huge pages halve what tmpfs itself costs, so that more of what is measured is the contender.
`ansible.builtin.copy` runs over local connections, so no network slows it down; its time is all of `ansible-playbook`.
"""


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the first column is text, the others are figures."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| %s |" % " | ".join(line) for line in lines)


def claims_table(results: Results) -> str:
    """What has to hold, and whether it did."""
    return table(("claim", "limit", "measured", "met"), [_claim_row(claim) for claim in claims(results)])


def _claim_row(claim: Claim) -> List[str]:
    limit = "%s %g" % ("at least" if claim.is_minimum else "at most", claim.limit)
    if claim.measured is None:
        return [claim.sentence, limit, claim.note or "not measured", "no" if claim.note else "-"]
    return [claim.sentence, limit, claim.measured.text("%.2f"), "yes" if claim.is_met else "**no**"]


def group_table(results: Results, group: Group) -> str:
    """One row for each contender."""
    head = ["", *(title for title, _figure, _form in _COLUMNS), "speed to mbuffer", "speed to bare"]
    names = dict.fromkeys(one.contender for one in results.all if one.group == group)
    return table(head, [_row(results, group, name) for name in names])


def _row(results: Results, group: Group, name: str) -> List[str]:
    title = BY_NAME[name].title if name in BY_NAME else name
    errors = results.errors(group, name)
    spreads = [(results.spread(group, name, figure), form) for _title, figure, form in _COLUMNS]
    row = [title + (" (failed: %s)" % errors[0] if errors else "")]
    row += [spread.text(form) if spread else "-" for spread, form in spreads]
    for other in ("mbuffer", "bare"):
        ratio = results.ratio((group, name), (group, other), rate)
        row.append(ratio.text("%.2f") if ratio and other != name else "-")
    return row


def markdown(run: Dict[str, Any], results: Results, drawn: Sequence[str]) -> str:
    """What stands between the markers."""
    facts = run["machine"]
    about = (
        "Measured on %s, in %s minutes: %s cores (%s), %s MiB of memory, Linux %s, Python %s, %s, disk: %s, "
        "tmpfs with %s pages."
    ) % (
        run["date"][:10], run["minutes"], facts["cores"], facts["processor"], facts["memory_mib"],
        facts["kernel"], facts["python"], facts["network"], facts["disk"],
        facts["pages"],
    )  # fmt: skip
    parts = [about, _HOW.strip(), "## What has to hold", claims_table(results)]
    if drawn:
        parts += ["## At a glance", "\n".join("![%s](performance/%s)" % (_alt(name), name) for name in drawn)]
    parts.append("## All figures")
    for group in results.groups():
        parts += ["### %s, %s" % (group.title.capitalize(), _size(group)), group_table(results, group)]
    if run["notes"]:
        parts += ["## Notes", "\n".join("- " + note for note in run["notes"])]
    return "\n\n".join(parts)


def _alt(name: str) -> str:
    return name.rpartition(".")[0].replace("-", " ")


def _size(group: Group) -> str:
    if group.data < group.size:
        return "%d MiB with %d MiB of data" % (group.size >> 20, group.data >> 20)
    return "%d MiB" % (group.size >> 20)


def insert(page: str, text: str) -> str:
    """`page` with `text` between its markers, which are added at the end where they are missing."""
    if BEGIN not in page or END not in page:
        page = page.rstrip("\n") + "\n\n%s\n%s\n" % (BEGIN, END)
    head, _begin, rest = page.partition(BEGIN)
    _old, _end, tail = rest.partition(END)
    return "%s%s\n\n%s\n\n%s%s" % (head, BEGIN, text.strip("\n"), END, tail)


def write(path: Path, text: str) -> None:
    """Put `text` into the page at `path`, made if it is not there."""
    page = path.read_text(encoding="utf-8") if path.exists() else _NEW_PAGE % (BEGIN, END)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(insert(page, text), encoding="utf-8")
