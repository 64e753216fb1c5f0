# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A client's snapshot of itself, with a new version for each change."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Dict, Optional

from ..rates import RateMeter
from ..recovery.stalled_child import OWN_FLUSH, OWN_SINK, OWN_TARGET
from ..status.profile import Profile
from ..status.snapshot import Snapshot
from .image.ledger import Ledger
from .work.finisher import Finisher


class OwnStatus:
    """The newest snapshot of this node. Used on the reactor alone."""

    def __init__(self, name: str, profile: Profile) -> None:
        self.snapshot = Snapshot(0, name, 1, 1, "waiting")
        self._profile = profile
        self._meter = RateMeter()
        self._started_at = 0.0

    def start(self, now: float) -> None:
        """Count the seconds from `now` on."""
        self._started_at = now

    def change(self, **changes: Any) -> bool:
        """Change fields of the snapshot. False when nothing differs."""
        changed = replace(self.snapshot, **changes)
        if changed == self.snapshot:
            return False
        self.snapshot = replace(changed, version=self.snapshot.version + 1)
        return True

    def outbid(self, known: Optional[Dict[str, Any]], is_new: bool) -> None:
        """Outrank the snapshot that a parent knows of this node. Raises ValueError if `known` is no snapshot.

        `known` may come from an earlier process of this node (`is_new`: this one has sent nothing yet), or
        be one that this node never sent. No clock is used: a process restarted after a clock was set back
        would be ignored.
        """
        told = Snapshot.from_dict(known) if known is not None else None
        mine = self.snapshot
        if told is None or told.incarnation < mine.incarnation:
            return
        is_own = told.version <= mine.version and (mine.is_terminal or not told.is_terminal)
        if is_new or told.incarnation > mine.incarnation or not is_own:
            self.change(incarnation=told.incarnation + 1)

    def measure(self, now: float, ledger: Ledger, is_waiting: bool, finisher: Optional[Finisher]) -> bool:
        """Update the figures. `is_waiting`: this node waits for its parent, not for its own target."""
        with ledger.changed:
            held, verified, repaired = ledger.arrived, ledger.confirmed, ledger.repaired
            is_whole = ledger.held.total == ledger.image.size
            if is_whole:
                ledger.pulse.relax()
            is_verifying = ledger.verifying is not None
            is_accounted = ledger.image.size == (ledger.held | ledger.claimed).total
            received, sent, resumed, checked = ledger.received, ledger.sent, ledger.resumed, ledger.checked
            stalled = round(ledger.pulse.stalled, 3)
        self._meter.add(now, held)
        state, blocked_on = "receiving", "parent" if is_waiting else OWN_TARGET
        if is_accounted:
            state, blocked_on = "verifying", OWN_TARGET if is_verifying else "parent"
        if finisher is not None and finisher.is_sinking:
            blocked_on = OWN_SINK
        if finisher is not None and finisher.is_flushing:
            state, blocked_on = "flushing", OWN_FLUSH
        return self.change(
            state=state,
            held=held,
            verified=verified,
            repaired=repaired,
            received=received,
            sent=sent,
            resumed=resumed,
            checked=checked,
            stalled=stalled,
            rate=round(self._meter.rate(now)),
            seconds=round(now - self._started_at, 3),
            blocked_on=blocked_on,
            detail=self._detail(now, is_whole),
        )

    def close_account(self, now: float) -> bool:
        """Update the times when the children have the image, too. False when nothing differs."""
        return self.change(detail=self._detail(now, True))

    def _detail(self, now: float, is_whole: bool) -> Dict[str, Any]:
        return {**self.snapshot.detail, "times": self._profile.times(now - self._started_at, is_whole)}
