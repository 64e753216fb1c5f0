# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""In a run without digests, tells nodes that the source did not change from the first byte to the last."""

from __future__ import annotations

from typing import List, Protocol

from ...plan.job import Plan
from .child import ChildLink
from .downstream import Downstream


class Unchanging(Protocol):
    """A source that can tell whether it was written to."""

    def check_unchanged(self) -> None:
        """Raise SourceChanged, SourceError."""


class Confirmations:
    """A child that has everything is sent the end of the image after the source was checked once more.

    Runs on the reactor, except for `look`.
    """

    def __init__(self, plan: Plan, source: Unchanging, downstream: Downstream) -> None:
        self._is_needed = plan.verify == "none"
        self._source = source
        self._downstream = downstream
        self._looked_for: List[ChildLink] = []

    @property
    def are_due(self) -> bool:
        """Whether any child waits for a confirmation; `tell` then sends it to these children."""
        self._looked_for = self._downstream.unconfirmed if self._is_needed else []
        return bool(self._looked_for)

    def look(self) -> None:
        """Check that the source has not changed; called on a thread. Raises SourceChanged, SourceError."""
        self._source.check_unchanged()

    def tell(self, size: int) -> None:
        """The source has not changed: confirm."""
        links, self._looked_for = self._looked_for, []
        for link in links:
            link.end(size)
