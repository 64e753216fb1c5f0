# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Simulated connections: latency, order, resets, and cuts that hold packets back until they are mended.

A channel carries messages as objects. Handshakes check epochs as real ones do, but no proofs.
"""

from __future__ import annotations

from typing import Any, Callable, FrozenSet, List, Optional, Set, Tuple

from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import AuthError
from ansible_collections.dolly.ring.plugins.module_utils.dolly.wire import handshake
from ansible_collections.dolly.ring.plugins.module_utils.dolly.wire.greeting import Hello
from ansible_collections.dolly.ring.plugins.module_utils.dolly.wire.handshake import Established
from ansible_collections.dolly.ring.tests.simulator.world import World

LATENCY_S = 0.001
_PAUSE_S = 0.3  # as in the real dialer
_MAX_REFUSALS = 3
_SYN_S = 1.0


class Network:
    """Which machines can reach each other. `machines` is indexed by rank."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.machines: List[Any] = []
        self._cuts: Set[FrozenSet[int]] = set()
        self._held_up: List[Tuple["End", str, Any]] = []

    def cut(self, one: int, other: int) -> None:
        """Silently drop all packets between two machines."""
        self._cuts.add(frozenset((one, other)))

    def mend(self, one: int, other: int) -> None:
        """End a cut. Packets that were held back arrive now, as TCP sends them again."""
        self._cuts.discard(frozenset((one, other)))
        self.flush()

    def flush(self) -> None:
        """Deliver packets that are no longer held back, in order."""
        held_up, self._held_up = self._held_up, []
        for end, kind, item in held_up:
            self.deliver(end, kind, item)

    def passes(self, one: Any, other: Any) -> bool:
        if one.is_silent or other.is_silent:
            return False
        return not self._cuts or frozenset((one.rank, other.rank)) not in self._cuts

    def connect(self, one: Any, other: Any) -> "End":
        """Connect two machines. Returns the first machine's end."""
        mine, theirs = End(self, one), End(self, other)
        mine.peer, theirs.peer = theirs, mine
        return mine

    def send(self, end: "End", kind: str, item: Any) -> None:
        latency = LATENCY_S * (0.5 + self.world.random.random())
        end.due = max(end.due, self.world.now + latency)
        self.world.after(end.due - self.world.now, None, lambda: self.deliver(end, kind, item))

    def deliver(self, end: "End", kind: str, item: Any) -> None:
        """Deliver what `end` sent, if it can pass."""
        peer = end.peer
        assert peer is not None
        if not self.passes(end.machine, peer.machine):
            self._held_up.append((end, kind, item))
        elif peer.machine.is_dead or peer.is_closed:
            if kind == "data":  # answered by a reset
                self.world.dispatch(end.machine, lambda: end.take("end", None))
        else:
            self.world.dispatch(peer.machine, lambda: peer.take(kind, item))


class End:
    """One end of a connection, owned by a machine."""

    def __init__(self, network: Network, machine: Any) -> None:
        self.network = network
        self.machine = machine
        self.peer: Optional[End] = None
        self.is_closed = False
        self.due = 0.0
        self.on_item: Callable[[str, Any], None] = lambda kind, item: None
        machine.ends.add(self)

    def send(self, item: Any) -> None:
        if not self.is_closed:
            self.network.send(self, "data", item)

    def close(self) -> None:
        if not self.is_closed:
            self.is_closed = True
            self.machine.ends.discard(self)
            self.network.send(self, "end", None)

    def take(self, kind: str, item: Any) -> None:
        if not self.is_closed:
            self.on_item(kind, item)


class SimChannel:
    """Like `net.channel.Channel`, with lists of messages in place of bytes."""

    def __init__(self, end: End, on_data: Callable[[Any], None], on_closed: Callable[[str], None]) -> None:
        self._end = end
        self._world = end.network.world
        self._on_data, self._on_closed = on_data, on_closed
        self.heard_at = self.sent_at = self._world.now
        self.read_size = 0
        self.local_host = self.peer = "simulated"
        self._is_finishing = False
        end.on_item = self._take

    def handle(self, on_data: Callable[[Any], None], on_closed: Callable[[str], None]) -> None:
        self._on_data, self._on_closed = on_data, on_closed

    def write(self, data: Any) -> None:
        if not self._end.is_closed and not self._is_finishing:
            self.sent_at = self._world.now
            self._end.machine.messages += 1
            self._end.send(data)

    def finish(self) -> None:
        if not self._end.is_closed and not self._is_finishing:
            self._is_finishing = True
            self._end.network.send(self._end, "end", None)

    def abort(self) -> None:
        self._end.close()

    def detach(self) -> End:
        if self._end.is_closed:
            raise OSError("the connection is gone")
        return self._end

    @property
    def is_open(self) -> bool:
        return not self._end.is_closed

    def _take(self, kind: str, item: Any) -> None:
        if kind == "data":
            self.heard_at = self._world.now
            self._on_data(item)
        else:
            self.abort()
            self._on_closed("it closed the connection")


class SimListener:
    """Like `relay.accept.Listener`; listens for one machine."""

    def __init__(self, context: Any, machine: Any, judge: Callable[[Hello], int], on_established: Any) -> None:
        self.port = 1
        self.refused = 0
        self.turned_away = ""
        self._context = context
        self._judge = judge
        self._on_established = on_established
        machine.listener = self
        self._machine = machine

    def shape(self, _transport: Any) -> None:
        pass

    def close(self) -> None:
        self._machine.listener = None

    def accept(self, end: End) -> None:
        """Accept a connection, on which the peer sends HELLO and then PROOF."""
        hello: List[Hello] = []
        current: List[int] = []

        def heard(item: Any) -> None:
            try:
                if not hello:
                    hello.append(item)
                    current.append(self._judge(item))
                    channel.write(current[0])
                    return
                handshake._check_epoch(hello[0].kind, item, current[0])
            except AuthError:
                self.refused += 1
                channel.abort()
                return
            timer.cancel()
            self._on_established(Established(hello[0], item, b"", b"", b""), channel)
            if hello[0].kind == "link":
                self._machine.note_parent(channel, item)

        channel = SimChannel(end, heard, lambda reason: None)
        timer = self._context.reactor.after(self._context.timeouts.handshake, channel.abort)


class SimDialer:
    """Like `relay.dial.Dialer`: tries for `patience_s` while the target does not listen."""

    def __init__(
        self, network: Network, context: Any, node: Any, kind: str, choose_epoch: Callable[[int], int],
        on_established: Any, on_failed: Callable[[str], None], lane: int = 0, patience_s: float = 0.0,
    ) -> None:  # fmt: skip
        self._network = network
        self._context = context
        self._machine = network.world.current
        self._target = network.machines[int(node.name[1:])]
        self._hello = Hello(context.run_id, context.name, node.name, kind, lane, bytes(32))
        self._choose_epoch = choose_epoch
        self._on_established = on_established
        self._on_failed = on_failed
        self._limit = context.timeouts.connect if patience_s else context.timeouts.dead_after
        self._give_up_at = network.world.now + patience_s
        self._refusals = 0
        self._knocking_since: Optional[float] = None
        self._is_over = False
        self._channel: Optional[SimChannel] = None
        self._timer = context.reactor.after(LATENCY_S, self._connect)

    def cancel(self) -> None:
        self._is_over = True
        self._timer.cancel()
        if self._channel is not None:
            self._channel.abort()

    def _connect(self) -> None:
        after = self._context.reactor.after
        now = self._network.world.now
        if not self._network.passes(self._machine, self._target):
            if self._knocking_since is None:
                self._knocking_since = now
            if now - self._knocking_since > self._limit - 0.001:
                self._knocking_since = None
                self._not_connected("timed out")
            else:  # the kernel sends its SYN again
                self._timer = after(min(_SYN_S, self._knocking_since + self._limit - now), self._connect)
        elif self._target.is_dead or self._target.listener is None:
            self._not_connected("connection refused")
        else:
            end = self._network.connect(self._machine, self._target)
            self._channel = SimChannel(end, self._answered, self._refused)
            self._timer = after(self._context.timeouts.handshake, lambda: self._fail("no handshake in time"))
            self._target.accept(end.peer)
            self._channel.write(self._hello)

    def _not_connected(self, why: str) -> None:
        if self._network.world.now >= self._give_up_at:
            self._fail(why)
        else:
            self._timer = self._context.reactor.after(_PAUSE_S, self._connect)

    def _answered(self, current: int) -> None:
        channel, self._channel = self._channel, None
        assert channel is not None
        epoch = self._choose_epoch(current)
        try:
            handshake._check_epoch(self._hello.kind, epoch, current)
        except AuthError as error:
            channel.abort()
            self._fail(error.sentence)
            return
        self._is_over = True
        self._timer.cancel()
        channel.write(epoch)
        self._on_established(Established(self._hello, epoch, b"", b"", b""), channel)

    def _refused(self, why: str) -> None:
        if self._is_over:
            return
        self._timer.cancel()
        self._channel = None
        self._refusals += 1
        if self._refusals > _MAX_REFUSALS:
            self._fail(why)
        else:
            self._timer = self._context.reactor.after(_PAUSE_S, self._connect)

    def _fail(self, why: str) -> None:
        self._timer.cancel()
        if self._channel is not None:
            self._channel.abort()
        if not self._is_over:
            self._is_over = True
            self._on_failed(why)
