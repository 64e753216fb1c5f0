# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Medians, spreads, and ratios pair by pair. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import Callable, Dict, Iterable, List, Optional, Tuple

from .measurement import Measurement
from .options import Group

Figure = Callable[[Measurement], float]
Cell = Tuple[Optional[Group], str]


@dataclass(frozen=True)
class Spread:
    """The median of some figures, the least and the greatest of them."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Optional[Spread]:
        """None where there is nothing."""
        found = list(values)
        return cls(median(found), min(found), max(found)) if found else None

    def text(self, form: str) -> str:
        """Such as "1.25 (1.20-1.31)"."""
        if self.low == self.high:
            return form % self.median
        return "%s (%s-%s)" % (form % self.median, form % self.low, form % self.high)


def seconds(one: Measurement) -> float:
    return one.seconds


def wall(one: Measurement) -> float:
    return one.wall


def cpu(one: Measurement) -> float:
    return one.cpu_per_gb_and_hop


def cpu_all(one: Measurement) -> float:
    """With what the programs took to start."""
    return one.per_gb_and_hop(one.cpu_all)


def peak(one: Measurement) -> float:
    return one.peak / (1 << 20)


def rate(one: Measurement) -> float:
    """MB/s to every node."""
    return one.rate / 1e6


class Results:
    """All measurements of a run, by group and contender."""

    def __init__(self, measurements: Iterable[Measurement]) -> None:
        self.all: List[Measurement] = list(measurements)

    def groups(self) -> List[Group]:
        """In the order in which they were measured."""
        return list(dict.fromkeys(one.group for one in self.all))

    def find(
        self, kind: str = "matrix", links: str = "unshaped", target: str = "memory", nodes: int = 3
    ) -> Optional[Group]:
        """The group that these words name, if it was measured."""
        for group in self.groups():
            if (group.kind, group.links, group.target) == (kind, links, target) and (
                kind != "matrix" or group.nodes == nodes
            ):
                return group
        return None

    def of(self, group: Optional[Group], contender: str) -> Dict[int, Measurement]:
        """The rounds that went well."""
        return {
            one.round: one
            for one in self.all
            if one.group == group and one.contender == contender and not one.error
        }

    def errors(self, group: Optional[Group], contender: str) -> List[str]:
        return [
            one.error for one in self.all if one.group == group and one.contender == contender and one.error
        ]

    def spread(self, group: Optional[Group], contender: str, figure: Figure) -> Optional[Spread]:
        return Spread.of(figure(one) for one in self.of(group, contender).values())

    def ratio(self, above: Cell, below: Cell, figure: Figure) -> Optional[Spread]:
        """Of each round, one cell's figure divided by the other's of the same round."""
        over, under = self.of(*above), self.of(*below)
        return Spread.of(
            figure(over[key]) / figure(under[key]) for key in over if key in under and figure(under[key]) > 0
        )
