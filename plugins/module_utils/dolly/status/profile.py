# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node spends its time on: each thread records its activity, and snapshots carry the sums.

    receive   waiting for bytes from the parent
    write     writing or zeroing in the target
    read      reading the target back; the server: reading the source
    hash      digesting what was read
    flush     fsync and publishing the image
    idle      the receiving side did none of receive, write, flush
    children  by name: `send`, in calls that send (mostly waiting for the child's socket), and
              `lack`, waiting because the child lacks bytes that this node does not have yet

All values are seconds since START; waits that are not over are included.
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
    """The lifetime of a thread so far, and the seconds of each activity."""

    began_at: float
    until: float
    seconds: Dict[str, float]


class Stopwatch:
    """How long one thread spends on each activity. Only the thread calls `turn_to`; any thread may read."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began_at = clock()
        self._now: Tuple[str, float] = (IDLE, self._began_at)
        self._seconds: Dict[str, float] = {}
        self._ended_at: Optional[float] = None

    @property
    def doing(self) -> str:
        """The thread's current activity."""
        return self._now[0]

    def turn_to(self, what: str) -> None:
        """Note that the thread now starts this activity. Costs well under a microsecond."""
        doing, since = self._now
        if what != doing:
            now = self._clock()
            self._now = (what, now)
            self._seconds[doing] = self._seconds.get(doing, 0.0) + now - since

    def stop(self, is_in_vain: bool = False) -> None:
        """Note that the thread ends. `is_in_vain`: count its last activity, a futile wait, as idle."""
        doing, since = self._now
        self._now = (IDLE if is_in_vain else doing, since)
        self._ended_at = self._clock()

    def span(self, but: str = "") -> _Span:
        """Return the seconds of each activity; the current activity counts as idle if it is `but`."""
        doing, since = self._now
        until = max(since, self._clock() if self._ended_at is None else self._ended_at)
        seconds = dict(self._seconds)
        doing = IDLE if doing == but else doing
        seconds[doing] = seconds.get(doing, 0.0) + until - since
        return _Span(self._began_at, until, seconds)


class Profile:
    """The stopwatches of one node. May be used from any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._incoming: List[Stopwatch] = []
        self._working: List[Stopwatch] = []
        self._outgoing: Dict[str, List[Stopwatch]] = {}
        self._before: Dict[str, float] = {}

    def start(self) -> None:
        """Note START: work before it, such as digesting the source for its checksum, does not count."""
        with self._lock:
            self._before = _together([watch.span() for watch in self._working])

    def incoming(self) -> Stopwatch:
        """Return the stopwatch for a thread that receives."""
        return self._add(self._incoming)

    def working(self) -> Stopwatch:
        """Return the stopwatch for a thread that digests, verifies or flushes."""
        return self._add(self._working)

    def outgoing(self, child: str) -> Stopwatch:
        """Return the stopwatch for a thread that sends to `child`."""
        with self._lock:
            watches = self._outgoing.setdefault(child, [])
        return self._add(watches)

    def times(self, seconds: float, is_whole: bool) -> Dict[str, Any]:
        """Return the table of this module at `seconds` after START, without activities that took no time.

        `is_whole`: the node has the whole image, so a lane that still waits for bytes is idle. Concurrent
        lanes count as one: together they do not wait longer than the elapsed time.
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
    """Return the seconds of threads, concurrent or in turn, scaled to one thread over the whole time."""
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
