# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which node feeds which: a tree over ranks, in which a parent's rank is always lower than its child's.

Rank 0 is the server. The server always counts as alive, because there is no run without it; it is the last
resort of every orphan.
"""

from __future__ import annotations

from typing import AbstractSet, List


def parent(rank: int, fanout: int) -> int:
    """Return the rank that feeds ``rank``. ValueError: rank 0, which has no parent, or a bad fanout."""
    _check(rank, fanout)
    if rank == 0:
        raise ValueError("rank is 0: the server has no parent, expected at least 1")
    return (rank - 1) // fanout


def children(rank: int, fanout: int, count: int) -> range:
    """Return the ranks that ``rank`` feeds; ``count`` is the number of ranks, the server's included.

    ValueError: ``rank`` is not below ``count``, or a bad fanout.
    """
    _check(rank, fanout)
    if rank >= count:
        raise ValueError("rank is %d, expected less than the %d ranks of the plan" % (rank, count))
    first = rank * fanout + 1
    return range(min(first, count), min(first + fanout, count))


def ancestors(rank: int, fanout: int) -> List[int]:
    """Return the parent of ``rank``, the parent's parent, and so on; the last is 0. Empty for rank 0.

    ValueError: a negative rank or a bad fanout.
    """
    _check(rank, fanout)
    found = []
    while rank > 0:
        rank = (rank - 1) // fanout
        found.append(rank)
    return found


def is_within(rank: int, top: int, fanout: int) -> bool:
    """Return whether ``rank`` is ``top`` or below it. ValueError: a negative rank or a bad fanout."""
    _check(rank, fanout)
    if fanout == 1:
        return rank >= top
    while rank > top:
        rank = (rank - 1) // fanout
    return rank == top


def depth(rank: int, fanout: int) -> int:
    """Return the number of hops from the server to ``rank``. ValueError: bad arguments."""
    return len(ancestors(rank, fanout))


def effective_parent(rank: int, fanout: int, alive: AbstractSet[int]) -> int:
    """Return the nearest ancestor that is alive. ValueError: rank 0 or a bad fanout."""
    above = parent(rank, fanout)
    while above != 0 and above not in alive:
        above = (above - 1) // fanout
    return above


def effective_children(rank: int, fanout: int, count: int, alive: AbstractSet[int]) -> List[int]:
    """Return the ranks in ``alive`` whose effective parent is ``rank``, ascending.

    A rank that is not alive has no children. ValueError: as for ``children``.
    """
    pending = list(children(rank, fanout, count))
    if rank != 0 and rank not in alive:
        return []
    found = []
    while pending:
        candidate = pending.pop()
        if candidate in alive:
            found.append(candidate)
        else:
            pending.extend(children(candidate, fanout, count))
    return sorted(found)


def _check(rank: int, fanout: int) -> None:
    if rank < 0:
        raise ValueError("rank is %d, expected at least 0" % rank)
    if fanout < 1:
        raise ValueError("fanout is %d, expected at least 1" % fanout)
