# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The history of a run as the server saw it: how much each node held over time, and what happened to it.

Its size is bounded for any length of a run and any number of nodes: when the room for samples is used up,
every second sample is dropped, and later samples are taken half as often.
"""

from __future__ import annotations

from typing import Any, Dict, List

from ..status.snapshot import Board, Snapshot

MOST_SAMPLES = 600
MOST_NUMBERS = 60_000
FEWEST_SAMPLES = 60
MOST_EVENTS = 2_000
_FIRST_STEP_S = 0.25


class History:
    """Takes in the board whenever it may have changed. Times are in seconds of any one clock."""

    def __init__(self) -> None:
        self._begin = -1.0
        self._step_s = _FIRST_STEP_S
        self._times: List[float] = []
        self._held: Dict[int, List[int]] = {}
        self._known: Dict[int, Snapshot] = {}
        self._events: List[Dict[str, Any]] = []
        self._left_out = 0
        self._serial = 0

    def note(self, now: float, board: Board, is_last: bool = False) -> None:
        """Record what has changed on the board since the last call."""
        if self._begin < 0:
            self._begin = now
        at = round(now - self._begin, 3)
        for snapshot in board.changed_since(self._serial):
            self._compare(at, snapshot)
            self._known[snapshot.rank] = snapshot
        self._serial = board.serial
        is_due = not self._times or at - self._times[-1] >= self._step_s
        if is_last and not is_due:  # the end replaces the last sample, which is too recent for a rate
            self._times.pop()
            for held in self._held.values():
                held.pop()
        if is_due or is_last:
            self._sample(at)

    def _sample(self, at: float) -> None:
        for rank, snapshot in self._known.items():
            held = self._held.setdefault(rank, [0] * len(self._times))
            held.append(snapshot.held)
        self._times.append(at)
        room = max(FEWEST_SAMPLES, min(MOST_SAMPLES, MOST_NUMBERS // max(1, len(self._held))))
        if len(self._times) > room:
            self._step_s *= 2
            self._times = self._times[::2]
            self._held = {rank: held[::2] for rank, held in self._held.items()}

    def _compare(self, at: float, new: Snapshot) -> None:
        old = self._known.get(new.rank)
        if old is None or old.state != new.state:
            why = str((new.error or {}).get("message") or "")
            self._add(at, new, "%s: %s" % (new.state, why) if why else new.state)
        if new.late and not (old is not None and old.late):
            self._add(at, new, "late: came when the run had started")
        if old is not None and new.demoted and not old.demoted:
            self._add(at, new, "demoted: too slow, the others go on without it")
        if old is not None and old.parent is not None and new.parent is not None and old.parent != new.parent:
            parents = (self._name(new.parent), self._name(old.parent))
            self._add(at, new, "healed: gets the rest from %s instead of %s" % parents)
        if old is not None and new.repaired > old.repaired:
            self._add(at, new, "%d damaged chunks sent again" % (new.repaired - old.repaired))

    def _name(self, rank: int) -> str:
        known = self._known.get(rank)
        return known.name if known is not None else "the server" if rank == 0 else "node %d" % rank

    def _add(self, at: float, snapshot: Snapshot, what: str) -> None:
        if len(self._events) >= MOST_EVENTS:
            self._left_out += 1
            return
        self._events.append({"at": at, "node": snapshot.name, "what": what})

    def to_dict(self) -> Dict[str, Any]:
        """Return JSON values: times in seconds, and the bytes that each node held at those times."""
        return {
            "times": list(self._times),
            "held": {self._name(rank): list(held) for rank, held in sorted(self._held.items()) if rank},
            "parents": {
                one.name: self._name(one.parent) for rank, one in sorted(self._known.items()) if one.parent is not None
            },
            "events": list(self._events),
            "events_left_out": self._left_out,
        }
