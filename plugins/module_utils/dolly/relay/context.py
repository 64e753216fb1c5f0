# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all parts of a node share; created once and passed around."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Callable, Dict, Optional, Protocol

from ..integrity.manifest import Hashing, hashing_of
from ..net.reactor import Reactor
from ..plan.job import Plan, Timeouts
from ..plan.transport import UNTOUCHED, Transport
from ..status.profile import Profile


class Attempt(Protocol):
    """A connection attempt."""

    def cancel(self) -> None:
        """Give up."""


class Attempts:
    """Attempts in progress. A node that leaves cancels all and waits for their threads, so no socket leaks."""

    def __init__(self) -> None:
        self._open: Dict[Attempt, None] = {}

    @property
    def is_busy(self) -> bool:
        """Whether an attempt is in progress or its thread has not ended."""
        return bool(self._open)

    def begun(self, attempt: Attempt) -> None:
        """Register an attempt."""
        self._open[attempt] = None

    def over(self, attempt: Attempt) -> None:
        """Remove an attempt whose thread has ended. Harmless when repeated."""
        self._open.pop(attempt, None)

    def cancel(self) -> None:
        """Cancel all attempts; `is_busy` turns False when the last thread has ended."""
        for attempt in list(self._open):
            attempt.cancel()


@dataclass
class Context:
    """The run and the name of this node, its reactor, and its sources of time, nonces and log lines.

    `name` may be empty until a parent has authenticated and said what it calls this node. The parent's plan
    replaces the timeouts and says how bytes travel.
    """

    run_id: str
    name: str
    secret: bytes
    reactor: Reactor
    timeouts: Timeouts
    new_nonce: Callable[[], bytes]
    log: Callable[[str], None]
    profile: Profile = field(default_factory=Profile)
    transport: Transport = UNTOUCHED
    answers_to: Optional[Callable[[str], bool]] = None
    attempts: Attempts = field(default_factory=Attempts)

    def is_called(self, name: str) -> bool:
        """Whether a caller looking for `name` is right here; `answers_to` decides if this node has no name."""
        if self.name:
            return name == self.name
        return self.answers_to is None or self.answers_to(name)

    def hashing(self, plan: Plan) -> Hashing:
        """How the chunks of the run are digested."""
        return hashing_of(plan.verify, self.secret, plan.run_id)

    def __repr__(self) -> str:
        return "Context(%s of run %s)" % (self.name, self.run_id)  # never the secret
