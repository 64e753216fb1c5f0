# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A parent's link to one child: the control connection, and the lanes that serve the child's need."""

from __future__ import annotations

import dataclasses
from typing import Any, Dict, Iterable, Optional, Protocol, Tuple

from ...errors import ProtocolError
from ...net.channel import Channel
from ...plan.job import NodeSpec, Plan
from ...ranges import Range
from ...status.snapshot import Board
from ...storage.base import Readable
from ...wire.codec import NEED_MORE
from ...wire.handshake import Established
from ...wire.messages import (
    Bye,
    Demotion,
    End,
    Gone,
    Manifest,
    Message,
    Need,
    Ping,
    Pong,
    Setup,
    Start,
    Status,
)
from ...wire.session import Session
from ..context import Context
from ..dial import Dialer
from ..image.ledger import Ledger
from ..log_text import goodbye_of
from .lane_pool import LanePool
from .scheduler import Scheduler

#: Over several interfaces pieces are smaller, so that a slow interface does not finish last with a large one.
MAX_BLOCK_OF_SEVERAL = 1024 * 1024

#: A child repeats what it lacks in each NEED; a chunk is not read again for it more often than this.
_REPAIR_PAUSE_S = 2.0
_GOODBYE_PATIENCE_S = 5.0  # for a child that is given up, to read the reason

#: Goodbye reasons of a child, or its echo of ours, that name the outcome by themselves.
_OUTCOMES = frozenset(("finished", "failed", "superseded", "orphaned"))


class ChildOwner(Protocol):
    """Receives the events of a link; every call comes on the reactor."""

    board: Board

    @property
    def has_started(self) -> bool:
        """Whether START has come: a child linked from now on is late, or an orphan."""

    def child_linked(self, link: "ChildLink") -> None:
        """The child is linked and has been sent the plan."""

    def child_status(self, link: "ChildLink", snapshots: Iterable[Dict[str, Any]]) -> None:
        """Snapshots from the child's subtree."""

    def child_need(self, link: "ChildLink") -> None:
        """The child has sent a new NEED."""

    def child_repair(self, link: "ChildLink", need: Need) -> None:
        """The child asks again for chunks that failed verification."""

    def child_gone(self, link: "ChildLink", outcome: str, reason: str) -> None:
        """The link is over: `finished`, `failed`, `superseded`, `orphaned`, `unreachable`, `lost`."""

    def storage_failed(self, error: BaseException) -> None:
        """This node's own storage cannot be read."""


class ChildLink:
    """From dialling to goodbye. Runs on the reactor; only its lanes have threads."""

    def __init__(
        self,
        context: Context,
        plan: Plan,
        rank: int,
        owner: ChildOwner,
        ledger: Ledger,
        patience_s: float,
        is_detour: bool = False,
    ) -> None:
        self.rank = rank
        self.node: NodeSpec = plan.nodes[rank]
        #: Whether only the further addresses are dialled, because the connection to another one broke.
        self.is_detour = is_detour
        #: Whether the link ended because its connection broke.
        self.was_cut = False
        several = MAX_BLOCK_OF_SEVERAL if self.node.extra else 0
        self.claims = Scheduler(ledger, plan.transport.block_size or several)
        self.is_linked = False
        #: Whether the child has been told the end of the image.
        self.is_told_end = False
        #: Whether the run had started when the child was linked.
        self.is_late = False
        #: Whether this node has taken over the child's children, because the child is too slow.
        self.is_demoted = False
        self._context = context
        self._plan = plan
        self._owner = owner
        self._lanes = LanePool(context, self.node, self.claims, self)
        self._channel: Optional[Channel] = None
        self._session: Optional[Session] = None
        self._epoch = 0
        self._is_over = self._is_started = self._has_said_bye = False
        self._repair: Tuple[Tuple[Range, ...], float] = ((), 0.0)  # last request passed to the owner, and when
        extra = self.node.extra
        node = dataclasses.replace(self.node, host=extra[0], extra=extra[1:]) if is_detour else self.node
        self._dialer = Dialer(
            context, node, "link", self._next_epoch, self._linked, self._unreachable, 0, patience_s
        )

    def start(self, message: Start) -> None:
        """Pass on START."""
        self._send(message)
        self._is_started = message.abort is None

    def open(self, store: Readable) -> None:
        """There is data to send: open the lanes, if the child was told to start."""
        if self._is_started:
            self._lanes.open(store)

    def manifest(self, slices: Iterable[Tuple[int, bytes]]) -> None:
        """Pass on digests."""
        for first, digests in slices:
            self._send(Manifest(first, digests))

    def end(self, size: int) -> None:
        """Pass on the size of the image where it was unknown, or that the source has not changed."""
        self.is_told_end = True
        self._send(End(size))

    def bye(self, reason: str, error: Optional[Dict[str, Any]] = None) -> None:
        """Say goodbye. The link is over when the child has answered, or when the owner's time limit ends."""
        if self.is_linked and not self._has_said_bye:
            self._has_said_bye = True
            self._send(Bye(reason, error))
        elif not self.is_linked:
            self._over("finished", reason)

    def beat(self, now: float) -> None:
        """Call twice a second: sends pings on an idle link, and detects a silent child."""
        channel = self._channel
        if channel is None:
            return
        if now - channel.heard_at > self._context.timeouts.dead_after:
            self._cut("silent for %.1f s" % (now - channel.heard_at))
        elif now - channel.sent_at >= 0.9 and not self._has_said_bye:
            self._send(Ping())
        self._lanes.beat(now)

    @property
    def is_sending(self) -> bool:
        """Whether a lane's thread still runs; it may be reading the store."""
        return self._lanes.is_sending

    def demote(self) -> None:
        """Tell the child that it is a leaf from now on."""
        self.is_demoted = True
        self._send(Demotion())

    def eject(self, reason: str, error: Optional[Dict[str, Any]] = None) -> None:
        """Give the child up although its connection lives."""
        self._send(Bye("ejected", error))
        channel, self._channel = self._channel, None
        if channel is not None:
            # A node that hears no reason looks for another parent. One that is hung never closes its end.
            channel.finish()
            self._context.reactor.after(_GOODBYE_PATIENCE_S, channel.abort)
        self._over("lost", reason)

    def abort(self) -> None:
        """Close everything now, without a goodbye."""
        self._is_over = True
        self.claims.close()
        self._dialer.cancel()
        self._lanes.abort()
        if self._channel is not None:
            self._channel.abort()

    def _next_epoch(self, current: int) -> int:
        self._epoch = current + 1
        return self._epoch

    def _unreachable(self, why: str) -> None:
        self._over("unreachable", why)

    def _linked(self, established: Established, channel: Channel) -> None:
        self._channel = channel
        self._session = Session("parent", established.send_key, established.receive_key, self.node.name)
        channel.handle(self._on_data, self._on_closed)
        self.is_linked = True
        self.is_late = self._owner.has_started
        known = self._owner.board.get(self.rank)
        self._send(Setup(self._plan_for(channel), self.is_late, known.to_dict() if known is not None else None))
        self._owner.child_linked(self)
        self._on_data(established.leftover)

    def _plan_for(self, channel: Channel) -> Dict[str, Any]:
        """The plan for this child. A server without an address gets the one at which the child sees it."""
        data = self._plan.to_dict()
        server = data["nodes"][0]
        if not server["host"] and server["port"]:
            server["host"] = channel.local_host
            server["extra"] = [host for host in server["extra"] if host != channel.local_host]
        return data

    def _send(self, message: Message) -> None:
        channel, session = self._channel, self._session
        # A message may race with a goodbye of either side; a message that is no longer legal is dropped.
        if channel is not None and session is not None and not self._is_over and session.may_send(message):
            channel.write(session.send(message))

    def _on_data(self, data: bytes) -> None:
        session = self._session
        if session is None:
            return
        try:
            session.feed(data)
            while not self._is_over:
                message = session.next()
                if message is NEED_MORE:
                    return
                self._on_message(message)
        except ProtocolError as error:
            self._over("lost", error.sentence)

    def _on_message(self, message: Any) -> None:
        if isinstance(message, Status):
            self._owner.child_status(self, message.snapshots)
        elif isinstance(message, Need):
            if message.repair and not self._may_repair(message):
                return
            self.claims.replace(message)
            gone = self.claims.gone
            if gone is not None:
                self._send(Gone(*gone))
            self._owner.child_need(self)
        elif isinstance(message, Ping):
            self._send(Pong())
        elif isinstance(message, Bye):
            self._answer_bye(message)

    def _may_repair(self, message: Need) -> bool:
        """Forward a request for repairs, but not repeats of it. Returns whether the link goes on."""
        if self.claims.is_greedy:
            error = ProtocolError(self.node.name, "asked for more repairs than any disk can need")
            self.eject(error.sentence, error.to_dict())
            return False
        now = self._context.reactor.now()
        known, since = self._repair
        if message.repair != known or now - since >= _REPAIR_PAUSE_S:
            # Before the scheduler: the owner may have to read chunks again before a lane takes them.
            self._repair = message.repair, now
            self._owner.child_repair(self, message)
        return True

    def _answer_bye(self, message: Bye) -> None:
        if not self._has_said_bye:
            self._has_said_bye = True
            self._send(Bye(message.reason))
        if self._channel is not None:
            self._channel.finish()
            self._channel = None
        outcome = message.reason if message.reason in _OUTCOMES else "lost"
        text = str((message.error or {}).get("message", "")) or goodbye_of(message.reason)
        self._over(outcome, text)

    def _on_closed(self, reason: str) -> None:
        self._cut(reason)

    def _cut(self, reason: str) -> None:
        self.was_cut = self.is_linked and not self._has_said_bye
        self._over("lost", reason)

    def lanes_lost(self, reason: str) -> None:
        """No lane can reach the child."""
        self._over("lost", reason)

    def storage_failed(self, error: BaseException) -> None:
        """Forward to the owner."""
        self._owner.storage_failed(error)

    def _over(self, outcome: str, reason: str) -> None:
        if not self._is_over:
            self.abort()
            self._owner.child_gone(self, outcome, reason)
