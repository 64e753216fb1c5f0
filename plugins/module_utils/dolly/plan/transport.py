# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Transport settings that the user may override. They are part of a plan, so all nodes use the same values.

``from_dict`` treats its argument as hostile, like the rest of the plan.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Dict

from ..ranges import is_integer

PAGE = 4096
MAX_BLOCK = 8 * 1024 * 1024  # the most that one DATA frame may carry
MAX_TRIES = 10 ** 6
MAX_RATE = 10 ** 15
#: Seconds between two attempts to connect, if their number was given.
TRY_PAUSE_S = 1.0

#: For each setting: lowest and highest value besides 0, which keeps the default, and the required divisor.
#: tcp(7), TCP_MAXSEG: Linux accepts TCP_MIN_MSS (88) to MAX_TCP_WINDOW (32767).
BOUNDS = {
    "segsize": (88, 32767, 1),
    "socket_buffer": (PAGE, 2 ** 30, PAGE),
    "block_size": (PAGE, MAX_BLOCK, PAGE),
    "tries": (1, MAX_TRIES, 1),
    "min_rate": (1, MAX_RATE, 1),
}


@dataclass(frozen=True)
class Transport:
    """The settings of a run; 0 keeps the default.

    ``segsize``: most bytes of data in a TCP segment; ``socket_buffer``: bytes of each buffer of a data
    connection (0: the kernel tunes them); ``block_size``: most bytes in one piece (0: 8 MiB, or 1 MiB over
    several interfaces); ``tries``: how often a node is dialled before it counts as unreachable, with
    `TRY_PAUSE_S` between attempts (0: until connect_timeout); ``min_rate``: bytes per second; a node that
    takes less for some time, although more is available, is given up.
    """

    segsize: int = 0
    socket_buffer: int = 0
    block_size: int = 0
    tries: int = 0
    min_rate: int = 0

    def __post_init__(self) -> None:
        for item in fields(self):
            check(item.name, getattr(self, item.name))

    def to_dict(self) -> Dict[str, Any]:
        """Return the settings as JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Any) -> Transport:
        """Return the settings that ``to_dict`` described; a missing number is 0. ValueError: invalid."""
        if not isinstance(data, dict) or set(data) - set(BOUNDS):
            raise ValueError("transport is %.200r, expected an object of %s" % (data, ", ".join(BOUNDS)))
        return cls(**data)


def expected(name: str) -> str:
    """Return the valid values of a setting, as text for a user."""
    lowest, highest, step = BOUNDS[name]
    multiple = "" if step == 1 else ", a multiple of %d" % step
    return "0 (leave it alone), or %d to %d%s" % (lowest, highest, multiple)


def check(name: str, value: Any) -> int:
    """Return the number. ValueError: not a number, out of bounds, or not a multiple."""
    lowest, highest, step = BOUNDS[name]
    if not is_integer(value) or (value != 0 and (not lowest <= value <= highest or value % step)):
        raise ValueError("%s is %.200r, expected %s" % (name, value, expected(name)))
    return int(value)


UNTOUCHED = Transport()
