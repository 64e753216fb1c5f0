# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A parent's link to one child: the control connection, and the lanes that carry its need."""

from __future__ import annotations

from typing import Any, Callable, Dict, Iterable, Optional, Protocol, Tuple

from ..errors import DollyError, PeerLost, ProtocolError
from ..net import sockets
from ..net.channel import Channel
from ..net.lane import Lane
from ..plan.job import NodeSpec, Plan
from ..storage.base import Readable
from ..wire.auth import Established
from ..wire.codec import NEED_MORE, Sealer
from ..wire.messages import Bye, End, Gone, Manifest, Message, Need, Ping, Pong, Setup, Start, Status
from ..wire.session import Session
from .claims import Claims
from .context import Context
from .dialer import Dialer
from .lanes import Sending
from .ledger import Ledger
from .threads import Worker

#: A lane that dies while its link lives is dialled again; this often before the link counts as dead too.
_MAX_LANE_DEATHS = 5


#: Last words of a child, or its echo of ours, that say by themselves what became of it.
_OUTCOMES = frozenset(("finished", "failed", "superseded", "orphaned"))


class ChildOwner(Protocol):
    """What hears of a link's fate; every call comes on the reactor."""

    def child_linked(self, link: "ChildLink") -> None:
        """The child is there and has got the plan."""

    def child_status(self, link: "ChildLink", snapshots: Iterable[Dict[str, Any]]) -> None:
        """News of the child's subtree."""

    def child_need(self, link: "ChildLink") -> None:
        """The child has said anew what it wants."""

    def child_repair(self, link: "ChildLink", need: Need) -> None:
        """The child asks again for chunks that came out wrong."""

    def child_gone(self, link: "ChildLink", outcome: str, reason: str) -> None:
        """The link is over: `finished`, `failed`, `superseded`, `orphaned`, `unreachable`, `lost`."""

    def storage_failed(self, error: BaseException) -> None:
        """This node's own storage cannot be read."""


class ChildLink:
    """From dialling to goodbye. Runs on the reactor; only its lanes have threads."""

    def __init__(
        self, context: Context, plan: Plan, rank: int, owner: ChildOwner, ledger: Ledger, patience_s: float
    ) -> None:
        self.rank = rank
        self.node: NodeSpec = plan.nodes[rank]
        self.claims = Claims(ledger)
        self.is_linked = False
        self._context = context
        self._plan = plan
        self._owner = owner
        self._store: Optional[Readable] = None
        self._channel: Optional[Channel] = None
        self._session: Optional[Session] = None
        self._epoch = 0
        self._dialers: Dict[int, Dialer] = {}
        self._sending: Dict[int, Sending] = {}
        self._next_lane = 1
        self._lane_deaths = 0
        self._is_over = False
        self._has_said_bye = False
        self._dialers[0] = Dialer(
            context, self.node, "link", self._next_epoch, self._linked, self._unreachable, 0, patience_s
        )

    def start(self, message: Start, store: Optional[Readable]) -> None:
        """Pass on the server's word; with a store the lanes can open."""
        self._send(message)
        self._store = store
        if store is not None and not self._sending and 1 not in self._dialers:
            self._dial_lane()

    def manifest(self, slices: Iterable[Tuple[int, bytes]]) -> None:
        """Pass on digests."""
        for first, digests in slices:
            self._send(Manifest(first, digests))

    def end(self, size: int) -> None:
        """Pass on the size of the image, where it was unknown."""
        self._send(End(size))

    def bye(self, reason: str, error: Optional[Dict[str, Any]] = None) -> None:
        """Say goodbye first; the link is over when the child has answered, or by the owner's patience."""
        if self.is_linked and not self._has_said_bye:
            self._has_said_bye = True
            self._send(Bye(reason, error))
        elif not self.is_linked:
            self._over("finished", reason)

    def beat(self, now: float) -> None:
        """Once a second: keep the link warm, and notice silence."""
        channel = self._channel
        if channel is None:
            return
        if now - channel.heard_at > self._context.timeouts.dead_after:
            self._over("lost", "silent for %.1f s" % (now - channel.heard_at))
        elif now - channel.sent_at >= 0.9 and not self._has_said_bye:
            self._send(Ping())

    @property
    def is_sending(self) -> bool:
        """Whether a lane's thread still runs, which may be reading the store."""
        return bool(self._sending)

    def eject(self, reason: str) -> None:
        """Give the child up although its connection lives."""
        self._send(Bye("ejected"))
        self._over("lost", reason)

    def abort(self) -> None:
        """End everything now, without telling anybody."""
        self._is_over = True
        self.claims.close()
        for dialer in self._dialers.values():
            dialer.cancel()
        for sending in self._sending.values():
            sending.lane.abort()
        if self._channel is not None:
            self._channel.abort()

    def _next_epoch(self, current: int) -> int:
        self._epoch = current + 1
        return self._epoch

    def _unreachable(self, why: str) -> None:
        self._over("unreachable", why)

    def _linked(self, established: Established, channel: Channel) -> None:
        del self._dialers[0]
        self._channel = channel
        self._session = Session("parent", established.send_key, established.receive_key, self.node.name)
        channel.handle(self._on_data, self._on_closed)
        self.is_linked = True
        self._send(Setup(self._plan_for(channel)))
        self._owner.child_linked(self)
        self._on_data(established.leftover)

    def _plan_for(self, channel: Channel) -> Dict[str, Any]:
        """The plan as the child gets it; a server that named no address is where the child sees it."""
        data = self._plan.to_dict()
        server = data["nodes"][0]
        if not server["host"] and server["port"]:
            server["host"] = channel.local_host
        return data

    def _send(self, message: Message) -> None:
        channel, session = self._channel, self._session
        # A message may race with a goodbye of either side; what is not legal any more is not news any more.
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
            self.claims.replace(message)
            gone = self.claims.gone
            if gone is not None:
                self._send(Gone(*gone))
            self._owner.child_need(self)
            if message.repair:
                self._owner.child_repair(self, message)
        elif isinstance(message, Ping):
            self._send(Pong())
        elif isinstance(message, Bye):
            self._answer_bye(message)

    def _answer_bye(self, message: Bye) -> None:
        if not self._has_said_bye:
            self._has_said_bye = True
            self._send(Bye(message.reason))
        if self._channel is not None:
            self._channel.finish()
            self._channel = None
        outcome = message.reason if message.reason in _OUTCOMES else "lost"
        text = str((message.error or {}).get("message", "")) or "it said goodbye: %s" % message.reason
        self._over(outcome, text)

    def _on_closed(self, reason: str) -> None:
        self._over("lost", reason)

    def _over(self, outcome: str, reason: str) -> None:
        if not self._is_over:
            self.abort()
            self._owner.child_gone(self, outcome, reason)

    def _dial_lane(self) -> None:
        number = self._next_lane
        self._next_lane += 1

        def established(result: Established, channel: Channel) -> None:
            del self._dialers[number]
            self._open_lane(number, result, channel)

        def failed(why: str) -> None:
            del self._dialers[number]
            self._lane_ended(number, PeerLost(self.node.name, why))

        self._dialers[number] = Dialer(
            self._context, self.node, "lane", lambda current: current, established, failed, number, 1.0
        )

    def _open_lane(self, number: int, established: Established, channel: Channel) -> None:
        try:
            sock = channel.detach()
        except OSError as error:
            self._lane_ended(number, PeerLost(self.node.name, str(error)))
            return
        sockets.tune(sock, self._context.timeouts.stall)
        if self._store is None:
            sock.close()
            return
        lane = Lane(sock, self.node.name, watch=self._context.profile.outgoing(self.node.name))
        sending = Sending(number, lane, Sealer(established.send_key), self._store, self.claims)
        self._sending[number] = sending
        self.claims.open_lane(number)
        ended = self._ends_on_reactor(lambda error: self._lane_ended(number, error))
        Worker("send-%s-%d" % (self.node.name, number), sending.run, ended).start()

    def _ends_on_reactor(
        self, ended: Callable[[Optional[BaseException]], None]
    ) -> Callable[[Optional[BaseException]], None]:
        return lambda error: self._context.reactor.call(lambda: ended(error))

    def _lane_ended(self, number: int, error: Optional[BaseException]) -> None:
        """The lane's thread has returned, so its pieces may go to another lane."""
        sending = self._sending.pop(number, None)
        if sending is not None:
            sending.lane.close()
            self.claims.close_lane(number)
        if self._is_over or error is None:
            return
        if isinstance(error, DollyError) and error.fault == "peer":
            self._lane_deaths += 1
            if self._lane_deaths >= _MAX_LANE_DEATHS:
                self._over("lost", error.sentence)
            else:
                self._dial_lane()
            return
        self._owner.storage_failed(error)
