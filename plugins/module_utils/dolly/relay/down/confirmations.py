# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How nodes learn in a run without digests that the source was the same from the first byte to the last one."""

from __future__ import annotations

from typing import List, Protocol

from ...plan.job import Plan
from .child import ChildLink
from .downstream import Downstream


class Unchanging(Protocol):
    """A source that knows whether it was written to."""

    def check_unchanged(self) -> None:
        """Raise SourceChanged, SourceError."""


class Confirmations:
    """A child that has everything is told the end of the image when the source was looked at after that.

    On the reactor, but for `look`.
    """

    def __init__(self, plan: Plan, source: Unchanging, downstream: Downstream) -> None:
        self._is_needed = plan.verify == "none"
        self._source = source
        self._downstream = downstream
        self._looked_for: List[ChildLink] = []

    @property
    def are_due(self) -> bool:
        """Whether there is anybody to look at the source for; those it is that `tell` speaks to."""
        self._looked_for = self._downstream.unconfirmed if self._is_needed else []
        return bool(self._looked_for)

    def look(self) -> None:
        """See that the source is as it was; for a thread of its own. Raises SourceChanged, SourceError."""
        self._source.check_unchanged()

    def tell(self, size: int) -> None:
        """All is well."""
        links, self._looked_for = self._looked_for, []
        for link in links:
            link.end(size)
