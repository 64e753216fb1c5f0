# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One measurement: start the nodes, start the sender, watch from outside until every node is done."""

from __future__ import annotations

import os
import re
import time
from dataclasses import asdict, dataclass, field
from typing import Any, Callable, Dict, List, Optional, TextIO

from .contenders import Contender, Pipeline, Ring
from .network import Loopback, Namespaces
from .options import Group
from .processes import Crew, is_listening, received_bytes
from .workspace import difference, flush

#: Traffic that is the image and no handshake any more.
_STREAMING = 256 * 1024
_FIRST_BYTE_INTERVAL_S = 0.002
_SAMPLE_INTERVAL_S = 0.005
_LISTEN_TIMEOUT_S = 20.0
#: Nobody here is slower than that to one node, in bytes per second.
_SLOWEST = 8 * (1 << 20)
_OWN_SECONDS = re.compile(r"^\S+ +done +\S+ \S+ +([0-9.]+) ", re.MULTILINE)


@dataclass
class Measurement:
    """What was seen of one contender in one round. Times in seconds, memory in bytes, `cpu` over all processes.

    `seconds` runs from the first part of the image at the first node until the last node is done and its target is
    on its medium; `cpu` is spent in that time. `wall` begins when the sender was started, `cpu_all` counts from the
    start of each process. `error` says why there are no figures.
    """

    group: Group
    contender: str
    round: int
    seconds: float = 0.0
    wall: float = 0.0
    own_seconds: Optional[float] = None
    cpu: float = 0.0
    cpu_all: float = 0.0
    peak: int = 0
    error: str = ""

    @property
    def rate(self) -> float:
        """Bytes per second to every node; holes do not count."""
        return self.group.data / self.seconds if self.seconds else 0.0

    @property
    def cpu_per_gb_and_hop(self) -> float:
        return self.per_gb_and_hop(self.cpu)

    def per_gb_and_hop(self, value: float) -> float:
        return value / (self.group.data / 1e9 * self.group.nodes)

    def to_dict(self) -> Dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: Dict[str, Any]) -> Measurement:
        return cls(**dict(fields, group=Group(**fields["group"])))


@dataclass
class Watch:
    """Moments on the monotonic clock."""

    started: float = 0.0
    streaming: float = 0.0
    ended: float = 0.0
    before: int = 0
    first_pid: int = 0
    deadline: float = 0.0
    nodes: List[int] = field(default_factory=list)


class Problem(Exception):
    """A contender did not get through; the sentence says why."""


def measure(
    contender: Contender,
    group: Group,
    ring: Ring,
    network: Loopback | Namespaces,
    log: TextIO,
    follow: Callable[[], None],
) -> Measurement:
    """Run one contender once. Never raises for what the contender does wrong: see `error`.

    `follow` is called every few milliseconds while the image is under way: see the reservoir.
    """
    found = Measurement(group, contender.name, 0)
    begin = log.tell()
    with Crew(log) as crew:
        try:
            watch = _run(crew, contender, group, ring, network, follow)
            _check(ring)
            watch.ended = time.monotonic() if group.target == "disk" else watch.ended
        except Problem as problem:
            found.error = str(problem)
            return found
        found.seconds = watch.ended - watch.streaming
        found.wall = watch.ended - watch.started
        found.cpu_all = sum(stage.cpu_s for stage in crew.stages)
        found.cpu = found.cpu_all - sum(stage.cpu_before_s for stage in crew.stages)
        found.peak = _peak(crew, ring.nodes)
    found.own_seconds = _own_seconds(log, begin)
    return found


def _run(
    crew: Crew,
    contender: Contender,
    group: Group,
    ring: Ring,
    network: Loopback | Namespaces,
    follow: Callable[[], None],
) -> Watch:
    nodes, sender = contender.plans(ring)
    for pipeline in nodes:
        _start(crew, pipeline, ring, network)
        _wait_for_listener(crew, pipeline)
    watch = Watch(deadline=time.monotonic() + 60 + group.data * group.nodes / _SLOWEST)
    if nodes:
        watch.first_pid = next(stage.process.pid for stage in crew.stages if stage.rank == 1)
        watch.before = received_bytes(watch.first_pid)
    watch.started = time.monotonic()
    _start(crew, sender, ring, network)
    _watch(crew, watch, min(_STREAMING, group.data // 4), follow)
    return watch


def _start(crew: Crew, pipeline: Pipeline, ring: Ring, network: Loopback | Namespaces) -> None:
    folder = ring.folders[pipeline.rank]
    prefix = network.prefix(pipeline.rank)
    crew.start(pipeline.rank, pipeline.commands, folder, pipeline.stdin, pipeline.stdout, prefix)


def _wait_for_listener(crew: Crew, pipeline: Pipeline) -> None:
    deadline = time.monotonic() + _LISTEN_TIMEOUT_S
    pid = next(stage.process.pid for stage in crew.stages if stage.rank == pipeline.rank)
    while not is_listening(pid, pipeline.port):
        crew.poll(0.01)
        if crew.failure():
            raise Problem(crew.failure())
        if time.monotonic() > deadline:
            raise Problem("rank %d did not listen within %g s" % (pipeline.rank, _LISTEN_TIMEOUT_S))


def _watch(crew: Crew, watch: Watch, threshold: int, follow: Callable[[], None]) -> None:
    """Wait for everybody's end. The first node's interface tells when the image begins to arrive."""
    watch.streaming = 0.0 if watch.first_pid else watch.started
    while not crew.is_over():
        crew.poll(_SAMPLE_INTERVAL_S if watch.streaming else _FIRST_BYTE_INTERVAL_S)
        now = time.monotonic()
        if not watch.streaming and received_bytes(watch.first_pid) - watch.before >= threshold:
            watch.streaming = now
            for stage in crew.stages:
                stage.note_cpu()
        if watch.streaming:
            follow()
        if crew.failure():
            raise Problem(crew.failure())
        if now > watch.deadline:
            raise Problem("not done after %.0f s" % (now - watch.started))
    done = [stage.ended_at or 0.0 for stage in crew.stages if stage.rank or not watch.first_pid]
    watch.ended = max(done)
    watch.streaming = watch.streaming or watch.started


def _check(ring: Ring) -> None:
    """Flush the targets: within the clock where they are on a disk."""
    for rank in range(1, ring.nodes + 1):
        problem = "" if os.path.exists(ring.output(rank)) else "no target"
        if problem:
            raise Problem("rank %d: %s" % (rank, problem))
        flush(ring.output(rank))


def compare(ring: Ring) -> str:
    """How the targets differ from the source, or ""."""
    for rank in range(1, ring.nodes + 1):
        problem = difference(ring.source, ring.output(rank))
        if problem:
            return "rank %d: %s" % (rank, problem)
    return ""


def _peak(crew: Crew, nodes: int) -> int:
    """The largest node's; a node's programs are added up."""
    by_rank: Dict[int, int] = {}
    for stage in crew.stages:
        by_rank[stage.rank] = by_rank.get(stage.rank, 0) + stage.peak
    return max([peak for rank, peak in by_rank.items() if rank] or [by_rank.get(0, 0)])


def _own_seconds(log: TextIO, begin: int) -> Optional[float]:
    """What the slowest node reported of itself, in the sender's table."""
    log.flush()
    with open(log.name, encoding="utf-8", errors="replace") as file:
        file.seek(begin)
        found = [float(text) for text in _OWN_SECONDS.findall(file.read())]
    return max(found) if found else None
