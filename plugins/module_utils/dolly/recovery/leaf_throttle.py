# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a child that is a leaf for good may take: the bandwidth that its siblings, and all behind them, leave.

How much that is nobody knows beforehand, so it is tried out. Now and then such a child rests, and its siblings show
what they take without it. Then it gets a little more from second to second as long as they take no less, and half of
it when they do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Mapping, Optional

from ..rates import RateMeter

#: Bytes per second that such a child always gets, or it could not be told from a dead one.
LEAST = 64 * 1024
#: It rests for the first seconds of each cycle; what was under way to it arrives meanwhile.
REST_S = 4.0
CYCLE_S = 16.0
_STEP_S = 1.0
#: Over so many seconds rates are smoothed.
_SMOOTH_S = 2.0
_MORE, _LESS = 1.25, 0.5
#: That siblings are slower by this part is the noise of a network; more than that is their loss.
_NOISE = 0.05


@dataclass(frozen=True)
class Appetite:
    """A sibling: bytes that came to it in the first `seconds` of the run, whether it wants more, and whether more is
    here than it has taken."""

    received: int
    seconds: float
    wants: bool
    has_backlog: bool


class LeafThrottle:
    """The decisions of one parent. `look` is called several times a second."""

    def __init__(self) -> None:
        self._meters: Dict[int, RateMeter] = {}
        self._best = 0.0
        self._allowed = float(LEAST)
        self._cycle_at = 0.0
        self._next_at = 0.0

    def look(self, siblings: Mapping[int, Appetite], now: float) -> Optional[float]:
        """Bytes per second for those held back, all together, from `now` on; None: as much as they can take."""
        eaters = {rank: one for rank, one in siblings.items() if one.wants}
        if set(eaters) != set(self._meters):
            # What was left before may be what these need now.
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
