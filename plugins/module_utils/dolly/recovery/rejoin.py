# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which nodes the server looks for while a run goes on, because they missed its start or were lost.

A node that starts late knows nobody, and its place in the plan was closed long ago. So the server looks whether
somebody answers there now, again and again.
"""

from __future__ import annotations

from typing import Dict, List, Mapping

#: Between two looks at the same node, in seconds.
PAUSE_S = 3.0
#: A member that was lost may only have lost its parent, and looks for another one itself first.
LOST_PAUSE_S = 10.0
#: So many are looked for at once: each takes a thread until it has an answer.
MOST_AT_ONCE = 8


class Rejoin:
    """`look` is called several times a second."""

    def __init__(self) -> None:
        self._due: Dict[int, float] = {}

    def look(self, absent: Mapping[int, bool], now: float) -> List[int]:
        """The ranks to look for at time `now` in seconds. `absent`: who is away, and whether it was a member."""
        for rank in set(self._due) - set(absent):
            del self._due[rank]
        for rank, was_member in absent.items():
            self._due.setdefault(rank, now + (LOST_PAUSE_S if was_member else PAUSE_S))
        due = sorted((at, rank) for rank, at in self._due.items() if at <= now)
        found = [rank for _at, rank in due[:MOST_AT_ONCE]]
        for rank in found:
            self._due[rank] = now + PAUSE_S
        return found
