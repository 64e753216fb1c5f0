# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node's children by how fast they take the image: which are too slow, and which get only spare rate."""

from __future__ import annotations

from typing import Dict, List, Mapping, Optional

from ...recovery.leaf_throttle import Appetite, LeafThrottle
from ...recovery.membership import Membership
from ...recovery.slow_child import Pace, SlowChildWatch, Verdict
from ...recovery.stalled_child import OWN_TARGET
from ...status.snapshot import Board, Snapshot
from ..image.ledger import Ledger
from .child import ChildLink


class Throttle:
    """Gives the watches what a parent knows of its children. `rank`: the parent's own."""

    def __init__(self, rank: int, ledger: Ledger, board: Board, membership: Membership, min_rate: int) -> None:
        self._rank = rank
        self._ledger = ledger
        self._board = board
        self._membership = membership
        self._watch = SlowChildWatch(min_rate)
        self._leftovers = LeafThrottle()
        self._granted_at: Optional[float] = None

    def start(self, now: float) -> None:
        """From now on this node receives and sends bytes."""
        with self._ledger.changed:
            self._watch.start(self._ledger.received, now)

    def beat(self, links: Mapping[int, ChildLink], now: float) -> List[Verdict]:
        """Call twice a second. Returns verdicts on slow children; children that are leaves are held back."""
        words = {rank: self._board.get(rank) for rank, link in links.items() if link.is_linked}
        known = {rank: word for rank, word in words.items() if word is not None and word.observed_by is None}
        if self._rank:  # the server receives nothing
            with self._ledger.changed:
                received = self._ledger.received
                is_whole = self._ledger.held.total == self._ledger.image.size
            self._watch.note_own(received, is_whole, now)
        self._hold_back(links, known, now)
        return self._watch.look({rank: self._pace(links[rank], word) for rank, word in known.items()}, now)

    def _pace(self, link: ChildLink, word: Snapshot) -> Pace:
        has_backlog = link.claims.has_backlog
        family = self._membership.orphans_of(link.rank) if has_backlog else ()
        return Pace(
            received=word.received,
            seconds=word.seconds,
            has_backlog=has_backlog,
            has_family=bool(family),
            is_demoted=is_leaf(link, word),
            is_held_back=link.claims.is_held_back,
            is_target_bound=word.blocked_on == OWN_TARGET,
            is_waited_for=all(self._waits(rank) for rank in family),
        )

    def _waits(self, rank: int) -> bool:
        word = self._board.get(rank)
        return word is not None and word.blocked_on == "parent"

    def _hold_back(self, links: Mapping[int, ChildLink], known: Mapping[int, Snapshot], now: float) -> None:
        leaves = [links[rank] for rank, word in known.items() if is_leaf(links[rank], word)]
        siblings: Dict[int, Appetite] = {}
        for rank, word in known.items():
            claims = links[rank].claims
            if links[rank] not in leaves:
                siblings[rank] = Appetite(word.received, word.seconds, claims.has_todo, claims.has_backlog)
        since, self._granted_at = self._granted_at, now
        if not leaves or since is None:
            return
        rate = self._leftovers.look(siblings, now)
        for link in leaves:
            link.claims.hold_back(None if rate is None else int(rate * (now - since) / len(leaves)))


def is_leaf(link: ChildLink, word: Snapshot) -> bool:
    """Whether a child takes only what its siblings leave."""
    return link.is_demoted or word.demoted or word.late
