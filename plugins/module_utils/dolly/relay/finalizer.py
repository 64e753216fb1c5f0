# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The last phase of a node whose target will differ from the image: wait until no node below needs the image.

A node in this phase is `serving`: it holds every byte, verified and flushed, and lacks only what
`Store.finalize` does. No failure of other nodes makes it fail any more, and the phase ends by itself,
whatever hangs.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, Optional

from ..errors import TableNotMoved
from ..recovery import healer as heal
from ..storage.base import Store
from ..workers import Crew
from .context import Context
from .down.downstream import Downstream

#: How long threads that read for children may take to end after goodbye was said to the children.
_LET_GO_S = 5.0

Ended = Callable[[Optional[BaseException]], None]


class Finalizer:
    """Begins when no node below needs the target as it is. Runs on the reactor; `finalize` has a thread.

    `is_looked_at` tells whether this node is reading the target itself. `on_begin` is called when `finalize`
    begins, `on_end` once, with the error if there was one.
    """

    def __init__(
        self,
        context: Context,
        crew: Crew,
        store: Store,
        downstream: Downstream,
        is_looked_at: Callable[[], bool],
        on_begin: Callable[[], None],
        on_end: Ended,
    ) -> None:
        #: Whether goodbye was said to the children early. A parent may be missing then.
        self.is_hurried = False
        self._context = context
        self._crew = crew
        self._store = store
        self._downstream = downstream
        self._is_looked_at = is_looked_at
        self._on_begin = on_begin
        self._on_end = on_end
        self._has_begun = False
        self._has_ended = False
        self._unneeded_since: Optional[float] = None
        context.log("the image is complete here; its target is finished when nobody below needs the image any more")

    @property
    def has_begun(self) -> bool:
        """Whether the target may differ from the image by now."""
        return self._has_begun

    @property
    def is_pending(self) -> bool:
        """Whether this phase is still to end."""
        return not self._has_ended

    def look(self) -> None:
        """Begin, if nobody below needs anything; to be called whenever that may have changed."""
        if self._has_begun or self._has_ended:
            return
        if self._downstream.is_needed:
            self._unneeded_since = None
            return
        if self._downstream.is_left_reading or self._is_looked_at():
            self._watch_readers()
            return
        self._has_begun = True
        # From now on the target is not the image: a node that looks for a parent has to ask another one.
        self._downstream.handle(heal.MadeLeaf())
        self._on_begin()
        limit = self._context.timeouts.flush
        hangs = TableNotMoved(self._store.path, "it took nothing for %g s, which is flush_timeout" % limit)
        self._context.reactor.after(limit, lambda: self._ended(hangs))
        self._crew.run("finalize", self._store.finalize, self._ended)

    def hurry(self, reason: str, error: Optional[Dict[str, Any]]) -> None:
        """Say goodbye to the children with `reason` and `error`, and begin as soon as no thread reads."""
        if self.is_hurried:
            return
        self._context.log("lets its children go, and finishes its target: it lacks nothing")
        self.is_hurried = True
        self._downstream.bye(reason, error)
        self._context.reactor.after(_LET_GO_S, self._cut_off)
        self.look()

    def _watch_readers(self) -> None:
        """No other node can see that a thread here hangs in a read; after a time limit, do not wait for it."""
        now = self._context.reactor.now()
        if self._unneeded_since is None:
            self._unneeded_since = now
        elif now - self._unneeded_since > self._context.timeouts.stall:
            self.hurry("failed", None)

    def cancel(self) -> None:
        """The node has failed: its target stays as it is."""
        self._has_ended = True

    def _cut_off(self) -> None:
        self._downstream.abort()
        self.look()
        self._context.reactor.after(_LET_GO_S, self._give_up)

    def _give_up(self) -> None:
        if not self._has_begun:
            self._ended(TableNotMoved(self._store.path, "a thread still reads from it"))

    def _ended(self, error: Optional[BaseException]) -> None:
        if not self._has_ended:
            self._has_ended = True
            self._on_end(error)
