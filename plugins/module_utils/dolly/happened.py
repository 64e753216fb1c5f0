# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What happened to a node beside its result, in a few words for a table."""

from __future__ import annotations

from typing import Any, Mapping


def happened(node: Mapping[str, Any]) -> str:
    """Late, demoted, healed and how long that took; empty for most nodes. *node*: its entry in a result."""
    words = [word for word in ("late", "demoted") if node.get(word)]
    times = int(node.get("healed") or 0)
    if times:
        words.append("healed %s (%.1f s without data)" % (_times(times), float(node.get("stalled") or 0)))
    return ", ".join(words)


def _times(count: int) -> str:
    return "once" if count == 1 else "%d times" % count
