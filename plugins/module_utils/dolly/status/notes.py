# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Short notes on what happened to a node, for the result table."""

from __future__ import annotations

from typing import Any, List, Mapping


def happened(node: Mapping[str, Any]) -> str:
    """Return short notes on a node (resumed, late, demoted, healed), for the result table.

    Empty for an uneventful run. *node*: its entry in a result.
    """
    words = _there_already(node)
    words += [word for word in ("late", "demoted") if node.get(word)]
    times = int(node.get("healed") or 0)
    if times:
        words.append("healed %s (%.1f s without data)" % (_times(times), float(node.get("stalled") or 0)))
    if node.get("half_written"):
        words.append("half-written")
    return ", ".join(words)


def _there_already(node: Mapping[str, Any]) -> List[str]:
    equal, resumed = int(node.get("equal_bytes") or 0), int(node.get("resumed_bytes") or 0)
    if equal and equal == node.get("bytes") and node.get("state") == "done" and not node.get("changed"):
        return ["unchanged"]
    if equal:
        return ["%.1f MB were equal" % (equal / 1e6)]
    return ["%.1f MB from an earlier run" % (resumed / 1e6)] if resumed else []


def _times(count: int) -> str:
    return "once" if count == 1 else "%d times" % count
