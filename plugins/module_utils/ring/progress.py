# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Progress of a run in a few numbers, for the control node, from a sender's status file.

The status of a thousand nodes is half a megabyte, so it is summarized on the server.
"""

from __future__ import annotations

import typing as t

#: States of nodes that are out of the run.
LOST = ("failed", "lost", "unreachable", "excluded")
#: What a node may spend its time on, by the keys of dolly_client's return value `times`.
WORDS = {
    "receive": "what it is sent",
    "write": "writing its target",
    "read": "reading its target back",
    "hash": "digesting",
    "flush": "flushing its target",
}


def aggregate(status: t.Mapping[str, t.Any]) -> t.Dict[str, t.Any]:
    """Return the numbers of a sender's *status*; the slowest node is the one that holds the fewest bytes."""
    nodes = [node for node in status.get("nodes") or () if isinstance(node, dict)]
    moving = [node for node in nodes if node.get("state") not in LOST and node.get("state") != "done"]
    late = [node for node in moving if is_late(node)]
    # A node that holds the image and serves its children does not delay the run.
    lacking = [node for node in moving if node.get("state") != "serving"] or moving
    in_ring = [node for node in lacking if not is_late(node)] or lacking
    slowest = min(in_ring, key=lambda node: (node.get("held") or 0, -(node.get("rank") or 0)), default={})
    size = max([node.get("total") or 0 for node in nodes], default=0) or int(status.get("size") or 0)
    return {
        "percent": float(status.get("percent") or 0.0),
        "held": int(slowest.get("held") or 0),
        "size": size,
        "total": int(status.get("total") or 0) or len(nodes),
        "done": sum(1 for node in nodes if node.get("state") == "done"),
        "lost": sum(1 for node in nodes if node.get("state") in LOST),
        "late": len(late),
        "slowest": str(slowest.get("name") or ""),
        "limited_by": limit_of(slowest),
    }


def is_late(node: t.Mapping[str, t.Any]) -> bool:
    """Whether the node goes on at its own pace, apart from the others."""
    detail = node.get("detail") or {}
    return any(node.get(name) or detail.get(name) for name in ("late", "demoted"))


def limit_of(node: t.Mapping[str, t.Any]) -> str:
    """Return what limits the node: by its own account, else what took most of its time."""
    detail = node.get("detail") or {}
    said = node.get("limited_by") or detail.get("limited_by")
    times = detail.get("times")
    if said or not isinstance(times, dict):
        return str(said or "")
    known = {what: times[what] for what in WORDS if isinstance(times.get(what), (int, float))}
    return WORDS[max(known, key=lambda what: known[what])] if known else ""
