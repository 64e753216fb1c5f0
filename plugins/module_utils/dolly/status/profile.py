# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a node's time goes: each of its threads says what it turns to, the sums travel in its snapshots.

    receive   waiting for bytes from the parent
    write     writing or zeroing in the target
    read      reading the target back; the server: reading the source
    hash      digesting what was read
    flush     fsync and putting the image in its place
    idle      of the receiving side: none of receive, write, flush
    children  by name: `send`, in calls that send (waiting for the child's socket, mostly), and
              `lack`, waiting because the child lacks something that this node has not got yet

All in seconds since START, waits that are not over included.
"""

from __future__ import annotations

import threading
import time
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

IDLE = "idle"
_INCOMING = ("receive", "write")
_WORK = ("read", "hash", "flush")
_OUTGOING = ("send", "lack")
_DIGITS = 2


class _Span(NamedTuple):
    """The life of a thread so far, and what it did with it."""

    began_at: float
    until: float
    seconds: Dict[str, float]


class Stopwatch:
    """What one thread turns to, and for how long. `turn_to` is its owner's; everybody may read."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began_at = clock()
        self._now: Tuple[str, float] = (IDLE, self._began_at)
        self._seconds: Dict[str, float] = {}
        self._ended_at: Optional[float] = None

    @property
    def doing(self) -> str:
        """What the thread does now."""
        return self._now[0]

    def turn_to(self, what: str) -> None:
        """From now on the thread does this. Costs well under a microsecond."""
        doing, since = self._now
        if what != doing:
            now = self._clock()
            self._now = (what, now)
            self._seconds[doing] = self._seconds.get(doing, 0.0) + now - since

    def stop(self, is_in_vain: bool = False) -> None:
        """The thread ends. `is_in_vain`: what it did last led to nothing, as waiting on a lane that was closed."""
        doing, since = self._now
        self._now = (IDLE if is_in_vain else doing, since)
        self._ended_at = self._clock()

    def span(self, but: str = "") -> _Span:
        """Seconds by what it did; something that is still being done and is called `but` counts as idle."""
        doing, since = self._now
        until = max(since, self._clock() if self._ended_at is None else self._ended_at)
        seconds = dict(self._seconds)
        doing = IDLE if doing == but else doing
        seconds[doing] = seconds.get(doing, 0.0) + until - since
        return _Span(self._began_at, until, seconds)


class Profile:
    """The stopwatches of one node. May be used from every thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._incoming: List[Stopwatch] = []
        self._working: List[Stopwatch] = []
        self._outgoing: Dict[str, List[Stopwatch]] = {}
        self._before: Dict[str, float] = {}

    def start(self) -> None:
        """START has come: what was done before, a source digested for its checksum, does not count."""
        with self._lock:
            self._before = _together([watch.span() for watch in self._working])

    def incoming(self) -> Stopwatch:
        """For a thread that receives."""
        return self._add(self._incoming)

    def working(self) -> Stopwatch:
        """For a thread that digests, verifies, flushes."""
        return self._add(self._working)

    def outgoing(self, child: str) -> Stopwatch:
        """For a thread that sends to `child`."""
        with self._lock:
            watches = self._outgoing.setdefault(child, [])
        return self._add(watches)

    def times(self, seconds: float, is_whole: bool) -> Dict[str, Any]:
        """The table at the top, without what took no time, `seconds` after START.

        `is_whole`: the image is here, so a lane that waits for bytes waits for nothing. Lanes side by side
        count as one: together they do not wait longer than the clock.
        """
        with self._lock:
            incoming = _together([watch.span("receive" if is_whole else "") for watch in self._incoming])
            working = _together([watch.span() for watch in self._working])
            working = {what: working[what] - self._before.get(what, 0.0) for what in working}
            outgoing = {
                child: _together([watch.span() for watch in watches]) for child, watches in self._outgoing.items()
            }
        times: Dict[str, Any] = _rounded(incoming, _INCOMING)
        times.update(_rounded(working, _WORK))
        busy = sum(incoming.get(what, 0.0) for what in _INCOMING) + working.get("flush", 0.0)
        if incoming:
            times.update(_rounded({IDLE: seconds - busy}, (IDLE,)))
        if outgoing:
            times["children"] = {child: _rounded(found, _OUTGOING) for child, found in outgoing.items()}
        return times

    def _add(self, watches: List[Stopwatch]) -> Stopwatch:
        watch = Stopwatch(self._clock)
        with self._lock:
            watches.append(watch)
        return watch


def _together(spans: List[_Span]) -> Dict[str, float]:
    """Seconds of threads that ran beside or after each other, as of one that ran all the time."""
    sums: Dict[str, float] = {}
    for span in spans:
        for what, seconds in span.seconds.items():
            sums[what] = sums.get(what, 0.0) + seconds
    lived = sum(span.until - span.began_at for span in spans)
    if len(spans) < 2 or not lived:
        return sums
    elapsed = max(span.until for span in spans) - min(span.began_at for span in spans)
    share = min(1.0, elapsed / lived)
    return {what: seconds * share for what, seconds in sums.items()}


def _rounded(seconds: Dict[str, float], names: Tuple[str, ...]) -> Dict[str, float]:
    rounded = {name: round(max(0.0, seconds.get(name, 0.0)), _DIGITS) for name in names}
    return {name: value for name, value in rounded.items() if value}
