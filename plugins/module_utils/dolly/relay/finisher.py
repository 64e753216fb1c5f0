# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way from the first byte to an image in its place: verify, flush, publish."""

from __future__ import annotations

from typing import Callable, Optional

from ..profile import IDLE, Stopwatch
from ..storage.base import Store
from .ledger import Ledger
from .verifier import Verifier


class Finisher:
    """Work for a thread of its own. Whatever `run` raises fails the node."""

    def __init__(
        self,
        store: Store,
        ledger: Ledger,
        verifies: bool,
        syncs: bool,
        on_bad: Callable[[int], None],
        watch: Optional[Stopwatch] = None,
    ) -> None:
        self.is_flushing = False
        #: Whether the image is complete and in its place: what `done` means.
        self.is_published = False
        #: Whether it was flushed to the medium before that.
        self.is_synced = False
        self._store = store
        self._ledger = ledger
        self._verifies = verifies
        self._syncs = syncs
        self._on_bad = on_bad
        self._watch = watch or Stopwatch()

    def run(self) -> None:
        """Return when the image is in its place, or when the ledger was closed before."""
        if self._verifies:
            Verifier(self._store, self._ledger, self._on_bad, self._watch).run()
        else:
            self._ledger.wait_complete()
        if self._ledger.is_closed or not self._ledger.is_complete:
            return  # a node that failed meanwhile, or was stopped, must not put the image in its place
        self.is_flushing = True
        self._watch.turn_to("flush")
        if self._syncs:
            self._store.flush()
        self._store.commit()
        self._watch.turn_to(IDLE)
        self.is_synced = self._syncs
        self.is_published = True
