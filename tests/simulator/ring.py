# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A ring of real nodes (`relay.client.Client`, `relay.server.Server`) on simulated machines.

Simulated are time, connections, lanes and disks, and digesting, verifying and flushing. `seams` replaces the
real parts by these.
"""

from __future__ import annotations

import contextlib
import functools
import random
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, Iterator, List, Tuple

from ansible_collections.dolly.ring.plugins.module_utils.dolly import workers
from ansible_collections.dolly.ring.plugins.module_utils.dolly.plan.job import Image, NodeSpec, Plan, Timeouts
from ansible_collections.dolly.ring.plugins.module_utils.dolly.plan.transport import Transport
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay import client, node, repairs, server
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay.context import Context
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay.down import (
    child,
    downstream,
    lane_pool,
    scheduler,
    subtree,
)
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay.image import ledger
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay.up import parent
from ansible_collections.dolly.ring.plugins.module_utils.dolly.status import snapshot as progress
from ansible_collections.dolly.ring.plugins.module_utils.dolly.status.snapshot import Snapshot
from ansible_collections.dolly.ring.plugins.module_utils.dolly.wire import session
from ansible_collections.dolly.ring.plugins.module_utils.dolly.wire.codec import NEED_MORE
from ansible_collections.dolly.ring.tests.simulator import lanes, machine
from ansible_collections.dolly.ring.tests.simulator.machine import MIB, Machine, SimSource, SimTarget
from ansible_collections.dolly.ring.tests.simulator.network import Network, SimDialer, SimListener
from ansible_collections.dolly.ring.tests.simulator.world import SimReactor, Threading, World

CHUNK = MIB
#: The limit for a whole run, far above the need of any schedule.
LIMIT_S = 600.0
TIMEOUTS = Timeouts(
    join=60, barrier=60, connect=3, orphan=40, dead_after=5, stall=10, flush=60, handshake=5
)


@dataclass(frozen=True)
class Shape:
    """The shape of a ring: number of clients, fanout, chunks, and the interval of a node's checks."""

    count: int
    fanout: int = 1
    chunks: int = 8
    beat_s: float = 0.5
    verify: str = "readback"
    min_nodes: int = 1
    min_rate: int = 0
    block_size: int = 0
    timeouts: Timeouts = field(default=TIMEOUTS)


class SimSession:
    """Like `wire.session.Session`: the real table of transitions, with messages as objects."""

    def __init__(self, role: str, _send_key: bytes, _receive_key: bytes, peer: str) -> None:
        self._role = role
        self._state = "new"
        self._arrived: List[Any] = []

    def may_send(self, message: Any) -> bool:
        return session._event(message) in session.TRANSITIONS[self._role, self._state, "send"]

    def send(self, message: Any) -> Tuple[Any, ...]:
        self._state = session.TRANSITIONS[self._role, self._state, "send"][session._event(message)]
        return (message,)

    def feed(self, data: Any) -> None:
        self._arrived += data

    def next(self) -> Any:
        if not self._arrived:
            return NEED_MORE
        message = self._arrived.pop(0)
        self._state = session.TRANSITIONS[self._role, self._state, "receive"][session._event(message)]
        return message


class _Sockets:
    """Stands in for `net.sockets` in links: simulated sockets need no tuning."""

    @staticmethod
    def tune(*_anything: Any) -> None:
        pass


class _Plans:
    """Stands in for `Plan` in a client: 10,000 nodes must not parse 10,000 entries each."""

    @staticmethod
    def from_dict(data: Dict[str, Any]) -> Plan:
        plan: Plan = data["plan"]
        return plan


class _NoSettler:
    """Stands in for `relay.work.writeback.Writeback`: there is no page cache."""

    is_needed = False

    def __init__(self, *_anything: Any) -> None:
        pass


class _NoProfile:
    """Stands in for `status.profile.Profile`: simulated time needs no profile."""

    def start(self) -> None:
        pass

    def incoming(self) -> None:
        pass

    working = incoming

    def outgoing(self, _child: str) -> None:
        pass

    def times(self, _seconds: float, _is_whole: bool) -> Dict[str, Any]:
        return {}


def _not_believed(_subtree: Any, via: int, error: ValueError) -> None:
    raise AssertionError("what rank %d said was not believed: %s" % (via, error))


def _as_it_is(snapshot: Snapshot) -> Snapshot:
    return snapshot


def _plan_to_dict(plan: Plan) -> Dict[str, Any]:
    return {"plan": plan, "nodes": [{"host": "h", "port": 1}]}


@contextlib.contextmanager
def seams(world: World, network: Network, shape: Shape) -> Iterator[None]:
    """Replace real parts by simulated ones, and restore them afterwards."""
    worker = functools.partial(machine.SimWorker, world)
    dialer = functools.partial(SimDialer, network)
    places = [
        (node, {"Dialer": dialer, "Listener": SimListener, "Writeback": _NoSettler, "BEAT_S": shape.beat_s}),
        (workers, {"Worker": worker}),
        (client, {"Finisher": machine.SimFinisher, "Plan": _Plans}),
        (repairs, {"Recheck": machine.SimRecheck}),
        (server, {"Worker": worker, "Digester": machine.SimDigester}),
        (scheduler, {"MAX_DATA": CHUNK}),
        (ledger, {"threading": Threading}),
        (Plan, {"to_dict": _plan_to_dict}),
        # Snapshots are passed as objects: parsing has its own tests, and would take half of the time here.
        (Snapshot, {"to_dict": _as_it_is, "from_dict": staticmethod(_as_it_is), "__post_init__": lambda _own: None}),
        # No simulated node lies, so a rejected report means a mix-up of nodes.
        (subtree, {"trimmed": _as_it_is}),
        (subtree.Subtree, {"_complain": _not_believed}),
        # A real node builds this set once; here, all nodes would build it.
        (downstream, {"frozenset": functools.lru_cache(4)(frozenset)}),
        (progress, {"_canonical": repr}),
    ]
    lane = {"Lane": lanes.SimLane, "Worker": worker, "sockets": _Sockets}
    sending = dict(lane, Dialer=dialer, SendLane=lanes.SimSendLane, Sealer=lambda key: None)
    receiving = dict(lane, Session=SimSession, ReceiveLane=lanes.SimReceiveLane, LaneOpener=lambda key, peer: None)
    places += [(child, {"Dialer": dialer, "Session": SimSession}), (lane_pool, sending), (parent, receiving)]
    saved = [(place, name, getattr(place, name, None)) for place, names in places for name in names]
    for place, names in places:
        for name, value in names.items():
            setattr(place, name, value)
    try:
        yield
    finally:
        for place, name, value in saved:
            if value is None:  # a builtin, which was no attribute of the module
                delattr(place, name)
            else:
                setattr(place, name, value)


class Ring:
    """One run. Call `start` and `run` within `seams`."""

    def __init__(self, world: World, network: Network, shape: Shape) -> None:
        self.world = world
        self.network = network
        self.shape = shape
        specs = tuple(NodeSpec("n%d" % rank, "h%d" % rank, 1) for rank in range(shape.count + 1))
        size = shape.chunks * CHUNK - 100
        image = Image(size, CHUNK)
        transport = Transport(min_rate=shape.min_rate, block_size=shape.block_size)
        self.plan = Plan(
            "run", specs, shape.fanout, image, shape.verify, True, shape.timeouts, transport=transport
        )
        self.machines = [Machine(world, network, rank) for rank in range(shape.count + 1)]
        network.machines = self.machines
        self.said_done: Dict[int, float] = {}
        #: What to do when a client first reports a state, by rank and state.
        self.triggers: Dict[Tuple[int, str], List[Callable[[], None]]] = {}
        self._phase_random = random.Random(world.random.random())

    @property
    def clients(self) -> List[Machine]:
        return self.machines[1:]

    @property
    def root(self) -> Any:
        return self.machines[0].node

    def restart(self, rank: int) -> None:
        """Start a new process where one was killed, without the old one's state."""
        self.machines[rank] = self.machines[rank].renewed()
        self.start(rank)

    def start(self, rank: int) -> None:
        """Start the process of a machine."""
        machine = self.machines[rank]
        machine.is_dead = False
        machine.incarnation += 1
        reactor = SimReactor(self.world, machine)
        world = self.world
        context = Context(
            "run", "n0" if rank == 0 else "", b"", reactor, self.shape.timeouts, lambda: bytes(32),  # type: ignore[arg-type]
            functools.partial(world.log, machine), _NoProfile(),  # type: ignore[arg-type]
        )  # fmt: skip
        self.world.dispatch(machine, lambda: self._begin(machine, context))

    def _begin(self, machine: Machine, context: Context) -> None:
        sock: Any = machine
        if machine.rank == 0:
            policy = server.Policy(self.shape.min_nodes)
            source: Any = SimSource(self.plan.image.size or 0)
            machine.node = server.Server(context, sock, lambda node: None, self.plan, source, policy)
        else:
            target: Any = SimTarget(machine)
            machine.node = client.Client(context, sock, functools.partial(self._heard, machine), lambda plan: target)
        reactor: Any = context.reactor
        first_s = self._phase_random.random() * self.shape.beat_s
        reactor.every(self.shape.beat_s, machine.node._beat, first_s)
        machine.node._begin()

    def _heard(self, machine: Machine, node: Any) -> None:
        """Check a client's state after every change."""
        for happen in self.triggers.pop((machine.rank, node.word.state), ()):
            happen()
        if node.word.state == "done" and not machine.has_said_done:
            machine.has_said_done = True
            self.said_done.setdefault(machine.rank, self.world.now)
            if machine.store is None or not machine.store.is_whole:
                self.world.violate("%s said done too early" % machine)

    def run(self, limit_s: float = LIMIT_S) -> None:
        """Run until every process has ended, for whatever reason."""
        self.world.run(limit_s, lambda: all(machine.is_over for machine in self.machines))
