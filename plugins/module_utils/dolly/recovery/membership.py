# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is whose child, and which of them still need a parent: answered from the plan and from what nodes say."""

from __future__ import annotations

from typing import Callable, Collection, List, Optional, Protocol, Tuple

from ..plan import topology


class OwnStatus(Protocol):
    """The part of a node's newest snapshot that matters here."""

    @property
    def parent(self) -> Optional[int]:
        """The rank that feeds it, by its own word."""

    @property
    def observed_by(self) -> Optional[int]:
        """Who says so, when it is somebody who could not talk to the node."""

    @property
    def is_terminal(self) -> bool:
        """Whether the node itself has said its last word."""

    @property
    def is_served(self) -> bool:
        """Whether the node itself has said that it wants no byte any more."""


class Words(Protocol):
    """What is known about all nodes; a `Board` is one."""

    def get(self, rank: int) -> Optional[OwnStatus]:
        """The newest word of, or about, a node."""

    def children_of(self, rank: int) -> List[int]:
        """The ranks that name `rank` as their parent."""


class Membership:
    """The family of one ring. `members` are the ranks that take part, None while that is not decided."""

    def __init__(self, fanout: int, count: int, words: Words) -> None:
        self.members: Optional[Collection[int]] = None
        self._fanout = fanout
        self._count = count
        self._words = words

    def children_of(self, rank: int) -> List[int]:
        """The children of a node, ascending: by their own word where there is one, else by the plan."""
        found = {child for child in self._words.children_of(rank) if rank < child < self._count}
        for child in topology.children(rank, self._fanout, self._count):
            word = self._words.get(child)
            if word is None or word.parent is None:
                found.add(child)
        return sorted(found)

    def is_over(self, rank: int) -> bool:
        """Whether nobody waits for this node itself any more."""
        word = self._words.get(rank)
        # Where somebody tried and could not talk to it: if it lives it will knock.
        return word is not None and (word.is_terminal or word.observed_by is not None)

    def has_work(self, rank: int) -> bool:
        """Whether this node, or one that is to be reached through it, still has to get the image.

        Who is no member has no work, and neither have those below it here: they are members of their own, and
        are asked about when their parent's parent hears of it.
        """
        return self._is_anybody(rank, lambda candidate: not self.is_over(candidate))

    def lacks(self, rank: int) -> bool:
        """Whether this node, or one that is to be reached through it, may still want bytes."""
        return self._is_anybody(rank, self._wants_bytes)

    def _wants_bytes(self, rank: int) -> bool:
        word = self._words.get(rank)
        return word is None or not (word.is_served or word.observed_by is not None)

    def _is_anybody(self, rank: int, is_meant: Callable[[int], bool]) -> bool:
        pending = [rank]
        while pending:  # not by recursion: a chain may be longer than the stack of the interpreter
            candidate = pending.pop()
            if self.members is not None and candidate not in self.members:
                continue
            if is_meant(candidate):
                return True
            pending.extend(self.children_of(candidate))
        return False

    def orphans_of(self, rank: int) -> Tuple[int, ...]:
        """The children of a node that is gone which need another parent."""
        return tuple(child for child in self.children_of(rank) if self.has_work(child))
