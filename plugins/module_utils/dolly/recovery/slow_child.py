# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a parent demotes a child that is too slow for the nodes behind it, or ejects it below a floor.

The parent has bytes that the child wants, and they do not arrive: the child's disk is slow, or the path to it
is. The rate the child should reach is taken from its siblings, which share the parent's link; an only child
is compared with the rate at which the parent itself received. The server receives nothing: there the nodes'
own reports decide, when the child waits for its disk and all its children wait for the child.

The parent cannot see that its own link is the slow one. So a decision has to pay off: as long as no other
child gets faster than the slow one was, the next decision takes twice as long, and no third one follows.
"""

from __future__ import annotations

import collections
from dataclasses import dataclass
from typing import Deque, Dict, List, Mapping, Optional, Tuple, Union

from ..rates import RateMeter
from ..units import format_rate

#: Seconds that a child has to be slow before it is judged.
SUSTAINED_S = 10.0
#: A child below this share of its expected rate is slow.
SHARE = 0.5
#: A child's rate is averaged over this many seconds, so that one slow write is not taken for a slow disk.
_SMOOTH_S = 3.0
#: After this many decisions that did not pay off, this node itself is taken for the cause.
_MOST_IN_VAIN = 2
#: Shares of the time that a child has to be slow. The second is for nodes' own reports: they are samples,
#: some misleading.
_MOST_OF_TIME = 0.95
_MOST_WORDS = 0.75


@dataclass(frozen=True)
class Pace:
    """A child at one moment. `received`: bytes of the image received in the first `seconds` of the run.

    `has_backlog`: its parent has bytes that it wants and has not taken. `has_family`: nodes behind it wait
    for it. `is_target_bound`: it waits for its disk. `is_waited_for`: all its children wait for it, not for
    their disks.
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
    """Adopt the children of a child, which continues as a leaf."""

    rank: int
    reason: str


@dataclass(frozen=True)
class TooSlow:
    """Eject a child: it took only `rate` bytes per second for `seconds`."""

    rank: int
    rate: float
    seconds: float


Verdict = Union[Demote, TooSlow]


class _Looks:
    """Samples of a condition, to tell for which share of the last seconds it held."""

    def __init__(self) -> None:
        self._looks: Deque[Tuple[float, bool]] = collections.deque()

    def add(self, now: float, is_so: bool) -> None:
        self._looks.append((now, is_so))

    def was_so(self, now: float, span_s: float, share: float) -> bool:
        """Whether samples cover the last `span_s` seconds, and the condition held in this share of them."""
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
        #: Bytes per second, recently and over a longer time.
        self.rate = self.mean = 0.0
        self.is_known = False
        self.forget()

    def move(self, pace: Pace) -> None:
        """Update the rates with what the child received."""
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
    """Watches all children of a node. `min_rate`: the floor in bytes per second, 0 for none."""

    def __init__(self, min_rate: float = 0.0) -> None:
        self._min_rate = min_rate
        self._own = RateMeter(SUSTAINED_S)
        self._usual: Optional[float] = None
        self._children: Dict[int, _Child] = {}
        self._in_vain = 0
        #: Bytes per second that another child has to reach for the last decision to have paid off.
        self._owed: Optional[float] = None

    def start(self, received: int, now: float) -> None:
        """Note that this node starts to receive at time `now`."""
        self._own.add(now, received)

    def note_own(self, received: int, is_whole: bool, now: float) -> None:
        """Note what this node itself received up to `now`. Once it is whole, its last rate is kept."""
        if not is_whole or self._usual is None:
            self._own.add(now, received)
            self._usual = self._own.rate(now)

    def look(self, paces: Mapping[int, Pace], now: float) -> List[Verdict]:
        """Return the verdict, at most one, on all children at time `now` in seconds."""
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
                for child in self._children.values():  # one verdict at a time: all others are observed anew
                    child.forget()
                return [verdict]
        return []

    def _usual_of(self, rank: int, paces: Mapping[int, Pace]) -> Optional[float]:
        """Return the rate this child should reach in bytes per second, None if it cannot be told."""
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
        """Clear the penalty if the last decision has paid off."""
        children = [self._children[rank] for rank, pace in paces.items() if not pace.is_demoted]
        if self._owed is not None and any(child.is_known and child.mean >= self._owed for child in children):
            self._owed, self._in_vain = None, 0
