# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Turns a seed into a ring and a schedule of faults, runs it, and checks what must hold afterwards."""

from __future__ import annotations

import random
from typing import Callable, List, Optional, Set

from ansible_collections.dolly.ring.plugins.module_utils.dolly.plan.job import Timeouts
from ansible_collections.dolly.ring.tests.simulator import faults
from ansible_collections.dolly.ring.tests.simulator.faults import Schedule
from ansible_collections.dolly.ring.tests.simulator.network import Network
from ansible_collections.dolly.ring.tests.simulator.ring import Ring, Shape, seams
from ansible_collections.dolly.ring.tests.simulator.world import World

#: The limit of a node's control messages per second, multiplied by the number of nodes of the ring.
MAX_MESSAGES_PER_S = 25


def small_shape(seed: int) -> Shape:
    """A ring of one to seven clients."""
    chance = random.Random(seed)
    verify = "none" if chance.random() < 0.1 else "readback"
    return Shape(chance.randint(1, 7), chance.choice((1, 1, 1, 2, 3)), chance.randint(1, 8), verify=verify)


def large_shape(count: int) -> Shape:
    """A tree of many clients: a chain of so many would be useless in practice."""
    timeouts = Timeouts(join=300, barrier=120, connect=5, orphan=120, dead_after=10, stall=30, flush=60, handshake=10)
    return Shape(count, fanout=3, chunks=4, beat_s=2.0, timeouts=timeouts)


class Outcome:
    """One run and its violations. `draw` schedules the faults."""

    def __init__(
        self,
        seed: int,
        shape: Shape,
        is_verbose: bool = False,
        draw: Callable[[Ring], Schedule] = faults.draw,
        finalizes: bool = False,
    ) -> None:
        self.seed = seed
        self.world = World(seed)
        self.world.is_verbose = is_verbose
        self.world.most_events += 1000 * shape.count
        network = Network(self.world)
        with seams(self.world, network, shape):
            self.ring = Ring(self.world, network, shape)
            for machine in self.ring.clients:
                machine.finalizes = finalizes
            self.schedule = draw(self.ring)
            self._start()
            self.crash: Optional[Exception] = None
            try:
                self.ring.run()
            except Exception as error:  # raised by a node; the world has recorded a violation
                self.crash = error
        if self.crash is None:
            _check(self.ring, self.schedule)

    @property
    def violations(self) -> List[str]:
        """The rules that were broken, each with its time."""
        return self.world.violations

    def report(self) -> str:
        """Format everything that a person needs to analyse the run."""
        head = "seed %d: %s\nreplay: %s" % (self.seed, self.ring.shape, replay_command(self.seed))
        return "\n".join((head, *self.schedule.lines, *self.world.lines, *self.violations))

    def _start(self) -> None:
        for rank in range(self.ring.shape.count, -1, -1):
            delay = self.schedule.late.get(rank, 0.0)
            self.world.after(delay, None, lambda rank=rank: self.ring.start(rank))  # type: ignore[misc]


def replay_command(seed: int) -> str:
    """Return the command that replays a seed."""
    return ".venv/bin/python -m tests.simulator --seed %d" % seed


def _check(ring: Ring, schedule: Schedule) -> None:
    world = ring.world
    sure = {machine.rank for machine in schedule.sure}
    for machine in ring.clients:
        word = machine.node.word if machine.node is not None else None
        if machine.rank in sure and (word is None or word.state != "done"):
            error = (word.error or {}).get("message") if word is not None else "it never started"
            world.violate("%s should have the image, and is %s (%s)" % (machine, word and word.state, error))
        if word is not None and word.state == "done" and (machine.store is None or not machine.store.is_whole):
            world.violate("%s says done and is not" % machine)
        elif word is not None and word.state == "done" and machine.store.is_final != machine.finalizes:
            world.violate("%s says done and was not finalized, or should not have been" % machine)
        seconds = max(world.now, 1.0)
        if machine.messages > MAX_MESSAGES_PER_S * seconds * (ring.shape.count + 1):
            world.violate("%s sent %d messages in %.1f s" % (machine, machine.messages, seconds))
    if 0 not in schedule.broken:
        _check_server(ring, sure, not schedule.broken | schedule.shaken)


def _check_server(ring: Ring, sure: Set[int], is_calm: bool) -> None:
    # A node that leaves has told its parent that it is done. If the parent dies before it passes that on, and
    # both are out of reach afterwards, the server cannot know; the node's own result is right.
    fine = ("done",) if is_calm else ("done", "unreachable", "lost")
    root = ring.root
    if not ring.machines[0].has_ended:
        ring.world.violate("the server has not ended")
    for entry in root.nodes():
        rank, state = entry["position"], entry["state"]
        if state == "done" and rank not in ring.said_done:
            ring.world.violate("the server says that n%d is done; n%d never said so" % (rank, rank))
        if rank in sure and state not in fine:
            ring.world.violate("the server says that n%d is %s" % (rank, state))
