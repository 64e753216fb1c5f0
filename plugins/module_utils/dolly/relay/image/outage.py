# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""When bytes came last, and how long none came because a parent had to be replaced."""

from __future__ import annotations

from typing import Callable, Optional


class Outage:
    """Used under the lock of the ledger that it belongs to. `clock` tells seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._at: Optional[float] = None
        self._still_since: Optional[float] = None
        self._stalled = 0.0

    def beat(self) -> None:
        """Bytes have come."""
        now = self._clock()
        if self._still_since is not None:
            self._stalled += now - self._still_since
            self._still_since = None
        self._at = now

    def interrupt(self) -> None:
        """The parent is gone, or another one has come in its place: nothing comes since the last bytes did.

        Before the first ones nobody has waited for any.
        """
        if self._still_since is None:
            self._still_since = self._at

    def relax(self) -> None:
        """Nothing is wanted any more."""
        self._still_since = None

    @property
    def stalled(self) -> float:
        """Seconds in all, with those that are not over."""
        return self._stalled + (self._clock() - self._still_since if self._still_since is not None else 0.0)
