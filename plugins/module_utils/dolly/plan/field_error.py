# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""An invalid value in a plan: hostile to the node that receives it, a mistake of the user who chose it."""

from __future__ import annotations

import reprlib
from typing import Any

from ..errors import UsageError


class FieldError(ValueError):
    """An invalid value, with its name, what was found and what was expected."""

    def __init__(self, name: str, found: Any, expected: str) -> None:
        super().__init__("%s is %s, expected %s" % (name, reprlib.repr(found), expected))
        self.name = name
        self.found = found if found is None or isinstance(found, (str, int, float)) else reprlib.repr(found)
        self.expected = expected


def mistake(error: ValueError, expected: str) -> UsageError:
    """Return the error as a UsageError for the user; `expected` is used if the error names no field."""
    if isinstance(error, FieldError):
        return UsageError(error.name, error.found, error.expected)
    return UsageError("the run", str(error), expected)
