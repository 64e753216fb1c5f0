# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""When bytes came last, and how long none came because a parent had to be replaced."""

from __future__ import annotations

from typing import Callable, Optional


class Outage:
    """Used under the lock of the ledger that owns it. `clock` returns seconds."""

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
        """The parent is gone or was replaced: the outage began with the last bytes.

        Before the first bytes there is no outage.
        """
        if self._still_since is None:
            self._still_since = self._at

    def relax(self) -> None:
        """Nothing is wanted any more: the time since the last bytes does not count."""
        self._still_since = None

    @property
    def stalled(self) -> float:
        """Seconds of outage in all, with the present outage."""
        return self._stalled + (self._clock() - self._still_since if self._still_since is not None else 0.0)
