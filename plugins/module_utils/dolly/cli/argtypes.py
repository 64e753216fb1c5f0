# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers on the command line. An invalid number gives the same sentence with and without a leading minus."""

from __future__ import annotations

import argparse
import re
from typing import Any, Callable, Dict, List, Sequence

from ..errors import UsageError
from ..plan import transport
from ..plan.job import MAX_SECONDS, MAX_SIZE
from ..units import SIZE_EXPECTED, parse_size

_NEGATIVE = re.compile(r"-\.?[0-9]")
_WITHOUT_VALUE = re.compile(r"(--?[A-Za-z][^=]*)=\Z")


class Number:
    """The type of an option's value. `check` returns the number, or raises ValueError if it is invalid."""

    def __init__(
        self, option: str, expected: str, read: Callable[[str], Any], check: Callable[[Any], Any] = lambda value: value
    ) -> None:
        self._option = option
        self._expected = expected
        self._read = read
        self._check = check

    def __call__(self, text: str) -> Any:
        """Convert `text`. Raises UsageError."""
        value: Any = text
        try:
            value = self._read(text)
            return self._check(value)
        except (ValueError, OverflowError) as error:
            raise UsageError(self._option, value, self._expected) from error


def count(option: str, lowest: int, highest: int, meaning: str = "") -> Number:
    """A whole number within bounds; `meaning` is appended to the expected range in errors."""
    return Number(option, "a number from %d to %d%s" % (lowest, highest, meaning), int, _within(lowest, highest))


def size(option: str) -> Number:
    """A size in bytes, also written as 64k or 4M."""
    return Number(option, SIZE_EXPECTED, parse_size, _within(0, MAX_SIZE))


def seconds(option: str) -> Number:
    """A limit in seconds; NaN is refused."""

    def check(value: float) -> float:
        if not 0 < value <= MAX_SECONDS:
            raise ValueError
        return value

    return Number(option, "seconds above 0 and up to %d" % MAX_SECONDS, float, check)


def transported(option: str, name: str) -> Number:
    """A number of the transport, by its name there; a size in bytes may be written as 64k or 4M."""
    read: Callable[[str], int] = int if name == "tries" else parse_size
    return Number(option, transport.expected(name), read, lambda value: transport.check(name, value))


def joined(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> List[str]:
    """Join options with negative numbers, which argparse takes for options, as in -x=-1.

    Raises UsageError for an empty value. An empty value comes from a script with an empty variable, and would
    mean the same as no option: a client instead of a server, or a source without a checksum.
    """
    known = {name: action for action in parser._actions for name in action.option_strings}
    found: List[str] = []
    for argument in arguments:
        option = found[-1] if found else ""
        _refuse_empty(known, option, argument)
        action = known.get(option)
        is_number = action is not None and isinstance(action.type, Number) and _NEGATIVE.match(argument)
        if action is not None and is_number and (action.nargs is None or argument not in known):
            found[-1] = "%s=%s" % (option, argument)
        else:
            found.append(argument)
    return found


def _refuse_empty(known: Dict[str, argparse.Action], option: str, argument: str) -> None:
    without = _WITHOUT_VALUE.match(argument)
    if without is not None:
        option, argument = without.group(1), ""
    if argument or option == "--ssh":  # an empty login means the current user
        return
    is_option = option in known and known[option].nargs != 0
    expected = "a value, or no %s at all" % option if is_option else "an option: see dolly --help"
    raise UsageError(option if is_option else "an argument", "", expected)


def _within(lowest: int, highest: int) -> Callable[[int], int]:
    def check(value: int) -> int:
        if not lowest <= value <= highest:
            raise ValueError
        return value

    return check
