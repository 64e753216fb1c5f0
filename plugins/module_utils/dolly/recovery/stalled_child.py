# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a parent gives up a child whose connection still works: the child hangs, and reports so itself.

Data waits for the child, the child reports that its own target blocks it, and nothing moves. All three are
required: behind one hung node, every ancestor stops sooner or later without a fault of its own. A flush has a
limit of its own: it may rightly take long, and shows no progress meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, List, Optional, Sequence, Tuple

from ..errors import TargetHung

#: What a node reports when its own target blocks it.
OWN_TARGET = "target"
#: The same for a node with a window: its sink takes nothing, and a full window wants no data either.
OWN_SINK = "sink"
#: The same while its target flushes written data to the medium.
OWN_FLUSH = "flush"


@dataclass(frozen=True)
class Sight:
    """What a parent knows of a child at one moment. `wants`: whether it waits for data, under way or not."""

    state: str
    held: int
    verified: int
    blocked_on: str
    wants: bool
    checked: int = 0
    repaired: int = 0

    @property
    def progress(self) -> Tuple[object, ...]:
        """A value that changes with any progress; a chunk that arrived damaged is progress, too."""
        return self.state, self.held, self.verified, self.checked, self.repaired

    @property
    def is_stuck_in_itself(self) -> bool:
        """Whether the child's own target or sink holds it up."""
        # A verifying child that stands still either hangs in a read or waits for digests; its own report
        # tells which.
        is_waited_for = self.wants or self.state == "verifying"
        if self.blocked_on == OWN_TARGET:
            return is_waited_for
        return self.blocked_on in (OWN_SINK, OWN_FLUSH)


@dataclass(frozen=True)
class Eject:
    """Give up a child: `what` its target did for `seconds`, which is longer than `option` allows."""

    rank: int
    what: str
    seconds: float
    option: str

    @property
    def reason(self) -> str:
        """The reason as other nodes are told it."""
        return "its target %s for %.0f s" % (self.what, self.seconds)

    @property
    def error(self) -> TargetHung:
        """The reason as the child's own failure."""
        return TargetHung(self.what, round(self.seconds, 1), self.option)


class GiverWatch:
    """Watches the lanes to one child: has this node's own store delivered nothing for `patience_s`?"""

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._sent: Optional[Tuple[int, ...]] = None
        self._since = 0.0

    def look(self, waiting: Sequence[int], now: float) -> Optional[TargetHung]:
        """A failure, or None. `waiting`: bytes sent by each lane, if all sending lanes wait for the store."""
        if not waiting or tuple(waiting) != self._sent:
            self._sent, self._since = tuple(waiting), now
        if now - self._since <= self._patience_s:
            return None
        return TargetHung("gave nothing", round(now - self._since, 1), "stall_timeout")


class StallWatch:
    """Watches every child. A child may stand still for `patience_s` seconds, in a flush for `flush_s`."""

    def __init__(self, patience_s: float, flush_s: float) -> None:
        self._patience_s = patience_s
        self._flush_s = flush_s
        self._still: Dict[int, Tuple[Tuple[object, ...], float]] = {}

    def look(self, rank: int, sight: Sight, now: float) -> List[Eject]:
        """An `Eject` if the child has stood still for too long at time `now` in seconds, else nothing."""
        known, since = self._still.get(rank, (None, now))
        if sight.progress != known or not sight.is_stuck_in_itself:
            self._still[rank] = (sight.progress, now)
            return []
        is_flushing = sight.blocked_on == OWN_FLUSH
        limit = self._flush_s if is_flushing else self._patience_s
        if now - since <= limit:
            return []
        self.forget(rank)
        what, option = ("was flushing", "flush_timeout") if is_flushing else ("took nothing", "stall_timeout")
        return [Eject(rank, what, now - since, option)]

    def forget(self, rank: int) -> None:
        """Discard what was seen of a child that is gone or has a new link."""
        self._still.pop(rank, None)
