# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing may hang: what the server does when no node has made progress for too long."""

from __future__ import annotations

import math
from typing import Any, List, Optional, Tuple

from ..errors import TimedOut
from ..plan.job import Plan
from ..recovery import healer as heal
from ..recovery.stalled_child import OWN_FLUSH
from ..recovery.standstill import Standing, Standstill
from ..status.snapshot import Snapshot
from .context import Context
from .down.downstream import SETTLED, Downstream, sight_of

#: Lanes report at each heartbeat that the source gives them nothing; an older report does not count.
_FRESH_S = 5.0
#: States of nodes that stand still because they want nothing more.
_WANT_NOTHING = SETTLED | {"serving"}


class LastResort:
    """Watches the whole ring from the server. Used on the reactor alone."""

    def __init__(self, context: Context, plan: Plan, downstream: Downstream) -> None:
        self._context = context
        self._plan = plan
        self._downstream = downstream
        self._standstill = Standstill()
        self._progress: Tuple[Any, ...] = ()
        self._since = 0.0
        self._source_hung_at = -math.inf

    def source_hangs(self, now: float) -> None:
        """The source gives nothing: if that lasts, no node is to blame."""
        self._source_hung_at = now

    def beat(
        self, snapshots: List[Snapshot], read: Optional[int], is_source_slow: bool, now: float
    ) -> Optional[TimedOut]:
        """Call after START: look at what the nodes report, and give up those that stand still.

        `read`: how often the source has given bytes to the digester; None while nothing is digested. Returns
        the reason to end the run, or None.
        """
        progress = (read, tuple((one.rank, sight_of(one).progress) for one in snapshots))
        if progress != self._progress:
            self._progress, self._since = progress, now
        is_source_slow = is_source_slow or read is not None
        limit, option = self._patience(snapshots, is_source_slow)
        if now - self._since <= limit:
            return None
        self._since = now
        if is_source_slow or now - self._source_hung_at < _FRESH_S:
            return TimedOut("waiting for the source to give anything", limit, option)
        remedy = self._standstill.look(map(_standing, (one for one in snapshots if one.state not in _WANT_NOTHING)))
        if not remedy.take_over and not remedy.give_up:
            return TimedOut("waiting for any node to make progress", limit, option)
        self._context.log("nothing has moved for %.0f s: %s" % (limit, remedy))
        for rank in remedy.take_over:
            self._downstream.handle(heal.Knocked(rank))
        for rank in remedy.give_up:
            what = "waiting for %s to take anything from the server itself" % self._plan.nodes[rank].name
            self._downstream.give_up(rank, TimedOut(what, limit, option))
        return None

    def _patience(self, snapshots: List[Snapshot], is_source_slow: bool) -> Tuple[float, str]:
        """Seconds without progress that are allowed, and the option that sets them."""
        timeouts = self._context.timeouts
        if not is_source_slow and all(one.blocked_on != OWN_FLUSH for one in snapshots):
            return timeouts.stall * 2, "stall_timeout"
        return timeouts.flush + timeouts.stall * 2, "flush_timeout"  # by then every parent has acted


def _standing(word: Snapshot) -> Standing:
    return Standing(word.rank, word.parent, word.blocked_on in ("", "parent"))
