# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a parent finds a child too slow for those behind it: it is demoted to a leaf, or ejected below a floor.

The parent has bytes that the child wants, and they do not get there: the child's disk is slow, or the way to it.
What it should take is told by its siblings, which share the parent's link with it; an only child is measured by
what the parent itself was given. The server was given nothing: there the nodes' own words decide, when the child
waits for its disk and all behind it wait for the child.

That the parent's own link is the slow one cannot be seen from here. So a decision has to pay: as long as no other
child goes faster than the slow one did, the next decision takes twice as long, and there is none after that.
"""

from __future__ import annotations

import collections
from dataclasses import dataclass
from typing import Deque, Dict, List, Mapping, Optional, Tuple, Union

from ..rates import RateMeter
from ..units import format_rate

#: For so long a child has to be slow.
SUSTAINED_S = 10.0
#: Slow is below this part of what it should take.
SHARE = 0.5
#: Over so many seconds a child's rate is smoothed, so that one slow write is no slow disk.
_SMOOTH_S = 3.0
#: Decisions that have not paid, before it is this node itself that is the reason.
_MOST_IN_VAIN = 2
#: So much of the time it has to be slow; what nodes say of themselves are moments, and some of them are odd ones.
_MOST_OF_TIME = 0.95
_MOST_WORDS = 0.75


@dataclass(frozen=True)
class Pace:
    """A child at one moment. `received`: bytes of the image that came to it in the first `seconds` of the run.

    `has_backlog`: its parent has bytes that it wants and has not taken. `has_family`: nodes behind it wait for it.
    `is_target_bound`: it waits for its disk; `is_waited_for`: all right behind it wait for it rather than their disks.
    """

    received: int
    seconds: float
    has_backlog: bool
    has_family: bool = False
    is_demoted: bool = False
    is_held_back: bool = False
    is_target_bound: bool = False
    is_waited_for: bool = False


@dataclass(frozen=True)
class Demote:
    """Take a child's children; it goes on as a leaf."""

    rank: int
    reason: str


@dataclass(frozen=True)
class TooSlow:
    """Give a child up: it took `rate` bytes per second for so long."""

    rank: int
    rate: float
    seconds: float


Verdict = Union[Demote, TooSlow]


class _Looks:
    """For how much of the last seconds something was so."""

    def __init__(self) -> None:
        self._looks: Deque[Tuple[float, bool]] = collections.deque()

    def add(self, now: float, is_so: bool) -> None:
        self._looks.append((now, is_so))

    def was_so(self, now: float, span_s: float, share: float) -> bool:
        """Whether that was seen for `span_s` seconds, in at least this share of the looks."""
        if not self._looks or self._looks[0][0] > now - span_s:
            return False
        recent = [is_so for at, is_so in self._looks if at > now - span_s]
        return sum(recent) >= share * len(recent)

    def forget_before(self, moment: float) -> None:
        while len(self._looks) > 1 and self._looks[1][0] <= moment:
            self._looks.popleft()


class _Child:
    def __init__(self) -> None:
        self._meters = RateMeter(_SMOOTH_S), RateMeter(SUSTAINED_S)
        self._since = 0.0
        #: Bytes per second, just now and in the long run.
        self.rate = self.mean = 0.0
        self.is_known = False
        self.forget()

    def move(self, pace: Pace) -> None:
        """Take in what came to it."""
        self._since = self._since or pace.seconds
        self.is_known = pace.seconds >= self._since + SUSTAINED_S / 2
        for meter in self._meters:
            meter.add(pace.seconds, pace.received)
        self.rate, self.mean = (meter.rate(pace.seconds) for meter in self._meters)

    def forget(self) -> None:
        self.slow, self.poor, self.stuck = _Looks(), _Looks(), _Looks()

    def look(self, pace: Pace, usual: Optional[float], floor: float, now: float) -> None:
        is_judged = pace.has_backlog and not pace.is_held_back
        self.slow.add(now, is_judged and usual is not None and self.rate < SHARE * usual)
        self.poor.add(now, is_judged and self.rate < floor)
        self.stuck.add(now, is_judged and usual is None and pace.is_target_bound and pace.is_waited_for)


class SlowChildWatch:
    """Looks at all children of a node again and again. `min_rate`: the floor in bytes per second, 0 for none."""

    def __init__(self, min_rate: float = 0.0) -> None:
        self._min_rate = min_rate
        self._own = RateMeter(SUSTAINED_S)
        self._usual: Optional[float] = None
        self._children: Dict[int, _Child] = {}
        self._in_vain = 0
        #: What another child has to take before the last decision has paid.
        self._owed: Optional[float] = None

    def start(self, received: int, now: float) -> None:
        """From now on this node is given what it lacks."""
        self._own.add(now, received)

    def note_own(self, received: int, is_whole: bool, now: float) -> None:
        """What this node itself was given up to `now`; once it has all, how fast that went in the end stays known."""
        if not is_whole or self._usual is None:
            self._own.add(now, received)
            self._usual = self._own.rate(now)

    def look(self, paces: Mapping[int, Pace], now: float) -> List[Verdict]:
        """What follows from the sight of all children at time `now` in seconds."""
        for rank in set(self._children) - set(paces):
            del self._children[rank]
        for rank, pace in paces.items():
            self._children.setdefault(rank, _Child()).move(pace)
        self._settle(paces)
        for rank, pace in paces.items():
            usual = self._usual_of(rank, paces)
            self._children[rank].look(pace, usual, self._min_rate, now)
            verdict = self._judge(rank, pace, self._children[rank], usual, now)
            if verdict is not None:
                for child in self._children.values():  # one at a time: all others have to be slow for as long again
                    child.forget()
                return [verdict]
        return []

    def _usual_of(self, rank: int, paces: Mapping[int, Pace]) -> Optional[float]:
        """What this child should take in bytes per second, None where nothing tells."""
        rates = [
            self._children[other].rate
            for other, pace in paces.items()
            if other != rank and pace.has_backlog and not pace.is_demoted
        ]
        return max(rates) if rates else self._usual or None

    def _judge(self, rank: int, pace: Pace, child: _Child, usual: Optional[float], now: float) -> Optional[Verdict]:
        span = SUSTAINED_S * 2 ** self._in_vain
        for looks in (child.slow, child.poor, child.stuck):
            looks.forget_before(now - span)
        if self._in_vain >= _MOST_IN_VAIN:
            return None
        if self._min_rate and child.poor.was_so(now, span, _MOST_OF_TIME):
            self._decided(self._min_rate)
            return TooSlow(rank, child.mean, span)
        if pace.is_demoted or not pace.has_family:
            return None
        took = "it took %s for %.0f s, " % (format_rate(child.mean), span)
        if usual is not None and child.slow.was_so(now, span, _MOST_OF_TIME):
            self._decided(SHARE * usual)
            return Demote(rank, took + "where %s were to be had" % format_rate(usual))
        if child.stuck.was_so(now, span, _MOST_WORDS):
            self._decided(child.mean / SHARE)
            return Demote(rank, took + "waiting for its target, and all behind it waited for it")
        return None

    def _decided(self, owed: float) -> None:
        self._in_vain += 1
        self._owed = owed

    def _settle(self, paces: Mapping[int, Pace]) -> None:
        """Has the last decision paid?"""
        children = [self._children[rank] for rank, pace in paces.items() if not pace.is_demoted]
        if self._owed is not None and any(child.is_known and child.mean >= self._owed for child in children):
            self._owed, self._in_vain = None, 0
