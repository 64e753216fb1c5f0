# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the server does when nothing has moved anywhere for too long: it parts with single nodes, not with the run.

A parent gives up a child that says itself that it is hung. What is left is a node that stands still and says that it
waits for its parent. Either its parent or the node is at fault, and nobody can see which. So the server serves such
nodes itself; one that stands still even then is given up, and its children get another parent.
"""

from __future__ import annotations

import collections
from dataclasses import dataclass
from typing import Counter, Dict, Iterable, List, Optional

#: So often the server takes the same node over: another one may adopt it from news that is old by then.
_TRIES = 3


@dataclass(frozen=True)
class Standing:
    """A node that is not through with the run, its parent, and whether it waits for that one."""

    rank: int
    parent: Optional[int]
    is_waiting: bool


@dataclass(frozen=True)
class Remedy:
    """Ranks that the server serves itself from now on, or gives up. Both empty: nothing can be done."""

    take_over: List[int]
    give_up: List[int]


class Standstill:
    """Remembers whom the server has taken over."""

    def __init__(self) -> None:
        self._taken: Counter[int] = collections.Counter()

    def look(self, nodes: Iterable[Standing]) -> Remedy:
        """What to do now that none of these nodes has moved for too long."""
        known: Dict[int, Standing] = {node.rank: node for node in nodes}
        first = [node for node in known.values() if not self._is_behind(node, known)]
        new = [node.rank for node in first if node.parent != 0 and self._taken[node.rank] < _TRIES]
        if new:
            self._taken.update(new)
            return Remedy(new, [])
        return Remedy([], [node.rank for node in first])

    @staticmethod
    def _is_behind(node: Standing, known: Dict[int, Standing]) -> bool:
        """Whether its parent stands still too: then it may be innocent."""
        return node.is_waiting and node.parent in known
