# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Chunks that failed verification, here or at a child: which node damaged them, and which is asked next."""

from __future__ import annotations

from typing import Optional, Protocol

from ..errors import BitRot, DamagedOnTheWay, DollyError
from ..status.snapshot import Snapshot
from ..storage.base import Store
from ..wire.messages import Need
from ..workers import Crew
from .context import Context
from .image.ledger import Ledger
from .up.upstream import Upstream
from .work.recheck import Recheck
from .work.verifier import MAX_TRIES


def unreadable(error: BaseException) -> str:
    """A note on the target of a node that is done: verified and flushed, but no longer readable for others."""
    fields = error.fields if isinstance(error, DollyError) else {}
    place = "byte %s, errno %s" % (fields.get("offset"), fields.get("errno"))
    return "it could not be read any more after it was done (%s), so others served those behind it" % place


class RepairOwner(Protocol):
    """What a node does about bad chunks; every call comes on the reactor."""

    @property
    def word(self) -> Snapshot:
        """The newest snapshot that this node has made of itself."""

    def fail(self, error: BaseException) -> None:
        """This node cannot complete its part in the run."""

    def retract(self, error: BaseException) -> None:
        """This node is not done, even if it has reported `done`."""

    def storage_failed(self, error: BaseException) -> None:
        """The target cannot be read back."""

    def ask(self) -> None:
        """Tell the parent what is missing."""


class Repairs:
    """Runs on the reactor; chunks are read on a thread of `crew`."""

    def __init__(
        self, context: Context, store: Store, ledger: Ledger, upstream: Upstream, crew: Crew, owner: RepairOwner
    ) -> None:
        self._context = context
        self._ledger = ledger
        self._upstream = upstream
        self._owner = owner
        self._recheck = Recheck(store, ledger, crew, self._rechecked)

    def wanted(self, need: Need) -> None:
        """A child got chunks wrong that may be verified here: they are read again before they are sent again."""
        self._recheck.doubt(need.repair, self._context.reactor.now())

    def report_bad(self, index: int) -> None:
        """A chunk was wrong on this node's own target; called on the finisher's thread."""
        self._context.reactor.call(lambda: self._ask_again(index))

    @property
    def is_looking(self) -> bool:
        """Whether a thread may be reading the store to check a chunk again."""
        return self._recheck.is_running

    def _ask_again(self, index: int) -> None:
        """Ask for a chunk again that was wrong, perhaps from another parent.

        If it came damaged although its sender had read it again, the nodes above that sender are asked, at
        last the server. A node from which it comes damaged again and again is named in the error.
        """
        self._context.log("chunk %d does not match its digest; it is asked for again" % index)
        giver, tries = self._ledger.arrivals.take_blame(index)
        if giver:
            self._context.log("chunk %d came damaged from %s" % (index, giver))
        if tries >= MAX_TRIES:
            self._owner.fail(DamagedOnTheWay(giver, self._ledger.image.chunk_bounds(index)[0], tries))
        elif giver and self._owner.word.parent != 0:
            self._upstream.pass_over(giver, "what it sends comes damaged")
        self._owner.ask()

    def _rechecked(self, error: Optional[BaseException]) -> None:
        if isinstance(error, BitRot):
            self._owner.retract(error)
        elif error is not None:
            self._owner.storage_failed(error)
        else:
            self._owner.ask()  # a chunk that was damaged here is missing now
