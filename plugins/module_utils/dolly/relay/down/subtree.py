# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which nodes a child may report on: itself, and the nodes below it in the plan.

However a ring heals, the parent of a node is one of its ancestors in the plan: a grandparent adopts it, or it
knocks at an ancestor. So what is below a link in the ring is below it in the plan, too, and the last node of
a chain reports on itself alone. A node with a link of its own to this one is believed on that link only.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, List

from ...plan import topology
from ...plan.job import Plan
from ...status.snapshot import Board, Snapshot
from ..context import Context

#: JSON of a snapshot's `detail` and `error`, in bytes. Every node above keeps them.
MAX_EXTRAS = 16 * 1024
#: How many restarts of a node beyond the known ones are believed. A forged number that no process reaches
#: would make the node's own snapshots count for nothing.
_MAX_STARTS = 1024
_MAX_COMPLAINTS = 20


class Subtree:
    """Puts snapshots from children on the board. `is_linked`: whether a rank has a link of its own."""

    def __init__(self, context: Context, plan: Plan, board: Board, is_linked: Callable[[int], bool]) -> None:
        self._context = context
        self._plan = plan
        self._board = board
        self._is_linked = is_linked
        self._complaints = 0
        self._held: Dict[int, Snapshot] = {}

    def tell(self, via: int, data: Dict[str, Any]) -> bool:
        """Take a snapshot that the child `via` has sent. Returns whether the board changed."""
        try:
            snapshot = self._read(via, data)
        except ValueError as error:
            self._complain(via, error)
            return False
        if snapshot.rank != via and self._is_linked(snapshot.rank):
            self._held[snapshot.rank] = snapshot
            return False
        return self._board.merge(snapshot)

    def link_ended(self, rank: int) -> bool:
        """Use what others reported of a node meanwhile, unless it has ended. True if the board changed.

        The node may have had another parent for a while before its old connection was found to be dead.
        """
        snapshot, known = self._held.pop(rank, None), self._board.get(rank)
        return snapshot is not None and (known is None or not known.is_terminal) and self._board.merge(snapshot)

    def _read(self, via: int, data: Dict[str, Any]) -> Snapshot:
        snapshot = Snapshot.from_dict(trimmed(data))
        rank, nodes = snapshot.rank, self._plan.nodes
        if not via <= rank < len(nodes) or not self._is_below(rank, via):
            raise ValueError("it speaks of rank %d, which is not below it" % rank)
        if snapshot.name != nodes[rank].name:
            raise ValueError("it speaks of %s at the place of %s" % (snapshot.name, nodes[rank].name))
        if snapshot.parent is not None and not (snapshot.parent < rank and self._is_below(rank, snapshot.parent)):
            raise ValueError("rank %d is no parent for rank %d" % (snapshot.parent, rank))
        observer = snapshot.observed_by
        if observer is not None:
            is_above = via <= observer < rank and self._is_below(rank, observer) and self._is_below(observer, via)
            if not is_above or snapshot.state == "excluded":
                raise ValueError("rank %d cannot say that %s is %s" % (observer, snapshot.name, snapshot.state))
        known = self._board.get(rank)
        if snapshot.incarnation > (known.incarnation if known is not None else 0) + _MAX_STARTS:
            raise ValueError("%s was not started %d times" % (snapshot.name, snapshot.incarnation))
        return snapshot

    def _is_below(self, rank: int, top: int) -> bool:
        return topology.is_within(rank, top, self._plan.fanout)

    def _complain(self, via: int, error: ValueError) -> None:
        """Log only the first complaints: they must not fill a disk."""
        self._complaints += 1
        if self._complaints <= _MAX_COMPLAINTS:
            name = self._plan.nodes[via].name
            self._context.log("ignored what %s reported, which makes no sense: %s" % (name, error))


def trimmed(data: Dict[str, Any]) -> Dict[str, Any]:
    """A snapshot cut to size: an error keeps its message, details are left out."""
    room = [MAX_EXTRAS]
    extras: Dict[str, Any] = {}
    if not _fits(data.get("error"), room):
        error = data["error"] if isinstance(data["error"], dict) else {}
        said = {name: error.get(name) for name in ("kind", "message", "fault")}
        extras["error"] = {name: text[:4096] for name, text in said.items() if isinstance(text, str)}
        room = [MAX_EXTRAS // 4]
    if not _fits(data.get("detail"), room):
        extras["detail"] = {}
    return {**data, **extras} if extras else data


def _fits(value: Any, room: List[int]) -> bool:
    """Whether a JSON value fits into what is left of `room`, in bytes; stops as soon as it does not."""
    pending = [value]
    while pending and room[0] >= 0:
        item = pending.pop()
        room[0] -= 8
        if isinstance(item, str):
            room[0] -= len(item)
        elif isinstance(item, dict):
            room[0] -= len(item)
            if room[0] >= 0:
                pending.extend(item.keys())
                pending.extend(item.values())
        elif isinstance(item, list) and len(item) <= room[0]:
            pending.extend(item)
        elif isinstance(item, list):
            room[0] = -1
    return room[0] >= 0
