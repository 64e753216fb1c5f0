# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Simulated time: a queue of events, each on its machine."""

from __future__ import annotations

import heapq
import itertools
import random
from typing import Any, Callable, List, Optional, Tuple

from ansible_collections.dolly.ring.plugins.module_utils.dolly.net.reactor import Timer

Callback = Callable[[], None]


class WouldWait(BaseException):
    """Raised where a thread would block. The simulation has no threads: it tries again after a change."""


class World:
    """The clock, the queue of events, and all randomness. `current` is the machine that is running."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.now = 0.0
        self.current: Any = None
        self.violations: List[str] = []
        self.lines: List[str] = []
        self.is_verbose = False
        self.events = 0
        #: More events than this mean an endless loop.
        self.most_events = 1000000
        self._queue: List[Tuple[float, int, Any, Callback]] = []
        self._order = itertools.count()

    def after(self, delay_s: float, owner: Any, callback: Callback) -> None:
        """Schedule an event on a machine, or on none (the network) with the owner None."""
        heapq.heappush(self._queue, (self.now + delay_s, next(self._order), owner, callback))

    def soon(self, callback: Callback) -> None:
        """Schedule an event on the current machine, after the events that are due already."""
        self.after(0.0, self.current, callback)

    def run(self, limit_s: float, is_over: Callable[[], bool]) -> None:
        """Advance time until `is_over`. Exceeding `limit_s` or `most_events` is a violation."""
        while self._queue and not is_over():
            moment, _order, owner, callback = heapq.heappop(self._queue)
            if moment > limit_s or self.events > self.most_events:
                self.violate("it is not over after %.0f s and %d events" % (moment, self.events))
                return
            self.now = moment
            self.dispatch(owner, callback)

    def dispatch(self, owner: Any, callback: Callback) -> None:
        """Run a callback as a machine: never if the machine is dead, later if it is frozen."""
        self.events += 1
        if owner is not None:
            if owner.is_dead:
                return
            if owner.is_frozen:
                owner.deferred.append(callback)
                return
        before, self.current = self.current, owner
        try:
            callback()
        except Exception as error:  # any bug of the engine: on a node it would end the process
            if owner is None:
                raise
            self.violate("%s: %r" % (owner, error))
            raise
        finally:
            self.current = before

    def violate(self, what: str) -> None:
        """Record that a rule was broken."""
        self.violations.append("%.3f %s" % (self.now, what))
        self.log("VIOLATION", what)

    def log(self, who: Any, line: str) -> None:
        """Add a line to the story, if the run is verbose."""
        if self.is_verbose:
            self.lines.append("%9.3f %-7s %s" % (self.now, who, line))


class SimReactor:
    """The reactor of one machine. Callbacks are dropped if the machine is dead, delayed if it is frozen."""

    def __init__(self, world: World, machine: Any) -> None:
        self._world = world
        self._machine = machine
        self.now: Callable[[], float] = lambda: world.now

    def call(self, callback: Callback) -> None:
        self._world.after(0.0, self._machine, callback)

    def after(self, delay_s: float, callback: Callback) -> Timer:
        timer = Timer(callback)
        self._world.after(delay_s, self._machine, timer.fire)
        return timer

    def every(self, interval_s: float, callback: Callback, first_s: Optional[float] = None) -> None:
        def again() -> None:
            callback()
            self.after(interval_s, again)

        self.after(interval_s if first_s is None else first_s, again)

    def stop(self) -> None:
        self._machine.end()


class _NoLock:
    """Stands in for a lock: there is only one thread."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_error: Any) -> None:
        pass


class Condition(_NoLock):
    """Stands in for a condition: a wait raises WouldWait, and `listeners` are called on each notification."""

    def __init__(self, _lock: Any = None) -> None:
        self.listeners: List[Callback] = []

    def notify_all(self) -> None:
        for listener in self.listeners:
            listener()

    def wait(self, timeout: Optional[float] = None) -> bool:
        raise WouldWait

    def wait_for(self, is_so: Callable[[], Any], timeout: Optional[float] = None) -> bool:
        if not is_so():
            raise WouldWait
        return True


class Threading:
    """Stands in for the module `threading` where only its locks and conditions are used."""

    RLock = _NoLock
    Lock = _NoLock
    Condition = Condition
