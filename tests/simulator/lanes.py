# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Simulated lanes: the real scheduler and ledger; a piece takes the time of the slowest part of its path."""

from __future__ import annotations

import collections
import errno
from typing import Any, Callable, Deque, List, Optional, Tuple

from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import DollyError, PeerLost, TargetError
from ansible_collections.dolly.ring.plugins.module_utils.dolly.recovery.slow_lane import LaneSight
from ansible_collections.dolly.ring.tests.simulator.machine import Ended, Machine
from ansible_collections.dolly.ring.tests.simulator.network import End
from ansible_collections.dolly.ring.tests.simulator.world import WouldWait

#: How many pieces may wait between the two ends, as in socket buffers.
_WINDOW = 2
#: How often to check whether a hung disk has recovered, in seconds.
_LOOK_S = 0.1


class SimLane:
    """Like `net.lane.Lane`, for the threads that use one."""

    def __init__(self, end: End, peer: str, watch: Any = None) -> None:
        self.peer = peer
        self.end = end
        self.is_waiting_for_peer = True
        self.is_waiting_for_file = False
        self.sent = 0
        self.is_aborted = False
        self.on_item: Callable[[str, Any], None] = lambda kind, item: None
        end.on_item = self._pass_on

    def _pass_on(self, kind: str, item: Any) -> None:
        self.on_item(kind, item)

    def abort(self) -> None:
        if not self.is_aborted:
            self.is_aborted = True
            self.end.network.world.after(0.0, self.end.machine, lambda: self.on_item("end", None))
            self.end.network.send(self.end, "end", None)

    def close(self) -> None:
        self.end.close()


class _Thread:
    """Stands in for a thread on a lane. It ends once."""

    def __init__(self, lane: SimLane) -> None:
        self.lane = lane
        self._on_end: Optional[Ended] = None
        self.is_over = False
        lane.on_item = self.take

    def run(self) -> None:
        raise NotImplementedError

    def take(self, kind: str, item: Any) -> None:
        raise NotImplementedError

    def finish(self, error: Optional[BaseException]) -> None:
        if not self.is_over and self._on_end is not None:
            self.is_over = True
            self._on_end(error)

    def lose(self) -> None:
        self.finish(PeerLost(self.lane.peer, "the lane ended"))


class SimSendLane(_Thread):
    """Like `relay.down.send_lane.SendLane`."""

    def __init__(self, number: int, lane: SimLane, _sealer: Any, store: Any, claims: Any) -> None:
        super().__init__(lane)
        self.number = number
        self._store = store
        self._claims = claims
        self._machine: Machine = lane.end.machine
        self._is_busy = False
        self._is_reading = False
        self._unread = 0

    def run_simulated(self, on_end: Ended) -> None:
        self._on_end = on_end
        self._claims._ledger.changed.listeners.append(self._look)
        self._look()

    def finish(self, error: Optional[BaseException]) -> None:
        listeners = self._claims._ledger.changed.listeners
        if self._look in listeners:
            listeners.remove(self._look)
        super().finish(error)

    def take(self, kind: str, item: Any) -> None:
        if kind == "end":
            self._lose_when_read()
        else:  # the receiver has read a piece from its socket
            self._unread -= 1
            self._look()

    def _lose_when_read(self) -> None:
        """A thread that hangs in a read does not return when its lane ends."""
        if self._is_reading and self._machine.is_hung and not self.is_over:
            self._machine.world.after(_LOOK_S, self._machine, self._lose_when_read)
        else:
            self.lose()

    def _look(self) -> None:
        if not self._is_busy and not self.is_over:
            self._is_busy = True
            self._machine.world.after(0.0, self._machine, self._next)

    def _next(self) -> None:
        self._is_busy = False
        if self.is_over or self._unread >= _WINDOW:
            return
        try:
            piece = self._claims.claim(self.number)
        except WouldWait:
            return
        if piece is None:
            self.finish(None)
            return
        if self._machine.is_unreadable:
            self.finish(TargetError(self._store.path, "read", piece.start, errno.EIO))
            return
        self._is_busy = self._is_reading = True
        self._unread += 1
        receiver = self.lane.end.peer.machine
        self._machine.sending += 1
        receiver.receiving += 1
        rate = min(self._machine.out_rate / self._machine.sending, receiver.in_rate / receiver.receiving)
        self._machine.world.after((piece.end - piece.start) / rate, None, lambda: self._sent(piece, receiver))

    def _sent(self, piece: Any, receiver: Machine) -> None:
        self._machine.sending -= 1
        receiver.receiving -= 1
        self._machine.world.dispatch(self._machine, lambda: self._deliver(piece))

    def _deliver(self, piece: Any) -> None:
        self.lane.is_waiting_for_file = self._machine.is_hung
        if self._machine.is_hung and not self.is_over:
            self._machine.world.after(_LOOK_S, self._machine, lambda: self._deliver(piece))
            return
        self._is_reading = False
        if self.is_over:
            return
        if getattr(self._store, "is_final", False):
            self._machine.world.violate("%s was served from after it was finalized" % self._machine)
        damaged = {index for index in self._store.damaged if self._covers(piece, index)}
        self.lane.end.send((piece, damaged))
        self._is_busy = False
        self._look()

    def _covers(self, piece: Any, index: int) -> bool:
        start, end = self._claims._ledger.image.chunk_bounds(index)
        return bool(piece.start < end and start < piece.end)


class SimReceiveLane(_Thread):
    """Like `relay.up.receive_lane.ReceiveLane`."""

    def __init__(self, lane: SimLane, _opener: Any, store: Any, ledger: Any) -> None:
        super().__init__(lane)
        self.received = 0
        self._store = store
        self._ledger = ledger
        self._machine: Machine = lane.end.machine
        self._queue: Deque[Any] = collections.deque()
        self._parts: List[Tuple[int, int, bool]] = []
        self._is_writing = False
        self._has_ended = False
        self.epoch = self._machine.epoch

    @property
    def sight(self) -> LaneSight:
        return LaneSight(self.received, int(self._is_writing))

    def run_simulated(self, on_end: Ended) -> None:
        self._on_end = on_end
        self._next()

    def take(self, kind: str, item: Any) -> None:
        if kind == "end":
            self._has_ended = True
            self._queue.clear()
        elif self._machine.is_swallowed:
            return
        else:
            self._queue.append(item)
        if not self._is_writing and self._on_end is not None:
            self._next()

    def _next(self) -> None:
        self.lane.is_waiting_for_peer = True
        if self._has_ended or self.lane.is_aborted:
            self.lose()
            return
        if not self._queue:
            return
        piece, damaged = self._queue.popleft()
        self.lane.end.send("taken")
        chunk = self._ledger.image.chunk_size
        self._parts, start = [], piece.start
        while start < piece.end:
            stop = min(piece.end, start - start % chunk + chunk)
            self._parts.append((start, stop, start // chunk in damaged))
            start = stop
        self._is_writing = True
        self._next_part()

    def _next_part(self) -> None:
        if not self._parts:
            self._is_writing = False
            self.received += 1
            self._next()
            return
        start, stop, is_damaged = self._parts.pop(0)
        if self.epoch != self._machine.epoch:
            self._machine.world.violate("%s: bytes of a parent that was replaced" % self._machine)
        self._taken = self._ledger.begin_write(start, stop)
        if not self._taken:
            self._next_part()
            return
        self.lane.is_waiting_for_peer = False
        self._store.begin_write(start, stop)
        self._write(start, stop, is_damaged)

    def _write(self, start: int, stop: int, is_damaged: bool) -> None:
        machine = self._machine
        if machine.is_hung:
            machine.world.after(_LOOK_S, machine, lambda: self._write(start, stop, is_damaged))
        else:
            seconds = (stop - start) / machine.disk_rate
            machine.world.after(seconds, machine, lambda: self._written(start, stop, is_damaged))

    def _written(self, start: int, stop: int, is_damaged: bool) -> None:
        chunk = start // self._ledger.image.chunk_size
        if self._machine.flips.get(chunk):
            self._machine.flips[chunk] -= 1
            is_damaged = True
        try:
            self._store.end_write(start, stop, chunk, is_damaged)
        except DollyError as error:
            self._ledger.end_write(self._taken)
            self.finish(error)
            return
        self._ledger.add(start, stop)
        self._ledger.end_write(self._taken)
        if self._has_ended or self.lane.is_aborted:
            self._is_writing = False
            self.lose()
        else:
            self._next_part()
