# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the first byte to a published image: verify, flush, publish."""

from __future__ import annotations

from typing import Callable, Dict, Optional

from ...status.profile import IDLE, Stopwatch
from ...storage.base import Store
from ..context import Context
from ..image.ledger import Ledger
from ..image.resume import Journalist, claim
from .drain import Drain
from .verifier import Verifier


class Finisher:
    """Work for a thread of its own. An exception from `run` fails the node."""

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
        #: Whether the image is complete and published: what `done` means.
        self.is_published = False
        #: Whether the image was flushed to the medium before that.
        self.is_synced = False
        #: Whether anything was written to the target.
        self.is_changed = True
        self._store = store
        self._ledger = ledger
        self._verifies = verifies
        self._syncs = store.flushes = syncs
        self._on_bad = on_bad
        self._watch = watch or Stopwatch()
        self._journalist: Optional[Journalist] = None
        if verifies and store.claimed:
            claim(ledger, store.claimed)
        #: Writes a window to its sink, on a thread of its own; None where the store is no window.
        self.drain = Drain(store, ledger) if store.window is not None else None

    @property
    def is_sinking(self) -> bool:
        """Whether the sink of the window is being written."""
        return self.drain is not None and self.drain.is_busy

    @property
    def outcome(self) -> Dict[str, bool]:
        """What a node reports of its target when it is done."""
        return {"synced": self.is_synced, "changed": self.is_changed}

    def keep_journal(self, context: Context, on_broken: Callable[[BaseException], None]) -> None:
        """Keep a journal for a later run. `on_broken` is called when the target cannot be flushed."""
        self._journalist = Journalist(self._store, self._ledger, context, on_broken)

    def run(self) -> None:
        """Return when the image is published, or when the ledger was closed before."""
        if self._journalist is None:
            self._finish()
            return
        self._journalist.start()
        try:
            self._finish()
        finally:
            self._journalist.finish(self.is_published)

    def _finish(self) -> None:
        verifier = Verifier(self._store, self._ledger, self._on_bad, self._watch)
        while not self._ledger.is_sealed:  # a verified chunk may turn bad, and has to come again
            if self._verifies:
                verifier.run()
            else:
                self._ledger.wait_complete()
            self._ledger.wait_sunk()
            if not self._ledger.seal() and self._ledger.is_closed:
                return  # a node that failed meanwhile, or was stopped, must not publish
        self.is_flushing = True
        self._watch.turn_to("flush")
        if self._store.size != self._ledger.size:  # opened before the size was known
            self._store.end(self._ledger.size)
        if self._syncs:
            self._store.flush()
        if self._ledger.is_closed:
            return
        self._store.commit()
        self._watch.turn_to(IDLE)
        self.is_synced = self._syncs and self._store.is_lasting
        self.is_changed = not self._store.is_untouched
        self.is_published = True
