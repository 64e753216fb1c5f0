# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ratios that have to hold, and whether they did. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Optional

from .statistics import Figure, Results, Spread, cpu, peak, rate, seconds


@dataclass(frozen=True)
class Claim:
    """A sentence, its limit ("at least 2.0"), what was measured (None: nothing), and why not if so."""

    sentence: str
    is_minimum: bool
    limit: float
    measured: Optional[Spread]
    note: str = ""

    @property
    def is_met(self) -> Optional[bool]:
        """By the median; None where nothing was measured."""
        if self.measured is None:
            return None
        value = self.measured.median
        return value >= self.limit if self.is_minimum else value <= self.limit


def claims(results: Results) -> List[Claim]:
    """All of them, in the order of the page."""
    return [*_speed(results), *_cpu(results), *_shaped(results), *_memory(results), *_sparse(results)]


def _pair(results: Results, over: str, under: str, figure: Figure) -> Optional[Spread]:
    group = results.find(nodes=3)
    return results.ratio((group, over), (group, under), figure)


def _speed(results: Results) -> List[Claim]:
    chain = "3 nodes, memory: "
    rows = [
        ("the bare pipeline is a ceiling: its speed to mbuffer's", 2.5, "bare", "mbuffer"),
        ("unverified, to the bare pipeline", 0.85, "dolly-unverified", "bare"),
        ("unverified, to mbuffer", 2.0, "dolly-unverified", "mbuffer"),
        ("unverified, to nc and tee", 2.0, "dolly-unverified", "nc"),
        ("verified, to mbuffer without any verification", 1.2, "dolly", "mbuffer"),
        ("verified by MAC, to mbuffer without any verification", 1.2, "dolly-mac", "mbuffer"),
    ]
    return [
        Claim(chain + sentence, True, limit, _pair(results, over, under, rate))
        for sentence, limit, over, under in rows
    ]


def _cpu(results: Results) -> List[Claim]:
    measured = _pair(results, "dolly-unverified", "bare", cpu)
    return [
        Claim(
            "3 nodes, memory: CPU per GB and hop, unverified, to the bare pipeline's", False, 1.25, measured
        )
    ]


def _shaped(results: Results) -> List[Claim]:
    one = results.find(links="shaped", nodes=1)
    many = results.find(links="shaped", nodes=8)
    return [
        Claim(
            "400 Mbit/s links, %s: time for 8 nodes to the time for 1" % title,
            False,
            1.03,
            results.ratio((many, name), (one, name), seconds),
        )
        for name, title in (("dolly", "verified"), ("dolly-unverified", "unverified"))
    ]


def _memory(results: Results) -> List[Claim]:
    found = []
    for kind, title in (("small", "256 MiB image"), ("sparse", "64 GiB sparse image")):
        group = results.find(kind)
        errors = results.errors(group, "dolly")
        note = errors[0] if errors else ""
        sentence = "peak memory of a node in MiB, verified, %s" % title
        found.append(Claim(sentence, False, 48.0, results.spread(group, "dolly", peak), note))
    return found


def _sparse(results: Results) -> List[Claim]:
    dense, sparse = results.find("dense"), results.find("sparse")
    errors = results.errors(sparse, "dolly")
    measured = results.ratio((sparse, "dolly"), (dense, "dolly"), seconds)
    size = "%g GiB" % (sparse.data / (1 << 30)) if sparse else "1 GiB"
    sentence = "time for a 64 GiB image with %s of data to that for a %s image, verified" % (size, size)
    return [Claim(sentence, False, 1.3, measured, errors[0] if errors else "")]
