# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Simulated machines: a process that runs, dies or freezes; a disk that is fast, slow, hung or bad."""

from __future__ import annotations

import errno
from typing import Any, Callable, Dict, List, Optional, Set, Tuple

from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import TargetError
from ansible_collections.dolly.ring.plugins.module_utils.dolly.ranges import RangeSet
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay.work.digester import Digester
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay.work.recheck import Recheck
from ansible_collections.dolly.ring.tests.simulator.network import End, Network, SimListener
from ansible_collections.dolly.ring.tests.simulator.world import World, WouldWait

MIB = 1 << 20
Ended = Callable[[Optional[BaseException]], None]


class Machine:
    """The machine of one node. The schedule of faults decides what happens to it."""

    def __init__(self, world: World, network: Network, rank: int) -> None:
        self.world = world
        self.network = network
        self.rank = rank
        self.node: Any = None
        self.store: Optional[SimStore] = None
        self.listener: Optional[SimListener] = None
        self.ends: Set[End] = set()
        self.deferred: List[Callable[[], None]] = []
        self.is_dead = True  # until `start`
        self.is_silent = False
        self.is_frozen = False
        self.is_hung = False  # its disk neither writes nor reads
        self.is_swallowed = False  # data on its lanes is lost, unnoticed
        self.is_unreadable = False  # its disk cannot be read for others
        self.has_ended = False  # without being killed
        self.has_said_done = False
        self.bad_from: Optional[int] = None  # writes at or beyond this offset fail
        self.flips: Dict[int, int] = {}  # by chunk: how many more times it arrives damaged
        self.disk_rate = 64.0 * MIB
        self.in_rate = self.out_rate = 8.0 * MIB
        self.prepare_s = 0.01
        self.flush_s = 0.2
        self.finalizes = False  # whether its target must differ from the image in the end
        self.messages = 0
        self.sending = 0
        self.receiving = 0
        self.epoch = 0  # the highest epoch of a parent so far
        self.incarnation = 0

    def renewed(self) -> "Machine":
        """Return the same machine without any state of a process."""
        other = Machine(self.world, self.network, self.rank)
        other.incarnation = self.incarnation
        other.finalizes = self.finalizes
        other.disk_rate, other.in_rate, other.out_rate = self.disk_rate, self.in_rate, self.out_rate
        return other

    @property
    def is_over(self) -> bool:
        """Whether it will do nothing more."""
        return self.incarnation > 0 and (self.is_dead or self.is_frozen)

    def __str__(self) -> str:
        return "n%d" % self.rank

    def accept(self, end: End) -> None:
        """Accept a connection in the kernel; the process sees it once it runs."""
        self.world.dispatch(self, lambda: self.listener.accept(end) if self.listener else end.close())

    def note_parent(self, channel: Any, epoch: int) -> None:
        """Check the epoch of a parent that has proved its identity, if the node took it."""
        link = self.node._upstream._link
        if link is not None and link._channel is channel:
            if epoch <= self.epoch:
                self.world.violate("%s took a parent of epoch %d after %d" % (self, epoch, self.epoch))
            self.epoch = epoch

    def end(self) -> None:
        """The process ends by itself."""
        self.has_ended = True
        self._vanish()

    def kill(self) -> None:
        """The process is killed; the kernel closes its connections."""
        self.world.log(self, "killed")
        self._vanish()

    def lose_power(self) -> None:
        """Like `kill`, but no connection is closed."""
        self.world.log(self, "lost power")
        self.is_silent = True
        self._vanish()

    def freeze(self) -> None:
        self.world.log(self, "frozen")
        self.is_frozen = True

    def thaw(self) -> None:
        self.world.log(self, "thawed")
        self.is_frozen = False
        deferred, self.deferred = self.deferred, []
        for callback in deferred:
            self.world.dispatch(self, callback)

    def hang(self) -> None:
        self.world.log(self, "its disk hangs")
        self.is_hung = True

    def rot(self, chunk: int) -> None:
        """A good chunk on its disk becomes damaged."""
        self.world.log(self, "chunk %d turns on its disk" % chunk)
        if self.store is not None:
            self.store.damaged.add(chunk)

    def go_blind(self) -> None:
        self.world.log(self, "its disk cannot be read any more")
        self.is_unreadable = True

    def _vanish(self) -> None:
        self.is_dead = True
        self.listener = None
        for end in list(self.ends):
            end.close()


class SimWorker:
    """Like `workers.Worker`. Work with `run_simulated` runs in simulated time; other work takes a moment."""

    def __init__(self, world: World, name: str, work: Callable[[], None], on_end: Ended) -> None:
        self._world = world
        self._name = name
        self._work = work
        self._on_end = on_end

    def start(self) -> None:
        owner = getattr(self._work, "__self__", None)
        run = getattr(owner, "run_simulated", None)
        if run is not None:
            self._world.soon(lambda: run(self._on_end))
            return
        machine = self._world.current
        self._world.after(machine.prepare_s if self._name == "prepare" else 0.005, machine, self._run)

    def _run(self) -> None:
        machine = self._world.current
        if machine.is_hung and self._name == "begin":  # the disk hangs while it is opened
            self._world.after(0.1, machine, self._run)
            return
        error: Optional[BaseException] = None
        try:
            self._work()
        except Exception as caught:
            error = caught
        self._on_end(error)


class SimStore:
    """The state of a disk: ranges, damaged chunks, and whether it was flushed and published."""

    def __init__(self, machine: Machine, size: int) -> None:
        self.path = "/simulated/%s" % machine
        self.window = None
        self.needs_finalizing = machine.finalizes
        self.is_untouched = False
        self.is_final = False
        self.size = size
        self.notes: List[str] = []
        self.machine = machine
        self.written = RangeSet()
        self.writing: List[Tuple[int, int]] = []
        self.damaged: Set[int] = set()
        self.is_flushed = False
        self.is_committed = False

    def begin_write(self, start: int, end: int) -> None:
        for other_start, other_end in self.writing:
            if start < other_end and other_start < end:
                self.machine.world.violate("%s: two writers at %d" % (self.machine, start))
        self.writing.append((start, end))

    def end_write(self, start: int, end: int, chunk: int, is_damaged: bool) -> None:
        self.writing.remove((start, end))
        if self.machine.bad_from is not None and end > self.machine.bad_from:
            raise TargetError(self.path, "write", self.machine.bad_from, errno.EIO)
        self.written.add(start, end)
        if is_damaged:
            self.damaged.add(chunk)
        else:
            self.damaged.discard(chunk)

    @property
    def is_whole(self) -> bool:
        """Whether the complete, undamaged image is flushed and published."""
        return self.written.covers(0, self.size) and not self.damaged and self.is_flushed and self.is_committed

    def finalize(self) -> None:
        """From now on, the target differs from the image."""
        if not self.is_whole:
            self.machine.world.violate("%s: finalized before it was whole" % self.machine)
        self.is_final = True

    def close(self) -> None:
        pass

    abort = close


class SimTarget:
    """Returns the machine's store."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def prepare(self) -> None:
        pass

    def begin(self, size: int, _resumable: bool) -> SimStore:
        self._machine.store = SimStore(self._machine, size)
        return self._machine.store

    def release(self) -> None:
        pass


class SimSource:
    """The image on the server."""

    def __init__(self, size: int) -> None:
        self.path = "/simulated/image"
        self.size = size
        self.damaged: Set[int] = set()

    def data_ranges(self) -> RangeSet:
        return RangeSet.span(0, self.size)

    def check_unchanged(self) -> None:
        pass

    def close(self) -> None:
        pass


class SimDigester(Digester):
    """Digests everything at once. A second look at a chunk always finds it unchanged."""

    def digest_all(self, _wants_sha256: bool) -> None:
        ledger = self._ledger
        count = ledger.image.chunk_count or 0
        ledger.hold(RangeSet.span(0, ledger.size), RangeSet())
        ledger.learn(0, bytes(32) * count)
        for index in range(count):
            ledger.accept(index)
        self._publish(0, bytes(32) * count)

    def _look_again(self, _index: int) -> None:
        pass


class SimRecheck(Recheck):
    """Finds the damage that the schedule of faults has caused."""

    def _is_right(self, index: int) -> bool:
        store: Any = self._store
        return index not in store.damaged


class SimFinisher:
    """Like `relay.work.finisher.Finisher`: verifies, flushes, publishes. Each step takes simulated time."""

    drain = None
    is_sinking = False

    def __init__(
        self, store: SimStore, ledger: Any, verifies: bool, syncs: bool, on_bad: Callable[[int], None], watch: Any
    ) -> None:
        self.is_flushing = self.is_published = self.is_synced = False
        self._store = store
        self._ledger = ledger
        self._verifies = verifies
        self._on_bad = on_bad
        self._machine = store.machine
        self._world = store.machine.world
        self._is_busy = False
        self._on_end: Ended = lambda error: None

    @property
    def outcome(self) -> Dict[str, bool]:
        return {"synced": True, "changed": True}

    def keep_journal(self, *_anything: Any) -> None:
        pass

    def run(self) -> None:
        raise NotImplementedError

    def run_simulated(self, on_end: Ended) -> None:
        self._on_end = on_end
        self._ledger._whole.listeners.append(self._look)
        self._look()

    def _after(self, delay_s: float, callback: Callable[[], None]) -> None:
        self._world.after(delay_s, self._machine, callback)

    def _look(self) -> None:
        if not self._is_busy:
            self._is_busy = True
            self._after(0.0, self._next)

    def _next(self) -> None:
        ledger = self._ledger
        if ledger.is_closed:
            self._end()
        elif ledger.is_complete:
            self._seal()
        elif self._verifies:
            self._next_chunk()
        else:
            self._is_busy = False

    def _seal(self) -> None:
        try:
            self._ledger.seal()
        except WouldWait:
            self._after(0.05, self._next)
        else:
            self.is_flushing = True
            self._after(self._machine.flush_s, self._flushed)

    def _next_chunk(self) -> None:
        try:
            index = self._ledger.next_chunk()
        except WouldWait:
            self._is_busy = False
            return
        if index is None:
            self._end()
            return
        self._verify(index)

    def _verify(self, index: int) -> None:
        if self._machine.is_hung:
            self._after(0.1, lambda: self._verify(index))
            return
        start, end = self._ledger.image.chunk_bounds(index)
        self._after((end - start) / (200.0 * MIB), lambda: self._verified(index))

    def _verified(self, index: int) -> None:
        if index not in self._store.damaged:
            self._ledger.accept(index)
        else:
            self._ledger.reject(index)
            self._on_bad(index)
        self._next()

    def _flushed(self) -> None:
        if self._machine.is_hung:
            self._after(0.1, self._flushed)
            return
        if self._ledger.is_closed:
            self._end()
            return
        self._store.is_flushed = self._store.is_committed = True
        self.is_synced = self.is_published = True
        self._end()

    def _end(self) -> None:
        listeners = self._ledger._whole.listeners
        if self._look in listeners:
            listeners.remove(self._look)
        self._is_busy = True  # never look again
        self._on_end(None)
