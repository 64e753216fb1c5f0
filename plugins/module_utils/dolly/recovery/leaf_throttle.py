# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rate limit of a permanent leaf: the bandwidth that its siblings, and the nodes behind them, do not use.

This bandwidth is unknown beforehand, so the throttle probes for it. At the start of each cycle the leaf
rests, and the rate of its siblings without it is measured. Then its limit rises a little every second while
the siblings are as fast as that, and is halved when they are slower.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Mapping, Optional

from ..rates import RateMeter

#: Bytes per second that a throttled child always gets: without data it could not be told from a dead one.
LEAST = 64 * 1024
#: The child rests for the first seconds of each cycle; data already under way to it arrives meanwhile.
REST_S = 4.0
CYCLE_S = 16.0
_STEP_S = 1.0
#: Rates are averaged over this many seconds.
_SMOOTH_S = 2.0
_MORE, _LESS = 1.25, 0.5
#: Siblings that are slower by up to this share show only the noise of a network; a greater loss is real.
_NOISE = 0.05


@dataclass(frozen=True)
class Appetite:
    """A sibling: the bytes it received in the first `seconds` of the run, whether it wants more, and whether
    its parent holds bytes that it has not taken."""

    received: int
    seconds: float
    wants: bool
    has_backlog: bool


class LeafThrottle:
    """The throttle of one parent. Call `look` several times a second."""

    def __init__(self) -> None:
        self._meters: Dict[int, RateMeter] = {}
        self._best = 0.0
        self._allowed = float(LEAST)
        self._cycle_at = 0.0
        self._next_at = 0.0

    def look(self, siblings: Mapping[int, Appetite], now: float) -> Optional[float]:
        """Return the bytes per second that all throttled children share from `now` on; None: no limit."""
        eaters = {rank: one for rank, one in siblings.items() if one.wants}
        if set(eaters) != set(self._meters):
            # Bandwidth that was spare before may be what the present siblings need.
            self._meters = {rank: RateMeter(_SMOOTH_S) for rank in eaters}
            self._best, self._allowed, self._cycle_at, self._next_at = 0.0, float(LEAST), now, now + REST_S
        for rank, one in eaters.items():
            self._meters[rank].add(one.seconds, one.received)
        if not eaters:
            return None
        if now >= self._cycle_at + CYCLE_S:
            self._cycle_at, self._next_at = now, now + REST_S
        if now >= self._next_at:
            self._step(eaters, now)
        return float(LEAST) if now < self._cycle_at + REST_S else self._allowed

    def _step(self, eaters: Mapping[int, Appetite], now: float) -> None:
        rate = sum(self._meters[rank].rate(one.seconds) for rank, one in eaters.items())
        has_rested = self._next_at == self._cycle_at + REST_S
        self._next_at = now + _STEP_S
        if has_rested:
            self._best = rate
        elif rate < self._best * (1 - _NOISE) and any(one.has_backlog for one in eaters.values()):
            self._allowed = max(LEAST, self._allowed * _LESS)
        else:
            self._allowed *= _MORE
