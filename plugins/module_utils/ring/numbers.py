# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Numbers and sizes that a user gives: the same rules for the modules and for the plan of a play."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.dolly.ring.plugins.module_utils.dolly import units
from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import UsageError
from ansible_collections.dolly.ring.plugins.module_utils.dolly.plan import job, transport

#: The transport options of dolly_server, with their names in the engine.
TRANSPORT = {{"tries": "connect_tries"}.get(name, name): name for name in transport.BOUNDS}


@dataclasses.dataclass(frozen=True)
class Bound:
    """The range of a number; 0 is allowed if `may_be_zero`. A size may be written as 64k, 8G or 500GB."""

    lowest: int
    highest: int
    step: int = 1
    may_be_zero: bool = True
    is_size: bool = True

    def read(self, value: t.Any) -> int:
        """Convert `value`. Raises ValueError."""
        if value is None or value == "":
            return 0
        number = units.parse_size(value) if self.is_size else _whole(value)
        is_within = self.lowest <= number <= self.highest and number % self.step == 0
        if not (is_within or (number == 0 and self.may_be_zero)):
            raise ValueError(value)
        return number

    @property
    def expected(self) -> str:
        """Describe the range for a person."""
        said = _size_as_text if self.is_size else str
        highest = "more" if self.highest == job.MAX_SIZE else said(self.highest)
        within = "%s %s %s" % (said(self.lowest), "or" if highest == "more" else "to", highest)
        multiple = ", a multiple of %s" % said(self.step) if self.step > 1 else ""
        zero = "0 or " if self.may_be_zero and self.lowest else ""
        example = " (4194304, 4M and 8G are sizes)" if self.is_size else ""
        return zero + within + multiple + example


_ANY_SIZE = Bound(1, job.MAX_SIZE)
BOUNDS: t.Dict[str, Bound] = {
    "fanout": Bound(1, job.MAX_NODES, may_be_zero=False, is_size=False),
    "min_nodes": Bound(0, job.MAX_NODES, is_size=False),
    "chunk_size": Bound(job.MIN_ASKED_CHUNK, job.MAX_ASKED_CHUNK, job.MIN_ASKED_CHUNK),
    "uncompressed_size": _ANY_SIZE,
    "dest_split": _ANY_SIZE,
    "dummy_size": _ANY_SIZE,
    "expect_size": _ANY_SIZE,
    **{option: Bound(*transport.BOUNDS[name], is_size=name != "tries") for option, name in TRANSPORT.items()},
}


def check(option: str, value: t.Any, name: str = "") -> int:
    """Return the number given for an option, 0 for the empty string.

    `name`: the name that the user knows the option by. Raises UsageError.
    """
    bound = BOUNDS[option]
    try:
        return bound.read(value)
    except ValueError:
        raise UsageError(name or option, value, bound.expected) from None


def check_all(values: t.Mapping[str, t.Any], called: t.Callable[[str], str]) -> None:
    """Check all numbers in *values*. `called` returns the user's name of an option. Raises UsageError."""
    for option, value in values.items():
        if option in BOUNDS and value is not None:
            check(option, value, called(option))


def _size_as_text(size: int) -> str:
    text = units.format_size(size)
    return text if units.parse_size(text) == size else "%d bytes" % size


def _whole(value: t.Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise ValueError(value)
    return int(value)
