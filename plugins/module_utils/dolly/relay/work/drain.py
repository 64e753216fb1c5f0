# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes a window to its sink: in order, and only verified bytes, where that is asked for."""

from __future__ import annotations

from ...storage.base import Store
from ..image.ledger import Ledger

#: The window may move on after so many bytes.
_STEP = 1024 * 1024


class Drain:
    """Work for a thread of its own. An exception from `run` fails the node."""

    def __init__(self, store: Store, ledger: Ledger) -> None:
        #: Whether the sink is being written, so that it is what limits this node.
        self.is_busy = False
        self._store = store
        self._ledger = ledger

    def run(self) -> None:
        """Return when the sink has taken the whole image, or when the ledger was closed before."""
        at = 0
        while True:
            end = self._ledger.next_to_sink(at, _STEP)
            if end is None or end == at:
                self._ledger.sink(at)
                return
            self.is_busy = True
            self._store.sink(at, end)
            self.is_busy = False
            self._ledger.sink(end)
            at = end
