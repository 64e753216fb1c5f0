# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every part of one node needs to know, made once and handed around."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Callable, Dict, Optional, Protocol

from ..integrity.manifest import Hashing, hashing_of
from ..net.reactor import Reactor
from ..plan.job import Plan, Timeouts
from ..plan.transport import UNTOUCHED, Transport
from ..status.profile import Profile


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


@dataclass
class Context:
    """The node's run and name, its reactor, and where time, nonces and log lines come from.

    `name` may be empty until a parent has proved itself and said what it calls this node; the plan that it
    brings replaces the limits and says how bytes travel.
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
        """Whether a caller that looks for `name` is right here; as long as there is no name, `answers_to` decides."""
        if self.name:
            return name == self.name
        return self.answers_to is None or self.answers_to(name)

    def hashing(self, plan: Plan) -> Hashing:
        """How the chunks of the run are digested."""
        return hashing_of(plan.verify, self.secret, plan.run_id)

    def __repr__(self) -> str:
        return "Context(%s of run %s)" % (self.name, self.run_id)  # never the secret
