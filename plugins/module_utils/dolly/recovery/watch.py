# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a parent gives up a child whose connection lives: it is hung, and says itself that it is.

Data waits for the child, the child is blocked on its own target, and nothing moves. Only then: with one hung
node every ancestor stops moving sooner or later, and those are innocent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, List, Tuple

#: What a node says of itself when its own target holds it up.
OWN_TARGET = "target"
#: The same of a node with a window: its sink takes nothing, and a full window wants no data either.
OWN_SINK = "sink"


@dataclass(frozen=True)
class Sight:
    """What a parent knows of a child at one moment. `wants`: whether it waits for data, on its way or not."""

    state: str
    held: int
    verified: int
    blocked_on: str
    wants: bool
    checked: int = 0
    repaired: int = 0

    @property
    def progress(self) -> Tuple[object, ...]:
        """What changes when anything moves at all; a chunk that came damaged was taken, too."""
        return self.state, self.held, self.verified, self.checked, self.repaired

    @property
    def is_stuck_in_itself(self) -> bool:
        """Whether it is the child's own turn to move."""
        # Nothing to receive and nothing moving is a verifier that hangs in a read, or one that waits for digests;
        # which of them, its own word says.
        is_waited_for = self.wants or self.state == "verifying"
        return self.blocked_on == OWN_SINK or (self.blocked_on == OWN_TARGET and is_waited_for)


@dataclass(frozen=True)
class Eject:
    """Give a child up although its connection lives."""

    rank: int
    reason: str


class StallWatch:
    """Looks at every child again and again; `patience_s` is how long nothing may move."""

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._still: Dict[int, Tuple[Tuple[object, ...], float]] = {}

    def look(self, rank: int, sight: Sight, now: float) -> List[Eject]:
        """What follows from the sight of a child at time `now` in seconds: it is ejected, or nothing."""
        known, since = self._still.get(rank, (None, now))
        if sight.progress != known or not sight.is_stuck_in_itself:
            self._still[rank] = (sight.progress, now)
            return []
        if now - since <= self._patience_s:
            return []
        self.forget(rank)
        return [Eject(rank, "its target took nothing for %.0f s" % (now - since))]

    def forget(self, rank: int) -> None:
        """The child is gone, or has a new link: what was seen before counts no more."""
        self._still.pop(rank, None)
