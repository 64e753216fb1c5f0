# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the server does when no node has moved for too long: it gives up single nodes, not the run.

A parent gives up a child that reports itself hung. That leaves a node that stands still and reports that it
waits for its parent. Either the parent or the node is at fault, and no node can see which. So the server
serves such a node itself; if the node still stands still, the server gives it up, and its children get
another parent.
"""

from __future__ import annotations

import collections
from dataclasses import dataclass
from typing import Counter, Dict, Iterable, List, Optional

#: How often the server takes over the same node: another parent may adopt it meanwhile, acting on old
#: snapshots.
_TRIES = 3


@dataclass(frozen=True)
class Standing:
    """A node that has not finished the run, its parent, and whether it waits for that parent."""

    rank: int
    parent: Optional[int]
    is_waiting: bool


@dataclass(frozen=True)
class Remedy:
    """The ranks that the server serves itself, and those it gives up. Both empty: nothing can be done."""

    take_over: List[int]
    give_up: List[int]


class Standstill:
    """Decides on nodes that stand still, and counts how often the server took over each."""

    def __init__(self) -> None:
        self._taken: Counter[int] = collections.Counter()

    def look(self, nodes: Iterable[Standing]) -> Remedy:
        """Return what to do when none of these nodes has moved for too long."""
        known: Dict[int, Standing] = {node.rank: node for node in nodes}
        first = [node for node in known.values() if not self._is_behind(node, known)]
        new = [node.rank for node in first if node.parent != 0 and self._taken[node.rank] < _TRIES]
        if new:
            self._taken.update(new)
            return Remedy(new, [])
        return Remedy([], [node.rank for node in first])

    @staticmethod
    def _is_behind(node: Standing, known: Dict[int, Standing]) -> bool:
        """Whether the node waits for a parent that stands still too, and so may not be at fault."""
        return node.is_waiting and node.parent in known
