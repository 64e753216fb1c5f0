# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stores that lie, targets that fail, and whole nodes on threads of this process."""

from __future__ import annotations

import errno
import hashlib
import itertools
import random
import threading
import time
from typing import Any, Callable, Dict, List, Optional, Tuple

from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import Refused, TargetError
from ansible_collections.dolly.ring.plugins.module_utils.dolly.net import sockets
from ansible_collections.dolly.ring.plugins.module_utils.dolly.net.reactor import Reactor
from ansible_collections.dolly.ring.plugins.module_utils.dolly.plan.job import Image, NodeSpec, Plan, Timeouts
from ansible_collections.dolly.ring.plugins.module_utils.dolly.ranges import RangeSet
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay.client import Client
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay.context import Context
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay.server import Policy, Server
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.base import Target
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.memory import MemoryStore
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.source import Source
from ansible_collections.dolly.ring.tests.unit.plugins.module_utils.dolly.net.net_doubles import (
    PATIENCE_S,
    Background,
)

RUN_ID = "run-1"
SECRET = bytes(range(32))
CHUNK = 64 * 1024
#: Real limits, shortened: nothing here takes longer than a loopback round trip, on a machine that is not busy.
TIMEOUTS = Timeouts(join=30, barrier=30, connect=10, orphan=30, dead_after=15, stall=30, flush=30, handshake=10)

_nonces = itertools.count(1)


def nonce() -> bytes:
    """A fresh one each time, and the same ones in each session."""
    return hashlib.sha256(b"%d" % next(_nonces)).digest()


def make_image(size: int, seed: int = 11) -> bytes:
    return random.Random(seed).randbytes(size)


#: Some chunks and a part of one.
IMAGE = make_image(5 * CHUNK + 777)


def digests_of(data: bytes, chunk: int) -> bytes:
    return b"".join(hashlib.sha256(data[at : at + chunk]).digest() for at in range(0, len(data), chunk))


def make_context(name: str = "node", secret: bytes = SECRET, run_id: str = RUN_ID, timeouts=TIMEOUTS) -> Context:
    return Context(run_id, name, secret, Reactor(), timeouts, nonce, lambda line: None)


class WatchedStore(MemoryStore):
    """Counts what is written, and can be looked at after it was closed."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.events: List[str] = []
        self.received = 0
        self.zeroed = 0

    @property
    def content(self) -> bytes:
        return bytes(self._image)

    def receive(self, lane, offset: int, length: int) -> int:
        count = super().receive(lane, offset, length)
        self.received += count
        return count

    def zero(self, offset: int, length: int) -> None:
        super().zero(offset, length)
        self.zeroed += length

    def flush(self) -> None:
        super().flush()
        self.events.append("flush")

    def commit(self) -> None:
        super().commit()
        self.events.append("commit")

    def close(self) -> None:
        super().close()
        self.events.append("close")

    def abort(self) -> None:
        self._is_closed = True
        self.events.append("abort")


class FlippingStore(WatchedStore):
    """Stores a wrong byte at `flip_at`, as often as `times` says."""

    def __init__(self, size: int, flip_at: int, times: int = 1) -> None:
        super().__init__(size)
        self.flip_at = flip_at
        self.times = times

    def receive(self, lane, offset: int, length: int) -> int:
        count = super().receive(lane, offset, length)
        if self.times and offset <= self.flip_at < offset + count:
            self.times -= 1
            self._image[self.flip_at] ^= 0x40
        return count


class BadMemoryStore(WatchedStore):
    """What is read back is right, and what is sent is not, at `flip_at`: bad memory, or a bad network card."""

    def __init__(self, size: int, flip_at: int) -> None:
        super().__init__(size)
        self.flip_at = flip_at

    def send(self, lane, offset: int, length: int) -> None:
        data = bytearray(self._image[offset : offset + length])
        if offset <= self.flip_at < offset + length:
            data[self.flip_at - offset] ^= 0x40
        lane.from_view(memoryview(data))


class UnreadableStore(WatchedStore):
    """Nothing can be sent from it any more once it is `blind`."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.is_blind = False

    def send(self, lane, offset: int, length: int) -> None:
        if self.is_blind:
            raise TargetError(self.path, "read", offset, errno.EIO)
        super().send(lane, offset, length)


class LyingStore(WatchedStore):
    """A disk with something on it that says that it has zeroed a range, and has not."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self._image[:] = b"\xee" * size

    def zero(self, offset: int, length: int) -> None:
        self.zeroed += length


class FailingStore(WatchedStore):
    """The disk is bad from `fail_at` on."""

    def __init__(self, size: int, fail_at: int) -> None:
        super().__init__(size)
        self.fail_at = fail_at

    def receive(self, lane, offset: int, length: int) -> int:
        if offset >= self.fail_at:
            raise TargetError(self.path, "write", self.fail_at, errno.EIO)
        return super().receive(lane, offset, min(length, self.fail_at - offset))


class UsedStore(WatchedStore):
    """A disk with something on it."""

    OLD = b"\xee"

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self._image[:] = self.OLD * size


class SlowStore(WatchedStore):
    """Takes no byte beyond `limit` until it is let go."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(size)
        self.limit = limit
        self.reached = threading.Event()
        self.released = threading.Event()

    def receive(self, lane, offset: int, length: int) -> int:
        if offset >= self.limit:
            self.reached.set()
            self.released.wait(PATIENCE_S)
        else:  # a piece may be longer than what is to be taken of it
            length = min(length, self.limit - offset)
        return super().receive(lane, offset, min(length, 16 * 1024))


class SlowCommitStore(WatchedStore):
    """`commit` returns when the test says so."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.committing = threading.Event()
        self.released = threading.Event()

    def commit(self) -> None:
        self.committing.set()
        self.released.wait(PATIENCE_S)
        super().commit()


class MemoryTarget(Target):
    """A target whose store the test chooses; tells what was done to it."""

    def __init__(self, make_store: Callable[[int], WatchedStore] = WatchedStore) -> None:
        self.make_store = make_store
        self.store: Optional[WatchedStore] = None
        self.calls: List[str] = []

    def prepare(self) -> None:
        self.calls.append("prepare")

    def begin(self, size: int, chunk_size: int = 0) -> WatchedStore:
        self.calls.append("begin")
        self.store = self.make_store(size)
        return self.store

    def release(self) -> None:
        self.calls.append("release")


class RefusingTarget(MemoryTarget):
    """Somebody has it mounted."""

    def prepare(self) -> None:
        super().prepare()
        raise Refused("the target", "it is mounted")


class SlowTarget(MemoryTarget):
    """`prepare`, or `begin`, returns when the test says so."""

    def __init__(self, slow_call: str = "prepare") -> None:
        super().__init__()
        self.slow_call = slow_call
        self.entered = threading.Event()
        self.released = threading.Event()

    def prepare(self) -> None:
        super().prepare()
        self._wait("prepare")

    def begin(self, size: int, chunk_size: int = 0) -> WatchedStore:
        self._wait("begin")
        return super().begin(size, chunk_size)

    def _wait(self, call: str) -> None:
        if call == self.slow_call:
            self.entered.set()
            self.released.wait(PATIENCE_S)


class Running:
    """A node and the thread that its reactor runs on. Every word that its board had is kept."""

    def __init__(self, node: Any) -> None:
        self.node = node
        self.words: List[Tuple[str, ...]] = []
        self._thread = Background(node.run)

    @property
    def is_running(self) -> bool:
        return self._thread.is_running

    def join(self, timeout_s: float = 2 * PATIENCE_S) -> None:
        self._thread.result(timeout_s)

    def call(self, work: Callable[[], Any]) -> Any:
        """Run something on the node's own thread, and wait for what it returns."""
        box: List[Any] = []
        done = threading.Event()

        def run() -> None:
            box.append(work())
            done.set()

        self.node.context.reactor.call(run)
        if not done.wait(PATIENCE_S):
            raise AssertionError("the node's thread did not answer")
        return box[0]

    def kill(self) -> None:
        """As if the process had been killed: connections break, nobody says goodbye.

        What the kernel would clean up is cleaned up as soon as the node's threads come back; `join` waits for it.
        """
        if self.is_running:
            self.node.context.reactor.call(self._die)
            until(lambda: not self.is_running or self.node._listener._sock.fileno() < 0)

    def _die(self) -> None:
        self.node._listener.close()
        self.node._end_links()
        if self.node.ledger is not None:
            self.node.ledger.close()
        self._clean_up()

    def _clean_up(self) -> None:
        if self.node._is_busy() or self.node.context.attempts.is_busy:
            self.node.context.reactor.after(0.01, self._clean_up)
        else:
            self.node._release()
            self.node.context.reactor.stop()


class RingBench:
    """A server and members in this process. Targets by name; the rest are plain ones."""

    def __init__(
        self,
        tmp_path: Any,
        image: bytes,
        count: int,
        fanout: int = 1,
        chunk: int = CHUNK,
        verify: str = "readback",
        timeouts: Timeouts = TIMEOUTS,
        targets: Optional[Dict[int, MemoryTarget]] = None,
        policy: Policy = Policy(),
        absent: Tuple[int, ...] = (),
        holes: bool = False,
        mapped: Optional[RangeSet] = None,
    ) -> None:
        self.image = image
        self.path = tmp_path / "source"
        if not holes:
            self.path.write_bytes(image)
        self.targets = {rank: (targets or {}).get(rank) or MemoryTarget() for rank in range(1, count + 1)}
        self.members: Dict[int, Running] = {}
        self.words: Dict[int, List[str]] = {rank: [] for rank in self.targets}
        socks = {rank: sockets.listen("127.0.0.1", 0) for rank in range(count + 1)}
        specs = [NodeSpec("n%d" % rank, "127.0.0.1", socks[rank].getsockname()[1]) for rank in socks]
        source = Source(str(self.path))
        self.plan = Plan(RUN_ID, tuple(specs), fanout, Image(len(image), chunk, mapped=mapped), verify, True, timeouts)
        for rank in absent:
            socks.pop(rank).close()
        for rank in socks:
            if rank:
                self.members[rank] = self._member(rank, socks[rank], timeouts)
        context = make_context("n0", timeouts=timeouts)
        self.root = Running(Server(context, socks[0], lambda node: None, self.plan, source, policy))

    def _member(self, rank: int, sock: Any, timeouts: Timeouts) -> Running:
        def report(node: Any) -> None:
            if not self.words[rank] or self.words[rank][-1] != node.word.state:
                self.words[rank].append(node.word.state)

        context = make_context("n%d" % rank, timeouts=timeouts)
        return Running(Client(context, sock, report, lambda plan: self.targets[rank]))

    def join(self) -> "RingBench":
        for running in [self.root, *self.members.values()]:
            running.join()
        return self

    def close(self) -> None:
        """End whatever still runs, the rude way."""
        for running in [self.root, *self.members.values()]:
            running.kill()
        self.join()

    @property
    def states(self) -> List[str]:
        """By the server's word, in ring order."""
        return [entry["state"] for entry in self.root.node.nodes()]

    def state_of(self, rank: int) -> str:
        """By its own word."""
        return self.members[rank].node.word.state

    def content(self, rank: int) -> bytes:
        store = self.targets[rank].store
        return store.content if store is not None else b""

    def is_whole(self, rank: int) -> bool:
        store = self.targets[rank].store
        return store is not None and store.content == self.image and "commit" in store.events


def until(is_so: Callable[[], Any], patience_s: float = PATIENCE_S) -> None:
    """Wait for something that no event tells of."""
    give_up_at = time.monotonic() + patience_s
    while not is_so():
        if time.monotonic() > give_up_at:
            raise AssertionError("in vain")
        time.sleep(0.005)


def flipping(flip_at: int, times: int = 1) -> MemoryTarget:
    return MemoryTarget(lambda size: FlippingStore(size, flip_at, times))


def failing(fail_at: int) -> MemoryTarget:
    return MemoryTarget(lambda size: FailingStore(size, fail_at))


def slow(limit: int) -> MemoryTarget:
    return MemoryTarget(lambda size: SlowStore(size, limit))


def assert_all_done(bench: RingBench) -> None:
    """By the server's word and by their own, and what is there is the image."""
    told = [bench.root.node.state, *bench.states, *(bench.state_of(rank) for rank in bench.members)]
    assert told == ["done"] * (1 + 2 * len(bench.members)), told
    whole = [rank for rank in bench.members if bench.is_whole(rank)]
    assert whole == list(bench.members), "whole are only %s" % whole
