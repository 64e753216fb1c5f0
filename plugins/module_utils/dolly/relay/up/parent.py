# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A child's link to its parent: the messages both ways, and the lanes that fill the child's store."""

from __future__ import annotations

from typing import Any, Dict, Iterable, Optional, Protocol, Tuple

from ...errors import DollyError, ProtocolError
from ...net import sockets
from ...net.channel import Channel
from ...net.lane import Lane
from ...ranges import RangeSet
from ...recovery.slow_lane import SlowLaneWatch
from ...storage.base import Store
from ...wire.codec import NEED_MORE, LaneOpener
from ...wire.handshake import Established
from ...wire.messages import Bye, Demotion, End, Gone, Manifest, Need, Ping, Pong, Setup, Start, Status
from ...wire.session import Session
from ...workers import Worker
from ..context import Context
from ..image.ledger import Ledger
from .receive_lane import ReceiveLane


class ParentOwner(Protocol):
    """Receives the events of the link; every call comes on the reactor."""

    def parent_setup(self, link: "ParentLink", message: Setup) -> None:
        """The plan of the run."""

    def parent_start(self, link: "ParentLink", message: Start) -> None:
        """START: begin, or abort."""

    def parent_manifest(self, link: "ParentLink", message: Manifest) -> None:
        """Digests of chunks."""

    def parent_end(self, link: "ParentLink", size: int) -> None:
        """The size of the image, where it was unknown."""

    def parent_demotes(self, link: "ParentLink") -> None:
        """The parent demotes this node, which is too slow to have children."""

    def parent_lacks(self, link: "ParentLink", offset: int) -> None:
        """The parent no longer has a byte that is wanted."""

    def parent_bye(self, link: "ParentLink", message: Bye) -> None:
        """The parent ends the link, or answers our goodbye."""

    def parent_lost(self, link: "ParentLink", reason: str) -> None:
        """The link broke."""

    def storage_failed(self, error: BaseException) -> None:
        """The target cannot be written."""


class ParentLink:
    """From the handshake to goodbye. Runs on the reactor; only its lanes have threads."""

    def __init__(self, context: Context, established: Established, channel: Channel, owner: ParentOwner) -> None:
        self.name = established.hello.sender
        self.epoch = established.epoch
        self._context = context
        self._owner = owner
        self._channel: Optional[Channel] = channel
        self._session = Session("child", established.send_key, established.receive_key, self.name)
        self._waiting: Dict[int, Tuple[Established, Channel]] = {}
        self._receiving: Dict[int, ReceiveLane] = {}
        self._received: Dict[int, int] = {}
        self._store: Optional[Store] = None
        self._ledger: Optional[Ledger] = None
        self._slow_lanes = SlowLaneWatch(context.timeouts.dead_after)
        self._serial = 0
        self.has_said_bye = False
        #: Whether the parent has sent the plan. Before that it takes no status, only a goodbye.
        self.is_set_up = False
        channel.handle(self._on_data, self._on_closed)

    def begin(self, leftover: bytes) -> None:
        """Process bytes behind the handshake. Not part of the constructor, because it calls the owner."""
        self._on_data(leftover)

    @property
    def is_receiving(self) -> bool:
        """Whether a lane's thread still runs; it may be writing."""
        return bool(self._receiving)

    @property
    def is_waiting_for_parent(self) -> bool:
        """Whether every lane waits for bytes, rather than for the target."""
        return all(receiving.lane.is_waiting_for_peer for receiving in self._receiving.values())

    def open(self, store: Store, ledger: Ledger) -> None:
        """The target is open: start lanes that wait for it."""
        self._store, self._ledger = store, ledger
        for number, (established, channel) in list(self._waiting.items()):
            del self._waiting[number]
            self._start_lane(number, established, channel)

    def add_lane(self, established: Established, channel: Channel) -> None:
        """A data connection of this link has come; it waits until the target is open."""
        number = established.hello.lane
        if number in self._received or number in self._waiting:
            channel.abort()
            return
        if self._store is None:
            channel.handle(lambda data: channel.abort(), lambda reason: None)
            self._waiting[number] = (established, channel)
        else:
            self._start_lane(number, established, channel)

    def need(self, wanted: RangeSet, repair: RangeSet, safe: int, below: int) -> None:
        """Tell the parent what is missing, and how many pieces have come on each lane so far.

        Call it under the ledger's condition, together with computing `wanted`.
        """
        self._serial += 1
        counts = {number: receiving.received for number, receiving in self._receiving.items()}
        self._received.update(counts)
        self.send(Need(self._serial, tuple(wanted), tuple(repair), dict(self._received), safe, below))

    def send(self, message: Any) -> None:
        """Send any other message to the parent."""
        # As on the parent's side: a message may race with a goodbye.
        if self._channel is not None and self._session.may_send(message):
            self._channel.write(self._session.send(message))

    def status(self, snapshots: Iterable[Dict[str, Any]]) -> None:
        """Send snapshots of this node's subtree."""
        self.send(Status(tuple(snapshots)))

    def bye(self, reason: str, error: Optional[Dict[str, Any]] = None) -> None:
        """Say goodbye, once."""
        if not self.has_said_bye:
            self.has_said_bye = True
            self.send(Bye(reason, error))

    def beat(self, now: float) -> None:
        """Call twice a second: sends pings on an idle link, and detects a silent parent and dead lanes."""
        channel = self._channel
        if channel is None:
            return
        if now - channel.heard_at > self._context.timeouts.dead_after:
            self._lose("silent for %.1f s" % (now - channel.heard_at))
        elif now - channel.sent_at >= 0.9 and not self.has_said_bye:
            self.send(Ping())
        self._drop_dead_lanes(now)

    def _drop_dead_lanes(self, now: float) -> None:
        """A chunk is not verified while it is being written, and an unplugged cable ends no lane by itself."""
        sights = {number: receiving.sight for number, receiving in self._receiving.items()}
        for number in self._slow_lanes.look(sights, False, now):
            told = "data connection %d from %s is silent while others are not, and is closed"
            self._context.log(told % (number, self.name))
            self._receiving[number].lane.abort()

    def abort(self) -> None:
        """Close now without a goodbye. Lanes end soon after; `is_receiving` tells when."""
        channel, self._channel = self._channel, None
        if channel is not None:
            if self.has_said_bye:
                channel.finish()
            else:
                channel.abort()
        for _established, waiting in self._waiting.values():
            waiting.abort()
        self._waiting.clear()
        for receiving in self._receiving.values():
            receiving.lane.abort()

    def _on_data(self, data: bytes) -> None:
        try:
            self._session.feed(data)
            while self._channel is not None:
                message = self._session.next()
                if message is NEED_MORE:
                    return
                self._on_message(message)
        except ProtocolError as error:
            self._lose(error.sentence)

    def _on_message(self, message: Any) -> None:
        if isinstance(message, Setup):
            self.is_set_up = True
            self._owner.parent_setup(self, message)
        elif isinstance(message, Start):
            self._owner.parent_start(self, message)
        elif isinstance(message, Manifest):
            self._owner.parent_manifest(self, message)
        elif isinstance(message, End):
            self._owner.parent_end(self, message.size)
        elif isinstance(message, Gone):
            if self._ledger is not None and self._ledger.missing().overlaps(message.start, message.end):
                self._owner.parent_lacks(self, message.start)
        elif isinstance(message, Demotion):
            self._owner.parent_demotes(self)
        elif isinstance(message, Ping):
            self.send(Pong())
        elif isinstance(message, Bye):
            self.bye(message.reason)
            self._owner.parent_bye(self, message)

    def _on_closed(self, reason: str) -> None:
        self._lose(reason)

    def _lose(self, reason: str) -> None:
        self.abort()
        self._owner.parent_lost(self, reason)

    def _start_lane(self, number: int, established: Established, channel: Channel) -> None:
        if self._store is None or self._ledger is None:
            return
        try:
            sock = channel.detach()
        except OSError:
            return  # closed while it waited; the parent dials another
        sockets.tune(sock)
        lane = Lane(sock, self.name, watch=self._context.profile.incoming())
        receiving = ReceiveLane(lane, LaneOpener(established.receive_key, self.name), self._store, self._ledger)
        self._receiving[number] = receiving
        call = self._context.reactor.call
        Worker(
            "receive-%d" % number,
            receiving.run,
            lambda error: call(lambda: self._lane_ended(number, error)),
        ).start()

    def _lane_ended(self, number: int, error: Optional[BaseException]) -> None:
        receiving = self._receiving.pop(number)
        receiving.lane.close()
        self._received[number] = receiving.received
        if error is None:
            return
        if isinstance(error, DollyError) and error.fault == "peer":
            self._context.log("a data connection from %s ended: %s" % (self.name, error.sentence))
        else:
            self._owner.storage_failed(error)
