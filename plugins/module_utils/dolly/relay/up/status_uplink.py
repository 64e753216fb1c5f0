# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sends up what is new on a node's board since the last time."""

from __future__ import annotations

from ...status.snapshot import Board
from ..context import Context
from .upstream import Upstream

#: News from below are sent at once, but no more often than this: in a large ring they come one by one.
_PAUSE_S = 0.05


class StatusUplink:
    """Keeps track of what the present parent has been sent."""

    def __init__(self, context: Context, upstream: Upstream) -> None:
        self._context = context
        self._upstream = upstream
        self._told = 0
        self._next_at = 0.0
        self._is_waiting = False

    def forget(self) -> None:
        """The parent is new, and has been sent nothing."""
        self._told = 0

    def tell(self, board: Board) -> None:
        """Send what is new, now."""
        if not self._upstream.is_heard:
            return
        self._next_at = self._context.reactor.now() + _PAUSE_S
        news = board.changed_since(self._told)
        self._told = board.serial
        if news:
            self._upstream.status([snapshot.to_dict() for snapshot in news])

    def tell_soon(self, board: Board) -> None:
        """Send what is new, together with what follows within the pause."""
        left = self._next_at - self._context.reactor.now()
        if left <= 0:
            self.tell(board)
        elif not self._is_waiting:
            self._is_waiting = True
            self._context.reactor.after(left, lambda: self._told_later(board))

    def _told_later(self, board: Board) -> None:
        self._is_waiting = False
        self.tell(board)
