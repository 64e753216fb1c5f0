# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""-a: end a node when nothing has moved for that time, in any phase of the run."""

from __future__ import annotations

import math
from typing import Any, Optional, Tuple

from ..errors import TimedOut, UsageError
from ..plan.job import MAX_SECONDS
from ..relay.node import Node, Reporter


class Watchdog:
    """Wraps a reporter. Nothing moves before the start either, so it also ends a wait for other nodes."""

    def __init__(self, report: Reporter, limit_s: Optional[float]) -> None:
        if limit_s is not None and not (math.isfinite(limit_s) and 0 < limit_s <= MAX_SECONDS):
            raise UsageError("-a", limit_s, "seconds above 0 and up to %d" % MAX_SECONDS)
        self._report = report
        self._limit_s = limit_s
        self._seen: Tuple[Any, ...] = ()
        self._seen_at: Optional[float] = None

    def __call__(self, node: Node) -> None:
        """Report, then stop the node if nothing has changed for the limit."""
        self._report(node)
        if self._limit_s is None or node.is_leaving:
            return
        now = node.context.reactor.now()
        seen = tuple((one.rank, one.state, one.held, one.verified) for one in node.board.all())
        if seen != self._seen or self._seen_at is None or node.is_working:
            self._seen, self._seen_at = seen, now
        elif now - self._seen_at > self._limit_s:
            node.stop(TimedOut("waiting for anything to move", self._limit_s, "-a"))
            self._limit_s = None
