# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The connections that a node is about to make, whoever of it wants them."""

from __future__ import annotations

from typing import Dict, Protocol


class Attempt(Protocol):
    """One of them."""

    def cancel(self) -> None:
        """Give up."""


class Attempts:
    """Whoever leaves ends all of them and waits for their threads: a socket must not outlive its node."""

    def __init__(self) -> None:
        self._open: Dict[Attempt, None] = {}

    @property
    def is_busy(self) -> bool:
        """Whether any is still under way, or has a thread that has not come back."""
        return bool(self._open)

    def begun(self, attempt: Attempt) -> None:
        """It has begun."""
        self._open[attempt] = None

    def over(self, attempt: Attempt) -> None:
        """It has come to its end, and so has its thread. Harmless when that was said before."""
        self._open.pop(attempt, None)

    def cancel(self) -> None:
        """Give all of them up; `is_busy` tells when the last thread is back."""
        for attempt in list(self._open):
            attempt.cancel()
