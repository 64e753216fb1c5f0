# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lanes of a parent's link to one child: one over each of the child's addresses.

They share one scheduler: a slow lane only takes fewer pieces, and the pieces of a dead lane go to another.
"""

from __future__ import annotations

import dataclasses
from typing import Callable, Dict, Optional, Protocol, Set

from ...errors import DollyError, PeerLost
from ...net import sockets
from ...net.channel import Channel
from ...net.lane import Lane
from ...net.reactor import Timer
from ...plan.job import NodeSpec
from ...recovery.slow_lane import SlowLaneWatch
from ...recovery.stalled_child import GiverWatch
from ...storage.base import Readable
from ...wire.codec import Sealer
from ...wire.handshake import Established
from ...workers import Worker
from ..context import Context
from ..dial import Dialer
from .scheduler import Scheduler
from .send_lane import SendLane

#: A dead lane is dialled again. After this many deaths on every address the link is dead, too.
MAX_DEATHS = 5
_PAUSE_S = 1.0  # before a dead lane is dialled again while others live, longer each time
_LONGEST_PAUSE_S = 10.0
_DIAL_PATIENCE_S = 1.0


class LaneOwner(Protocol):
    """Receives the events of the lanes; every call comes on the reactor."""

    def lanes_lost(self, reason: str) -> None:
        """No address of the child can be reached any more."""

    def storage_failed(self, error: BaseException) -> None:
        """This node's own storage cannot be read."""


class _Slot:
    """One address of the child, and how often its lane has died since it last brought anything."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.deaths = 0
        self.brought = 0


class LanePool:
    """Runs on the reactor; only its lanes have threads."""

    def __init__(self, context: Context, node: NodeSpec, claims: Scheduler, owner: LaneOwner) -> None:
        self._context = context
        self._node = node
        self._claims = claims
        self._owner = owner
        self._store: Optional[Readable] = None
        self._slots = [_Slot(host) for host in node.hosts]
        self._slot_of: Dict[int, _Slot] = {}
        self._dialers: Dict[int, Dialer] = {}
        self._sending: Dict[int, SendLane] = {}
        self._timers: Set[Timer] = set()
        self._slow_lanes = SlowLaneWatch(context.timeouts.dead_after)
        self._giver = GiverWatch(context.timeouts.stall)
        self._next = 1
        self._is_over = False

    @property
    def is_sending(self) -> bool:
        """Whether a lane's thread still runs; it may be reading the store."""
        return bool(self._sending)

    def open(self, store: Readable) -> None:
        """Dial a lane over each address; does nothing when called again."""
        if self._store is None:
            self._store = store
            for slot in self._slots:
                self._dial(slot)

    def beat(self, now: float) -> None:
        """Call twice a second: closes lanes that bring nothing while others do, and reports a hung store."""
        sights, is_waited_for = self._claims.by_lane()
        for number, sight in sights.items():
            slot = self._slot_of[number]
            if sight.brought > slot.brought:
                slot.brought, slot.deaths = sight.brought, 0
        for number in self._slow_lanes.look(sights, not is_waited_for, now):
            self._context.log("data connection %d to %s holds the others up and is closed" % (number, self._node.name))
            self._sending[number].lane.abort()
        busy = [number for number, sight in sights.items() if sight.pending]  # the others wait for work
        lanes = [self._sending[number].lane for number in busy]
        is_waiting = bool(lanes) and all(lane.is_waiting_for_file for lane in lanes)
        hung = self._giver.look([lane.sent for lane in lanes] if is_waiting else (), now)
        if hung is not None:
            self._owner.storage_failed(hung)

    def abort(self) -> None:
        """End all of them now."""
        self._is_over = True
        for timer in self._timers:
            timer.cancel()
        for dialer in self._dialers.values():
            dialer.cancel()
        for sending in self._sending.values():
            sending.lane.abort()

    def _dial(self, slot: _Slot) -> None:
        number, self._next = self._next, self._next + 1
        self._slot_of[number] = slot
        slot.brought = 0

        def established(result: Established, channel: Channel) -> None:
            del self._dialers[number]
            self._open_lane(number, result, channel)

        def failed(why: str) -> None:
            del self._dialers[number]
            self._ended(number, PeerLost(self._node.name, why))

        node = dataclasses.replace(self._node, host=slot.host, extra=())
        self._dialers[number] = Dialer(
            self._context, node, "lane", lambda current: current, established, failed, number, _DIAL_PATIENCE_S
        )

    def _open_lane(self, number: int, established: Established, channel: Channel) -> None:
        try:
            sock = channel.detach()
        except OSError as error:
            self._ended(number, PeerLost(self._node.name, str(error)))
            return
        sockets.tune(sock, self._context.timeouts.stall)
        if self._store is None:
            sock.close()
            return
        lane = Lane(sock, self._node.name, watch=self._context.profile.outgoing(self._node.name))
        sending = SendLane(number, lane, Sealer(established.send_key), self._store, self._claims)
        self._sending[number] = sending
        self._claims.open_lane(number)
        ended = self._ends_on_reactor(lambda error: self._ended(number, error))
        Worker("send-%s-%d" % (self._node.name, number), sending.run, ended).start()

    def _ends_on_reactor(
        self, ended: Callable[[Optional[BaseException]], None]
    ) -> Callable[[Optional[BaseException]], None]:
        return lambda error: self._context.reactor.call(lambda: ended(error))

    def _ended(self, number: int, error: Optional[BaseException]) -> None:
        """The lane's thread has returned, so its pieces may go to another lane."""
        slot = self._slot_of.pop(number)
        sending = self._sending.pop(number, None)
        if sending is not None:
            sending.lane.close()
            self._claims.close_lane(number)
        if self._is_over or error is None:
            return
        if isinstance(error, DollyError) and error.fault == "peer":
            self._context.log("data connection %d to %s at %s ended: %s" % (number, self._node.name, slot.host, error))
            self._died(slot, error.sentence)
        else:
            self._owner.storage_failed(error)

    def _died(self, slot: _Slot, reason: str) -> None:
        slot.deaths += 1
        if all(one.deaths >= MAX_DEATHS for one in self._slots):
            self._owner.lanes_lost(reason)
        elif len(self._slots) == 1:
            self._dial(slot)
        else:
            self._dial_later(slot)

    def _dial_later(self, slot: _Slot) -> None:
        def now() -> None:
            self._timers.discard(timer)
            if not self._is_over:
                self._dial(slot)

        timer = self._context.reactor.after(min(_PAUSE_S * slot.deaths, _LONGEST_PAUSE_S), now)
        self._timers.add(timer)
