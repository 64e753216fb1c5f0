# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""All children of one node: their links, the status of their subtrees, and healing when a child is gone."""

from __future__ import annotations

import collections
from typing import Any, Counter, Dict, Iterable, List, Optional, Protocol

from ...errors import DollyError, TooSlow
from ...plan import topology
from ...plan.job import MAX_SIZE, Plan
from ...recovery import healer as heal
from ...recovery.membership import Membership
from ...recovery.slow_child import Demote, Verdict
from ...recovery.stalled_child import Sight, StallWatch
from ...status.snapshot import Board, Snapshot
from ...storage.base import Readable
from ...units import format_rate
from ...wire.messages import Need, Start
from .. import log_text
from ..context import Context
from ..image.ledger import Ledger
from .child import ChildLink
from .subtree import Subtree
from .throttle import Throttle

#: States of a node that nobody waits for any more.
SETTLED = frozenset(("done", "failed", "lost", "unreachable", "excluded"))


_MAX_DETOURS = 5  # to one child; then something else is wrong with it


class DownstreamOwner(Protocol):
    """What a node hears from below; every call comes on the reactor."""

    def subtree_changed(self) -> None:
        """The board has news, or a link was opened or closed."""

    def need_changed(self) -> None:
        """A child has sent a new NEED."""

    def repair_wanted(self, need: Need) -> None:
        """A child asks again for chunks that failed verification."""

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
        self.membership = Membership(plan.fanout, len(plan.nodes), board)
        self.healer = heal.Healer(rank, tuple(topology.ancestors(rank, plan.fanout)) if rank else ())
        self._context = context
        self._plan = plan
        self._ledger = ledger
        self._owner = owner
        self._links: Dict[int, ChildLink] = {}
        self._ended: List[ChildLink] = []
        self._start: Optional[Start] = None
        self._started_at: Optional[float] = None
        self._store: Optional[Readable] = None
        self._sent = 0
        # A child detects its own hung flush first, as it can name the reason better.
        self._stalls = StallWatch(plan.timeouts.stall, plan.timeouts.flush + plan.timeouts.dead_after)
        self._throttle = Throttle(rank, ledger, board, self.membership, plan.transport.min_rate)
        self._is_ending = False
        self._detours: Counter[int] = collections.Counter()
        self._has_news = False
        self._size: Optional[int] = None
        self._subtree = Subtree(context, plan, board, self._is_linked)

    @property
    def has_started(self) -> bool:
        """Whether START has arrived."""
        return self._start is not None

    @property
    def is_finished(self) -> bool:
        """Whether no child is left to serve."""
        return not self._links

    @property
    def is_ending(self) -> bool:
        """Whether the children were told that this node is no longer their parent."""
        return self._is_ending

    @property
    def is_sending(self) -> bool:
        """Whether a lane's thread still reads from the store."""
        for link in [link for link in self._ended if not link.is_sending]:
            self._ended.remove(link)
            self._sent += link.claims.sent
        return bool(self._ended) or any(link.is_sending for link in self._links.values())

    @property
    def is_left_reading(self) -> bool:
        """Whether a lane's thread may still read for a child that is gone."""
        return any(link.is_sending for link in self._ended)

    @property
    def is_needed(self) -> bool:
        """Whether a node below may still want bytes from here."""
        links = self._links.values()
        return any(not link.is_linked or link.claims.has_todo or self.membership.lacks(link.rank) for link in links)

    @property
    def sent(self) -> int:
        """Bytes of the image sent to children, without zeros; repeated bytes count again."""
        return self._sent + sum(link.claims.sent for link in [*self._links.values(), *self._ended])

    def handle(self, event: heal.Event) -> None:
        """Let the healer decide, and carry out its actions."""
        actions = self.healer.handle(event, self._context.reactor.now())
        for line in log_text.actions(event, actions, self._name_of):
            self._context.log(line)
        for action in actions:
            self._act(action)

    def start(self, message: Start) -> None:
        """Pass on START, once; children that are not members are dismissed.

        Children need not wait for this node's own target: their targets take time to open as well.
        """
        if self._start is not None:
            return
        self._start = message
        self._started_at = self._context.reactor.now()
        self.membership.members = frozenset(message.members)
        for link in list(self._links.values()):
            self._start_link(link)

    def open(self, store: Readable) -> None:
        """Serve bytes from `store` from now on."""
        self._store = store
        self._throttle.start(self._context.reactor.now())
        for link in list(self._links.values()):
            link.open(store)

    def manifest(self, first: int, digests: bytes) -> None:
        """Pass digests on."""
        for link in list(self._links.values()):  # a link that cannot be written to ends at once
            if link.is_linked:
                link.manifest([(first, digests)])

    def end(self, size: int) -> None:
        """Pass on the size of the image, to present children and to later ones."""
        self._size = size
        for link in list(self._links.values()):
            self._tell_end(link)

    def _tell_end(self, link: ChildLink) -> None:
        """Without digests, END confirms only what came before it, so it goes to children that have everything."""
        is_verdict = self._plan.verify == "none" and self._plan.image.size is not None
        if self._size is None or not link.is_linked or link.is_told_end:
            return
        if not is_verdict or link.claims.has_everything:
            link.end(self._size)

    @property
    def unconfirmed(self) -> List[ChildLink]:
        """Children that have everything, and have not been told yet that the source is unchanged."""
        links = [link for link in self._links.values() if link.is_linked and not link.is_told_end]
        return [link for link in links if link.claims.has_everything]

    def kept(self, with_grandchildren: bool) -> int:
        """The lowest byte that a child may still want; with grandchildren, also theirs, should a child die."""
        return min((link.claims.kept(with_grandchildren) for link in self._links.values()), default=MAX_SIZE)

    @property
    def highest(self) -> int:
        """The highest end of any piece that was sent to a child."""
        return max((link.claims.highest for link in [*self._links.values(), *self._ended]), default=0)

    def bye(self, reason: str, error: Optional[Dict[str, Any]] = None) -> None:
        """Say goodbye to every child. Grandchildren are not adopted: this node is no parent for them."""
        self._is_ending = True
        for link in list(self._links.values()):
            link.bye(reason, error)

    def give_away(self, error: Dict[str, Any]) -> None:
        """Dismiss every child for good to another parent: this node cannot give them what they need."""
        self._context.log("the children of this node get another parent: %s" % error.get("message"))
        self.handle(heal.MadeLeaf())
        self.bye("failed", error)

    def give_up(self, rank: int, error: DollyError) -> None:
        """Give up a node that stands still, child or not."""
        link = self._links.get(rank)
        if link is not None and link.is_linked:
            link.eject(error.sentence, error.to_dict())
            return
        self.board.declare(rank, self._plan.nodes[rank].name, "lost", error.to_dict())
        self._owner.subtree_changed()

    def orphan(self) -> None:
        """Dismiss every child to look for another parent at once, because this node has none."""
        for link in list(self._links.values()):
            link.bye("orphaned")

    def beat(self, now: float) -> None:
        """Call twice a second: sends pings, detects silence and stalls."""
        for link in list(self._links.values()):
            link.beat(now)
            self._watch_child(link, now)
        if self._store is not None and not self._is_ending:
            for verdict in self._throttle.beat(self._links, now):
                self._carry_out(verdict)

    def abort(self) -> None:
        """Close every link now."""
        for link in self._links.values():
            link.abort()
            self._ended.append(link)
        self._links.clear()

    # --- events of a link -------------------------------------------------------------------------

    def child_linked(self, link: ChildLink) -> None:
        """The child has the plan. A late child is sent at once what the others were sent before."""
        self.handle(heal.ChildLinked(link.rank))
        if self._start is not None:
            self._start_link(link)
        with self._ledger.changed:
            slices = list(self._ledger.manifest.slices())
        self._tell_end(link)
        link.manifest(slices)
        self._owner.subtree_changed()

    def child_status(self, link: ChildLink, snapshots: Iterable[Dict[str, Any]]) -> None:
        """Snapshots from the child's subtree."""
        changed = False
        for data in snapshots:
            changed = self._subtree.tell(link.rank, data) or changed
        if changed and not self._has_news:
            # Once for all that have come by then: one by one, n nodes in a chain would send n * n messages.
            self._has_news = True
            self._context.reactor.call(self._tell_owner)

    def _is_linked(self, rank: int) -> bool:
        link = self._links.get(rank)
        return link is not None and link.is_linked

    def _tell_owner(self) -> None:
        self._has_news = False
        self._owner.subtree_changed()

    def child_need(self, link: ChildLink) -> None:
        """Forward to the owner."""
        self._tell_end(link)
        self._owner.need_changed()

    def child_repair(self, link: ChildLink, need: Need) -> None:
        """Forward to the owner."""
        self._owner.repair_wanted(need)

    def child_gone(self, link: ChildLink, outcome: str, reason: str) -> None:
        """A link is over; the children of that child may need a new parent."""
        self._links.pop(link.rank, None)
        self._ended.append(link)
        line = log_text.child_gone(link.node.name, outcome, reason)
        if line:
            self._context.log(line)
        if self._makes_detour(link):
            self._context.log("lost the connection to %s (%s), trying its other addresses" % (link.node.name, reason))
            return
        outcome = "lost" if self._detours[link.rank] and outcome == "unreachable" else outcome
        self._stalls.forget(link.rank)
        orphans = () if self._is_ending else self.membership.orphans_of(link.rank)
        self.handle(heal.ChildGone(link.rank, outcome, reason, orphans))
        self._subtree.link_ended(link.rank)
        self._owner.subtree_changed()

    def storage_failed(self, error: BaseException) -> None:
        """Forward to the owner."""
        self._owner.storage_failed(error)

    # --- actions of the healer --------------------------------------------------------------------

    def _act(self, action: heal.Action) -> None:
        if isinstance(action, heal.DialChild):
            self._dial(action)
        elif isinstance(action, heal.DropChild):
            link = self._links.pop(action.rank, None)
            if link is not None:
                link.abort()
                self._ended.append(link)
        elif isinstance(action, heal.DemoteChild):
            self._links[action.rank].demote()
        elif isinstance(action, heal.DeclareChild):
            name = self._plan.nodes[action.rank].name
            self.board.declare(action.rank, name, action.state, self._obituary(action, name))
        else:
            self._owner.act_as_child(action)

    def _obituary(self, action: heal.DeclareChild, name: str) -> Dict[str, Any]:
        """The error reported for a lost child: the reason, when it was lost, and how much it held."""
        error: Dict[str, Any] = {"kind": "PeerLost", "message": "%s: %s" % (name, action.reason), "fault": "peer"}
        word = self.board.get(action.rank)
        if self._started_at is not None and word is not None:
            after = round(self._context.reactor.now() - self._started_at, 1)
            error.update(after=after, offset=word.held)
            error["message"] += " (%.1f s after the start, with %d bytes)" % (after, word.held)
        return error

    def _name_of(self, rank: int) -> str:
        return self._plan.nodes[rank].name

    def _dial(self, action: heal.DialChild) -> None:
        patience = 0.0 if action.is_adoption else self._context.timeouts.connect
        self._links[action.rank] = ChildLink(
            self._context, self._plan, action.rank, self, self._ledger, patience
        )

    def _makes_detour(self, link: ChildLink) -> bool:
        """The connection to a child with further addresses broke: try these first, it may be a cable."""
        detours = self._detours[link.rank]
        is_parent = not self._is_ending and not self.healer.is_leaf
        if not (link.was_cut and link.node.extra) or not is_parent or detours >= _MAX_DETOURS:
            return False
        self._detours[link.rank] += 1
        self._links[link.rank] = ChildLink(
            self._context, self._plan, link.rank, self, self._ledger, 0.0, not link.is_detour
        )
        return True

    def _start_link(self, link: ChildLink) -> None:
        message = self._start
        if message is None or not link.is_linked:
            return
        members = self.membership.members or frozenset()
        if message.abort is not None or link.rank in members or link.is_late:
            self.membership.members = members if link.rank in members else frozenset((*members, link.rank))
            link.start(message)
            if self._store is not None:
                link.open(self._store)
            return
        link.start(Start((), _left_out()))
        link.bye("aborted", _left_out())

    def _watch_child(self, link: ChildLink, now: float) -> None:
        snapshot = self.board.get(link.rank)
        if snapshot is None or not link.is_linked:
            return
        sight = sight_of(snapshot, link.claims.has_todo)
        for action in self._stalls.look(link.rank, sight, now):
            self._context.log("giving up %s: %s" % (link.node.name, action.reason))
            link.eject(action.reason, action.error.to_dict())

    def _carry_out(self, verdict: Verdict) -> None:
        if isinstance(verdict, Demote):
            orphans = self.membership.orphans_of(verdict.rank)
            self.handle(heal.ChildFellBehind(verdict.rank, verdict.reason, orphans))
            return
        floor = self._plan.transport.min_rate
        took = "it took %s for %.0f s" % (format_rate(verdict.rate), verdict.seconds)
        self._context.log("giving up %s: %s, less than min_rate" % (self._name_of(verdict.rank), took))
        error = TooSlow(round(verdict.rate), verdict.seconds, floor)
        self._links[verdict.rank].eject("%s, less than min_rate, %s" % (took, format_rate(floor)), error.to_dict())


def _left_out() -> Dict[str, Any]:
    return {
        "kind": "Aborted",
        "message": "The server started the run without this node, because it was not ready in time.",
        "fault": "node",
        "is_left_out": True,
    }


def sight_of(snapshot: Snapshot, wants: bool = False) -> Sight:
    """What the stall watch looks at in a snapshot. `wants`: whether the node waits for data from here."""
    return Sight(
        snapshot.state,
        snapshot.held,
        snapshot.verified,
        snapshot.blocked_on,
        wants,
        snapshot.checked,
        snapshot.repaired,
    )
