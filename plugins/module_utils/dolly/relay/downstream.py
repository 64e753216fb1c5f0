# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""All children of one node: their links, what their subtrees say, and the healing when one goes."""

from __future__ import annotations

from typing import Any, Dict, Iterable, List, Optional, Protocol, Tuple

from ..plan import topology
from ..plan.job import Plan
from ..progress import Board, Snapshot
from ..recovery import healer as heal
from ..storage.base import Readable
from ..wire.messages import Need, Start
from .child import ChildLink
from .context import Context
from .ledger import Ledger

#: States of a node that nobody waits for any more.
SETTLED = frozenset(("done", "failed", "lost", "unreachable", "excluded"))


class DownstreamOwner(Protocol):
    """What a node hears from below; every call comes on the reactor."""

    def subtree_changed(self) -> None:
        """The board has news, or a link has come or gone."""

    def repair_wanted(self, need: Need) -> None:
        """A child asks again for chunks that came out wrong."""

    def storage_failed(self, error: BaseException) -> None:
        """This node's own storage cannot be read."""

    def act_as_child(self, action: heal.Action) -> None:
        """A decision about this node's own parent."""


class Downstream:
    """Owns the links to the children, and carries out what the healer decides."""

    def __init__(
        self, context: Context, plan: Plan, rank: int, ledger: Ledger, board: Board, owner: DownstreamOwner
    ) -> None:
        self.board = board
        self.healer = heal.Healer(rank, tuple(topology.ancestors(rank, plan.fanout)) if rank else ())
        self._context = context
        self._plan = plan
        self._ledger = ledger
        self._owner = owner
        self._links: Dict[int, ChildLink] = {}
        self._ended: List[ChildLink] = []
        self._start: Optional[Start] = None
        self._store: Optional[Readable] = None
        self._sent = 0
        self._moved: Dict[int, Tuple[Tuple[Any, ...], float]] = {}
        self._is_ending = False

    @property
    def is_finished(self) -> bool:
        """Whether no child is left to serve."""
        return not self._links

    @property
    def is_sending(self) -> bool:
        """Whether a lane's thread still reads from the store."""
        for link in [link for link in self._ended if not link.is_sending]:
            self._ended.remove(link)
            self._sent += link.claims.sent
        return bool(self._ended) or any(link.is_sending for link in self._links.values())

    @property
    def sent(self) -> int:
        """Bytes of the image that went to children, without zeros, repeated ones counted again."""
        return self._sent + sum(link.claims.sent for link in [*self._links.values(), *self._ended])

    def handle(self, event: heal.Event) -> None:
        """Let the healer decide, and do what it says."""
        actions = self.healer.handle(event, self._context.reactor.now())
        if actions:
            self._context.log("%s -> %s" % (event, ", ".join(map(str, actions))))
        for action in actions:
            self._act(action)

    def start(self, message: Start, store: Optional[Readable]) -> None:
        """Pass the server's word on; children that are not members are let go."""
        self._start, self._store = message, store
        for link in list(self._links.values()):
            self._start_link(link)

    def manifest(self, first: int, digests: bytes) -> None:
        """Pass digests on."""
        for link in self._links.values():
            if link.is_linked:
                link.manifest([(first, digests)])

    def bye(self, reason: str, error: Optional[Dict[str, Any]] = None) -> None:
        """Say goodbye to every child. Their children are not adopted any more: this node is no parent for them."""
        self._is_ending = True
        for link in list(self._links.values()):
            link.bye(reason, error)

    def orphan(self) -> None:
        """Let every child go, because there is no help to be had here, and let it look for another parent now."""
        for link in list(self._links.values()):
            link.bye("orphaned")

    def beat(self, now: float) -> None:
        """Once a second: pings, silence, stalls."""
        for link in list(self._links.values()):
            link.beat(now)
            self._watch_stall(link, now)

    def abort(self) -> None:
        """End every link now."""
        for link in self._links.values():
            link.abort()
            self._ended.append(link)
        self._links.clear()

    # --- what a link tells ------------------------------------------------------------------------

    def child_linked(self, link: ChildLink) -> None:
        """The child has the plan; a late one gets at once what the others were told before."""
        self.handle(heal.ChildLinked(link.rank))
        if self._start is not None:
            self._start_link(link)
        with self._ledger.changed:
            slices = list(self._ledger.manifest.slices())
        link.manifest(slices)
        self._owner.subtree_changed()

    def child_status(self, link: ChildLink, snapshots: Iterable[Dict[str, Any]]) -> None:
        """News from below."""
        changed = False
        for data in snapshots:
            try:
                changed = self.board.merge(Snapshot.from_dict(data)) or changed
            except ValueError as error:
                self._context.log("a snapshot from %s makes no sense: %s" % (link.node.name, error))
        if changed:
            self._owner.subtree_changed()

    def child_repair(self, link: ChildLink, need: Need) -> None:
        """Hand on."""
        self._owner.repair_wanted(need)

    def child_gone(self, link: ChildLink, outcome: str, reason: str) -> None:
        """A link is over; its child's children may need a new parent."""
        self._links.pop(link.rank, None)
        self._ended.append(link)
        self._context.log("child %s: %s (%s)" % (link.node.name, outcome, reason))
        self.handle(heal.ChildGone(link.rank, outcome, reason, self._orphans_of(link.rank)))
        self._owner.subtree_changed()

    def storage_failed(self, error: BaseException) -> None:
        """Hand on."""
        self._owner.storage_failed(error)

    # --- what the healer decides ------------------------------------------------------------------

    def _act(self, action: heal.Action) -> None:
        if isinstance(action, heal.DialChild):
            self._dial(action)
        elif isinstance(action, heal.DropChild):
            link = self._links.pop(action.rank, None)
            if link is not None:
                link.abort()
                self._ended.append(link)
        elif isinstance(action, heal.DeclareChild):
            name = self._plan.nodes[action.rank].name
            error = {"kind": "PeerLost", "message": "%s: %s" % (name, action.reason), "fault": "peer"}
            self.board.declare(action.rank, name, action.state, error)
        else:
            self._owner.act_as_child(action)

    def _dial(self, action: heal.DialChild) -> None:
        patience = 0.0 if action.is_adoption else self._context.timeouts.connect
        self._links[action.rank] = ChildLink(
            self._context, self._plan, action.rank, self, self._ledger, patience
        )

    def _start_link(self, link: ChildLink) -> None:
        message = self._start
        if message is None or not link.is_linked:
            return
        if message.abort is not None or link.rank in message.members:
            link.start(message, self._store)
            return
        link.start(Start((), _left_out()), None)
        link.bye("aborted", _left_out())

    def _orphans_of(self, rank: int) -> Tuple[int, ...]:
        if self._is_ending:
            return ()
        return tuple(child for child in self._children_of(rank) if self._has_work(child))

    def _children_of(self, rank: int) -> List[int]:
        """By their own word where there is one, else by the plan."""
        found = []
        for child in range(rank + 1, len(self._plan.nodes)):
            snapshot = self.board.get(child)
            parent = snapshot.parent if snapshot is not None else None
            if parent is None:
                parent = topology.parent(child, self._plan.fanout)
            if parent == rank:
                found.append(child)
        return found

    def _has_work(self, rank: int) -> bool:
        if self._start is not None and rank not in self._start.members:
            return False
        snapshot = self.board.get(rank)
        # Somebody tried and could not talk to it. If it lives it will knock.
        is_given_up = snapshot is not None and snapshot.observed_by is not None
        if snapshot is None or not (snapshot.is_terminal or is_given_up):
            return True
        return any(self._has_work(child) for child in self._children_of(rank))

    def _watch_stall(self, link: ChildLink, now: float) -> None:
        """A child is hung when data waits for it, it says itself that its own target holds it up, and nothing moves.

        Only then: with one hung node every ancestor stops moving sooner or later, and they are innocent.
        """
        snapshot = self.board.get(link.rank)
        if snapshot is None or not link.is_linked:
            return
        progress = (snapshot.state, snapshot.held, snapshot.verified)
        known, since = self._moved.get(link.rank, (None, now))
        # Nothing to receive and nothing moving is a verifier that hangs in a read, or one that waits for digests;
        # which of them, its own word says.
        is_waited_for = link.claims.has_todo or snapshot.state == "verifying"
        if progress != known or snapshot.blocked_on != "target" or not is_waited_for:
            self._moved[link.rank] = (progress, now)
        elif now - since > self._context.timeouts.stall:
            link.eject("its target took nothing for %.0f s" % (now - since))


def _left_out() -> Dict[str, Any]:
    return {
        "kind": "Aborted",
        "message": "The server started the run without this node, because it was not ready in time.",
        "fault": "node",
        "is_left_out": True,
    }
