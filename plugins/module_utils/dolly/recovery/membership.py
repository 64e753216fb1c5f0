# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which nodes are children of which, and which still need a parent, by the plan and the snapshots."""

from __future__ import annotations

from typing import Callable, Collection, List, Optional, Protocol, Tuple

from ..plan import topology


class OwnStatus(Protocol):
    """The part of a node's newest snapshot that membership depends on."""

    @property
    def parent(self) -> Optional[int]:
        """The rank of its parent, as the node itself reported."""

    @property
    def observed_by(self) -> Optional[int]:
        """The rank that could not reach the node and said so; None if the snapshot is the node's own."""

    @property
    def is_terminal(self) -> bool:
        """Whether the node itself has reported a terminal state."""

    @property
    def is_served(self) -> bool:
        """Whether the node itself has reported that it needs no more bytes."""


class Words(Protocol):
    """The newest snapshots of all nodes; `Board` implements it."""

    def get(self, rank: int) -> Optional[OwnStatus]:
        """The newest snapshot of a node, its own or an observer's."""

    def children_of(self, rank: int) -> List[int]:
        """The ranks that report `rank` as their parent."""


class Membership:
    """Parents and children in one ring. `members`: the ranks that take part, None while undecided."""

    def __init__(self, fanout: int, count: int, words: Words) -> None:
        self.members: Optional[Collection[int]] = None
        self._fanout = fanout
        self._count = count
        self._words = words

    def children_of(self, rank: int) -> List[int]:
        """A node's children, ascending: by their own reports, or by the plan where they name no parent."""
        found = {child for child in self._words.children_of(rank) if rank < child < self._count}
        for child in topology.children(rank, self._fanout, self._count):
            word = self._words.get(child)
            if word is None or word.parent is None:
                found.add(child)
        return sorted(found)

    def is_over(self, rank: int) -> bool:
        """Whether the run no longer waits for this node itself."""
        word = self._words.get(rank)
        # An observer could not reach the node: if the node is alive, it will knock.
        return word is not None and (word.is_terminal or word.observed_by is not None)

    def has_work(self, rank: int) -> bool:
        """Whether this node, or a node below it, still has to get the image.

        A rank that is no member has no work, and its subtree is not searched: members below it are considered
        when the parent of their parent learns of them.
        """
        return self._is_anybody(rank, lambda candidate: not self.is_over(candidate))

    def lacks(self, rank: int) -> bool:
        """Whether this node, or a node below it, may still need bytes."""
        return self._is_anybody(rank, self._wants_bytes)

    def _wants_bytes(self, rank: int) -> bool:
        word = self._words.get(rank)
        return word is None or not (word.is_served or word.observed_by is not None)

    def _is_anybody(self, rank: int, is_meant: Callable[[int], bool]) -> bool:
        pending = [rank]
        while pending:  # no recursion: a chain may be longer than the interpreter's recursion limit
            candidate = pending.pop()
            if self.members is not None and candidate not in self.members:
                continue
            if is_meant(candidate):
                return True
            pending.extend(self.children_of(candidate))
        return False

    def orphans_of(self, rank: int) -> Tuple[int, ...]:
        """Return the children of a failed node that need another parent."""
        return tuple(child for child in self.children_of(rank) if self.has_work(child))
