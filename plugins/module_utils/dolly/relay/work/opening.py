# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the plan to an open target. A disk that hangs may block this for ever, so it is done on threads."""

from __future__ import annotations

from typing import Callable, Optional

from ...plan.job import Plan
from ...storage.base import Store, Target
from ..image.ledger import Ledger


class Opening:
    """The target of one node. `prepare` and `begin` are work for threads; the rest is used on the reactor."""

    def __init__(self, choose: Callable[[Plan], Target], plan: Plan, ledger: Ledger) -> None:
        #: What `begin` has opened.
        self.store: Optional[Store] = None
        self._choose = choose
        self._plan = plan
        self._ledger = ledger
        self._target: Optional[Target] = None

    def prepare(self) -> None:
        """Check and lock the target, before anything is written. Raises Refused, UsageError, TargetError."""
        self._ledger.manifest.hashing.check()
        self._target = self._choose(self._plan)
        self._target.prepare()

    def begin(self) -> None:
        """Open the store, after START. Raises Refused, TargetError."""
        if self._target is not None:
            store = self._target.begin(self._plan.image.size, self._plan.resumable)
            store.on_step = self._ledger.tick
            self._ledger.open_window(store.window)
            self.store = store

    def release(self) -> None:
        """Undo `prepare`, if no store was opened."""
        if self._target is not None:
            self._target.release()
