# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sizes, rates and durations as people write and read them."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from typing import Dict, Tuple, Union

_NUMBER = re.compile(r"\s*([0-9]{1,20}(?:\.[0-9]{1,20})?)\s*([A-Za-z]*)\s*\Z")
SIZE_EXPECTED = "a size in bytes such as 4194304, 4M, 4MiB or 4MB"
_DURATION_EXPECTED = "a duration in seconds such as 5, 5s, 500ms, 2m or 1h"
_SECONDS: Dict[str, Fraction] = {
    "": Fraction(1), "s": Fraction(1), "ms": Fraction(1, 1000),
    "m": Fraction(60), "min": Fraction(60), "h": Fraction(3600), "d": Fraction(86400),
}


def _size_units() -> Dict[str, int]:
    units = {"": 1, "b": 1}
    for power, letter in enumerate("kmgtp", start=1):
        units[letter] = units[letter + "ib"] = 1024 ** power
        units[letter + "b"] = 1000 ** power
    return units


_BYTES = _size_units()


def parse_size(text: Union[str, int]) -> int:
    """Return a size in bytes: 10k, 4M, 4MiB are powers of 1024; 4MB is a power of 1000.

    Case does not matter. ValueError: not a size, negative, or not a whole number of bytes.
    """
    if isinstance(text, int) and not isinstance(text, bool) and text >= 0:
        return text
    match = _NUMBER.match(text) if isinstance(text, str) else None
    if match is None or match.group(2).lower() not in _BYTES:
        raise ValueError("%r is no size: expected %s" % (text, SIZE_EXPECTED))
    size = Fraction(match.group(1)) * _BYTES[match.group(2).lower()]
    if size.denominator != 1:
        raise ValueError("%r is not a whole number of bytes: expected %s" % (text, SIZE_EXPECTED))
    return int(size)


def parse_duration(text: Union[str, int, float]) -> float:
    """Return a duration in seconds: 5, 5s, 500ms, 2m, 1h, 1d. ValueError: none of these, or negative."""
    if isinstance(text, (int, float)) and not isinstance(text, bool) and math.isfinite(text) and text >= 0:
        return float(text)
    match = _NUMBER.match(text) if isinstance(text, str) else None
    if match is None or match.group(2).lower() not in _SECONDS:
        raise ValueError("%r is no duration: expected %s" % (text, _DURATION_EXPECTED))
    return float(Fraction(match.group(1)) * _SECONDS[match.group(2).lower()])


def format_size(size: int) -> str:
    """Return a size in bytes as text in powers of 1024: 512 B, 4 MiB, 1.5 GiB."""
    return _scaled(size, 1024, ("B", "KiB", "MiB", "GiB", "TiB", "PiB"))


def format_amount(size: int) -> str:
    """Return an amount of data as text in powers of 1000, as ``format_rate`` counts: 512 B, 4.2 MB, 1.5 GB."""
    return _scaled(size, 1000, ("B", "kB", "MB", "GB", "TB", "PB"))


def format_rate(rate: float) -> str:
    """Return a rate in bytes per second as text in powers of 1000, as networks are sold: 117.5 MB/s."""
    return _scaled(rate, 1000, ("B/s", "kB/s", "MB/s", "GB/s", "TB/s"))


def format_duration(seconds: float) -> str:
    """Return a duration in seconds as text: 0.3 s, 42 s, 2 min 05 s, 1 h 02 min."""
    if seconds < 9.95:
        return "%s s" % _short(seconds)
    whole = int(seconds + 0.5)
    if whole < 60:
        return "%d s" % whole
    if whole < 3600:
        return "%d min %02d s" % divmod(whole, 60)
    return "%d h %02d min" % divmod(whole // 60, 60)


def _scaled(value: float, step: int, names: Tuple[str, ...]) -> str:
    index = 0
    # Compare the rounded value: otherwise 1023.96 KiB would be printed as 1024 KiB.
    while index < len(names) - 1 and round(value, 1) >= step:
        value /= step
        index += 1
    return "%s %s" % (_short(value), names[index])


def _short(value: float) -> str:
    text = "%.1f" % value
    return text[:-2] if text.endswith(".0") else text
