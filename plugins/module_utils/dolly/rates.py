# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rates over a sliding window, and the time that remains."""

from __future__ import annotations

from collections import deque
from typing import Deque, Optional, Tuple


class RateMeter:
    """Bytes per second over the last ``window`` seconds. Times are seconds, all of the same clock."""

    def __init__(self, window: float = 5.0) -> None:
        self._window = window
        # A node counts thousands of pieces per second; samples closer than this are merged.
        self._step = window / 64
        self._samples: Deque[Tuple[float, int]] = deque()

    def add(self, now: float, total_bytes: int) -> None:
        """Note that ``total_bytes`` had been moved at ``now``."""
        samples = self._samples
        now = max(now, samples[-1][0]) if samples else now
        if len(samples) >= 2 and samples[-1][0] - samples[-2][0] < self._step:
            samples.pop()
        samples.append((now, total_bytes))
        while len(samples) >= 2 and samples[1][0] <= now - self._window:
            samples.popleft()

    def rate(self, now: float) -> float:
        """Return bytes per second in the window that ends at ``now``; 0.0 while the samples span no time."""
        if not self._samples:
            return 0.0
        begin = max(now - self._window, self._samples[0][0])
        if now <= begin:
            return 0.0
        return max(0.0, (self._samples[-1][1] - self._total_at(begin)) / (now - begin))

    def _total_at(self, moment: float) -> float:
        before = self._samples[0]
        for sample in self._samples:
            if sample[0] > moment:
                share = (moment - before[0]) / (sample[0] - before[0])
                return before[1] + (sample[1] - before[1]) * share
            before = sample
        return before[1]


def eta(total: Optional[int], held: int, rate: float) -> Optional[float]:
    """Return the seconds until ``total`` bytes are held at ``rate`` bytes per second, None if unknown."""
    if total is None:
        return None
    if held >= total:
        return 0.0
    return (total - held) / rate if rate > 0 else None
