# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a parent gives up a child whose connection lives: it is hung, and says itself that it is.

Data waits for the child, the child is blocked on its own target, and nothing moves. Only then: with one hung
node every ancestor stops moving sooner or later, and those are innocent. A flush has a limit of its own: it may
rightly take long, and shows no progress meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, List, Optional, Sequence, Tuple

from ..errors import TargetHung

#: What a node says of itself when its own target holds it up.
OWN_TARGET = "target"
#: The same of a node with a window: its sink takes nothing, and a full window wants no data either.
OWN_SINK = "sink"
#: The same while its target brings what was written to the medium.
OWN_FLUSH = "flush"


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
        if self.blocked_on == OWN_TARGET:
            return is_waited_for
        return self.blocked_on in (OWN_SINK, OWN_FLUSH)


@dataclass(frozen=True)
class Eject:
    """Give a child up although its connection lives: what its target did for so many seconds, against which option."""

    rank: int
    what: str
    seconds: float
    option: str

    @property
    def reason(self) -> str:
        """The same for those who look on."""
        return "its target %s for %.0f s" % (self.what, self.seconds)

    @property
    def error(self) -> TargetHung:
        """The same as a failure of the node itself."""
        return TargetHung(self.what, round(self.seconds, 1), self.option)


class GiverWatch:
    """Looks at the lanes that send to one child: has this node's own store given nothing for `patience_s` seconds?"""

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._sent: Optional[Tuple[int, ...]] = None
        self._since = 0.0

    def look(self, waiting: Sequence[int], now: float) -> Optional[TargetHung]:
        """`waiting`: what each lane has sent that waits for the store, where all that send do. A failure, or None."""
        if not waiting or tuple(waiting) != self._sent:
            self._sent, self._since = tuple(waiting), now
        if now - self._since <= self._patience_s:
            return None
        return TargetHung("gave nothing", round(now - self._since, 1), "stall_timeout")


class StallWatch:
    """Looks at every child again and again. Nothing may move for `patience_s`, in a flush for `flush_s` (seconds)."""

    def __init__(self, patience_s: float, flush_s: float) -> None:
        self._patience_s = patience_s
        self._flush_s = flush_s
        self._still: Dict[int, Tuple[Tuple[object, ...], float]] = {}

    def look(self, rank: int, sight: Sight, now: float) -> List[Eject]:
        """What follows from the sight of a child at time `now` in seconds: it is ejected, or nothing."""
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
        """The child is gone, or has a new link: what was seen before counts no more."""
        self._still.pop(rank, None)
