# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a node reacts when a neighbour fails: events in, actions out, time as an argument.

A parent adopts the children of a child that is gone. A node without a parent waits a moment to be adopted,
then sends a knock to its ancestors, nearest first, the server last. The ancestor that gets the knock dials
the node: the parent always opens data connections, so a node that cannot be dialled need not accept one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Dict, List, Optional, Sequence, Set, Tuple, Union

#: How long an orphan waits for its grandparent before it looks for an ancestor itself.
ADOPTION_PATIENCE_S = 2.0
#: How long an ancestor that received a knock may take to dial.
ANSWER_PATIENCE_S = 3.0
#: How long a failed node waits for the final snapshots of its children, which it passes up.
PART_PATIENCE_S = 1.0
#: How long children look for an ancestor when their parent ended because it found none itself. Shorter than
#: the full patience: otherwise the nodes of a long chain would give up one after another, each after a full
#: patience.
ORPHANED_PATIENCE_S = 10.0
#: A node that has not delivered its final snapshot looks for a new parent only as long as it takes to find
#: this many ancestors silent.
UNHEARD = 4


@dataclass(frozen=True)
class SetUp:
    """The plan has arrived and names this node's children."""

    children: Tuple[int, ...]


@dataclass(frozen=True)
class ChildLinked:
    """A dialled child answered."""

    rank: int


@dataclass(frozen=True)
class ChildGone:
    """The link to a child has ended; `orphans` are the child's children that still have work to do."""

    rank: int
    outcome: str
    reason: str
    orphans: Tuple[int, ...] = ()


@dataclass(frozen=True)
class Knocked:
    """A node asks to be dialled."""

    rank: int


@dataclass(frozen=True)
class ChildFellBehind:
    """A child is too slow for the nodes behind it; `orphans` are its children that still have work to do."""

    rank: int
    reason: str
    orphans: Tuple[int, ...] = ()


@dataclass(frozen=True)
class MadeLeaf:
    """This node is a leaf from now on: too slow or too late to have children, or its disk cannot be read."""


@dataclass(frozen=True)
class ParentFound:
    """A parent has connected to this node."""

    rank: int


@dataclass(frozen=True)
class ParentGone:
    """The parent is gone; without a new parent this node gives up after `patience_s` seconds."""

    rank: int
    patience_s: float


@dataclass(frozen=True)
class KnockFailed:
    """The ancestor that the last knock was sent to cannot be reached."""

    rank: int


@dataclass(frozen=True)
class Whole:
    """This node has every byte: it can serve orphans even while it has no parent itself."""


@dataclass(frozen=True)
class Settled:
    """This node lacks nothing. It needs a parent only to report that, for at most `patience_s` seconds."""

    patience_s: float


@dataclass(frozen=True)
class Ticked:
    """Time has passed."""


@dataclass(frozen=True)
class DialChild:
    """Connect to this node as its parent."""

    rank: int
    is_adoption: bool


@dataclass(frozen=True)
class DropChild:
    """End the link to this node: a new link to it follows."""

    rank: int


@dataclass(frozen=True)
class DemoteChild:
    """Tell a child that it is a leaf from now on."""

    rank: int


@dataclass(frozen=True)
class DeclareChild:
    """Tell the ring that a child is lost or unreachable."""

    rank: int
    state: str
    reason: str


@dataclass(frozen=True)
class KnockAt:
    """Ask an ancestor to dial this node."""

    rank: int


@dataclass(frozen=True)
class GiveUp:
    """No parent will send what this node lacks, or take its report that it lacks nothing."""

    reason: str


Event = Union[
    SetUp,
    ChildLinked,
    ChildGone,
    Knocked,
    ChildFellBehind,
    MadeLeaf,
    ParentFound,
    ParentGone,
    KnockFailed,
    Whole,
    Settled,
    Ticked,
]
Action = Union[DialChild, DropChild, DemoteChild, DeclareChild, KnockAt, GiveUp]

#: The state that a parent reports for a child, by the outcome of the link. Other outcomes need no report.
_DECLARED = {"lost": "lost", "unreachable": "unreachable"}


class Healer:
    """The decisions of one node. `ancestors` are ranks, nearest first, the server (0) last."""

    def __init__(self, rank: int, ancestors: Sequence[int]) -> None:
        self.rank = rank
        self.adopted = 0
        #: Whether this node must not have children: it is too slow, too late, or its disk cannot be read.
        self.is_leaf = False
        self._ancestors = tuple(ancestors)
        self._children: Dict[int, str] = {}
        self._orphan_since: Optional[float] = None
        self._give_up_at = 0.0
        self._next_knock_at = 0.0
        self._next_ancestor = 0
        self._is_whole = False
        self._settled: Optional[Settled] = None
        #: Ancestors that could not be reached in this round; kept until the next round begins.
        self._unreached: Set[int] = set()

    @property
    def children(self) -> List[int]:
        """Ranks of the children that are linked or being dialled."""
        return sorted(self._children)

    @property
    def is_orphan(self) -> bool:
        """Whether the parent is gone and no new parent has connected."""
        return self._orphan_since is not None

    @property
    def _is_helpless(self) -> bool:
        """Whether nobody should be given to this node: it lacks bytes and has nobody to ask, or is no parent at all."""
        return self.is_leaf or (self.is_orphan and not self._is_whole)

    def handle(self, event: Event, now: float) -> List[Action]:
        """The actions that follow from an event at time `now` (seconds, any origin)."""
        if isinstance(event, SetUp):
            return [self._dial(rank, False) for rank in event.children if rank not in self._children]
        if isinstance(event, ChildLinked):
            self._children[event.rank] = "linked"
            return []
        if isinstance(event, ChildGone):
            return self._child_gone(event)
        if isinstance(event, Knocked):
            return self._knocked(event.rank)
        if isinstance(event, ChildFellBehind):
            return [DemoteChild(event.rank), *self._adopt(event.orphans)]
        if isinstance(event, MadeLeaf):
            return self._made_leaf()
        return self._handle_parent(event, now)

    def _made_leaf(self) -> List[Action]:
        """Drop the children that are still being dialled; this node's parent adopts the linked ones."""
        self.is_leaf = True
        dialled = [rank for rank in self.children if self._children[rank] == "dialling"]
        for rank in dialled:
            del self._children[rank]
        return [DropChild(rank) for rank in dialled]

    def _adopt(self, orphans: Sequence[int]) -> List[Action]:
        found = [rank for rank in orphans if rank > self.rank and rank not in self._children]
        self.adopted += len(found)
        return [self._dial(rank, True) for rank in found]

    def _dial(self, rank: int, is_adoption: bool) -> DialChild:
        self._children[rank] = "dialling"
        return DialChild(rank, is_adoption)

    def _child_gone(self, event: ChildGone) -> List[Action]:
        self._children.pop(event.rank, None)
        actions: List[Action] = []
        if event.outcome in _DECLARED:
            actions.append(DeclareChild(event.rank, _DECLARED[event.outcome], event.reason))
        if event.outcome in ("superseded", "orphaned"):
            return actions  # it lives, under another parent or looking for one, and its children with it
        if self._is_helpless:
            return actions  # what is known here may be old, and there is no help to be had: they will knock
        return actions + self._adopt(event.orphans)

    def _knocked(self, rank: int) -> List[Action]:
        if rank <= self.rank:
            return []  # a parent's rank is lower than its child's: so there are no loops
        if self._is_helpless:
            return []  # no help to be had here; the caller asks the next ancestor
        state = self._children.get(rank)
        if state == "dialling":
            return []
        actions: List[Action] = [DropChild(rank)] if state == "linked" else []
        self.adopted += 1
        actions.append(self._dial(rank, True))
        return actions

    def _handle_parent(self, event: Event, now: float) -> List[Action]:
        if isinstance(event, ParentFound):
            self._orphan_since = None
        elif isinstance(event, ParentGone):
            self._orphan_since = now
            self._give_up_at = now + min(event.patience_s, self._settled.patience_s if self._settled else math.inf)
            self._next_knock_at = now + ADOPTION_PATIENCE_S
            self._next_ancestor = self._index_above(event.rank)
            self._unreached.clear()
        elif isinstance(event, KnockFailed):
            self._unreached.add(event.rank)
            if not (self._is_deserted if self._settled else self._is_round_over):
                self._next_knock_at = now
        elif isinstance(event, Whole):
            self._is_whole = True
        elif isinstance(event, Settled):
            self._settled, self._is_whole = event, True
            self._give_up_at = min(self._give_up_at, now + event.patience_s)
            self._unreached.clear()  # ask once more the ancestors that were busy or away
        if self._orphan_since is None:
            return []
        return self._look_for_parent(now)

    def _index_above(self, rank: int) -> int:
        """Return the index of the first ancestor to knock at: the nearest above the parent that is gone."""
        for index, ancestor in enumerate(self._ancestors):
            if ancestor < rank:
                return index
        return 0

    def _look_for_parent(self, now: float) -> List[Action]:
        is_late = now >= self._give_up_at
        # The children get all that they lack from this node; while it only flushes, the node itself lacks
        # nothing.
        is_needed = bool(self._children) if self._settled else self._is_whole
        if not is_needed and (is_late or (self._settled and self._is_deserted)):
            self._orphan_since = None
            return [GiveUp("no parent took this node in time" if is_late else "no ancestor can be reached")]
        if now < self._next_knock_at or not self._ancestors:
            return []
        if self._is_deserted:
            self._unreached.clear()  # another round
        ancestor = self._ancestors[self._next_ancestor % len(self._ancestors)]
        self._next_ancestor += 1
        self._next_knock_at = now + ANSWER_PATIENCE_S
        return [KnockAt(ancestor)]

    @property
    def _is_deserted(self) -> bool:
        """Whether no ancestor can be reached."""
        return bool(self._ancestors) and self._unreached.issuperset(self._ancestors)

    @property
    def _is_round_over(self) -> bool:
        """Whether all ancestors were tried since the last pause: a refused knock must not become a busy loop."""
        return not self._ancestors or self._next_ancestor % len(self._ancestors) == 0
