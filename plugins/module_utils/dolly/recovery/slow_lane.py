# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""When one of several lanes of a link is closed, so that its pieces go over another lane.

A pulled cable raises no error: the lane keeps waiting, and its pieces with it. And at the end of a run a slow
lane would make all nodes wait for its last piece. A lane is only judged by comparison with the others: when
all lanes stand still, the cause lies elsewhere, and closing a lane does not help.
"""

from __future__ import annotations

from typing import Dict, List, Mapping, NamedTuple, Optional

#: At the end a lane may take this many times as long for a piece as the median of the others, and at least
#: SHORTEST_S.
PATIENCE = 4.0
SHORTEST_S = 2.0


class LaneSight(NamedTuple):
    """A lane at one moment: what it has delivered, and what it still has to deliver, in any unit."""

    brought: int
    pending: int


class _Lane:
    def __init__(self, sight: LaneSight, now: float) -> None:
        self.sight = sight
        self.first_brought = sight.brought
        self.opened_at = self.still_since = now
        self.moved_at: Optional[float] = None

    def look(self, sight: LaneSight, now: float) -> None:
        if sight.brought != self.sight.brought:
            self.moved_at = now
        if sight.brought != self.sight.brought or not sight.pending:
            self.still_since = now
        self.sight = sight

    @property
    def seconds_each(self) -> Optional[float]:
        brought = self.sight.brought - self.first_brought
        return (self.moved_at - self.opened_at) / brought if brought and self.moved_at is not None else None


class SlowLaneWatch:
    """Watches the lanes of one link. A lane is dead if only others deliver for ``silence_s`` seconds."""

    def __init__(self, silence_s: float) -> None:
        self._silence_s = silence_s
        self._lanes: Dict[int, _Lane] = {}

    def look(self, lanes: Mapping[int, LaneSight], is_at_end: bool, now: float) -> List[int]:
        """The lanes to close at time `now` in seconds. ``is_at_end``: no piece waits for a lane any more."""
        for number in set(self._lanes) - set(lanes):
            del self._lanes[number]
        for number, sight in lanes.items():
            self._lanes.setdefault(number, _Lane(sight, now)).look(sight, now)
        return [number for number, lane in self._lanes.items() if self._is_laggard(number, lane, is_at_end, now)]

    def _is_laggard(self, number: int, lane: _Lane, is_at_end: bool, now: float) -> bool:
        others = [other for key, other in self._lanes.items() if key != number]
        still_s = now - lane.still_since
        if not lane.sight.pending or not others:
            return False
        if still_s > self._silence_s and any((other.moved_at or -1.0) > lane.still_since for other in others):
            return True
        if not is_at_end or any(other.sight.pending for other in others):
            return False
        usual = sorted(each for each in (other.seconds_each for other in others) if each is not None)
        return bool(usual) and still_s > max(SHORTEST_S, PATIENCE * usual[len(usual) // 2])
