# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which absent nodes the server dials during a run, because they missed its start or were lost.

A node that starts late knows no other node, and its place in the plan was dropped long ago. So the server
keeps trying whether the node answers now.
"""

from __future__ import annotations

from typing import Dict, List, Mapping

#: Seconds between two attempts to reach the same node.
PAUSE_S = 3.0
#: A lost member may only have lost its parent, and first looks for a new parent itself.
LOST_PAUSE_S = 10.0
#: Nodes dialled at once: each attempt takes a thread until it has an answer.
MOST_AT_ONCE = 8


class Rejoin:
    """When to dial each absent node. Call `look` several times a second."""

    def __init__(self) -> None:
        self._due: Dict[int, float] = {}

    def look(self, absent: Mapping[int, bool], now: float) -> List[int]:
        """The ranks to dial at time `now` (seconds). `absent`: by rank, whether the node was a member."""
        for rank in set(self._due) - set(absent):
            del self._due[rank]
        for rank, was_member in absent.items():
            self._due.setdefault(rank, now + (LOST_PAUSE_S if was_member else PAUSE_S))
        due = sorted((at, rank) for rank, at in self._due.items() if at <= now)
        found = [rank for _at, rank in due[:MOST_AT_ONCE]]
        for rank in found:
            self._due[rank] = now + PAUSE_S
        return found
