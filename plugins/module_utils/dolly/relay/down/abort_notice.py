# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells nodes that were not linked yet that the run was called off before its start.

They would wait for a parent until `join_timeout`: ten minutes with their port taken for no visible reason.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, Iterable, List, Set

from ...plan.job import Plan
from ...status.snapshot import Board
from ...wire.messages import Need, Start
from ..context import Context
from ..image.ledger import Ledger
from .child import ChildLink

#: How many nodes are dialled at once. Each is dialled once; the owner's time limit ends all of it.
_AT_ONCE = 32


class AbortNotice:
    """Dials nodes, tells each that there will be no run, and hangs up. Runs on the reactor."""

    #: A node linked now is late: it is a leaf, and does not dial the nodes behind it.
    has_started = True

    def __init__(
        self,
        context: Context,
        plan: Plan,
        ledger: Ledger,
        ranks: Iterable[int],
        error: Dict[str, Any],
        on_end: Callable[[], None],
    ) -> None:
        self._context = context
        self._plan = plan
        self._ledger = ledger
        self._error = error
        self._on_end = on_end
        self.board = Board()  # nothing is known of these nodes
        self._waiting: List[int] = sorted(ranks, reverse=True)
        self._links: Set[ChildLink] = set()
        self._go_on()

    @property
    def is_over(self) -> bool:
        """Whether every node was told, or could not be reached."""
        return not self._links and not self._waiting

    def abort(self) -> None:
        """Give up on nodes that have not answered."""
        self._waiting.clear()
        for link in self._links:
            link.abort()
        self._links.clear()

    def beat(self, now: float) -> None:
        """Call twice a second: detects silence."""
        for link in list(self._links):
            link.beat(now)

    def _go_on(self) -> None:
        while self._waiting and len(self._links) < _AT_ONCE:
            self._links.add(ChildLink(self._context, self._plan, self._waiting.pop(), self, self._ledger, 0.0))

    # --- events of a link -------------------------------------------------------------------------

    def child_linked(self, link: ChildLink) -> None:
        """The child has the plan: tell it that the run is off."""
        link.start(Start((), self._error))
        link.bye("aborted", self._error)

    def child_gone(self, link: ChildLink, outcome: str, reason: str) -> None:
        """The child was told, or could not be reached."""
        if outcome != "unreachable":
            self._context.log("told %s that the run is off" % link.node.name)
        self._links.discard(link)
        self._go_on()
        if self.is_over:
            self._context.reactor.call(self._on_end)

    def child_status(self, link: ChildLink, snapshots: Iterable[Dict[str, Any]]) -> None:
        """Ignored: its status matters no more."""

    def child_need(self, link: ChildLink) -> None:
        """Ignored: nothing is sent."""

    def child_repair(self, link: ChildLink, need: Need) -> None:
        """Ignored: nothing is sent."""

    def storage_failed(self, error: BaseException) -> None:
        """Ignored: nothing is read."""
