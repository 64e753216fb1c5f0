# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A value of a plan that cannot be. To the node that was sent it, it is hostile; to whoever asked for it, a mistake."""

from __future__ import annotations

import reprlib
from typing import Any

from ..errors import UsageError


class FieldError(ValueError):
    """Knows which value it is, what was found and what was expected."""

    def __init__(self, name: str, found: Any, expected: str) -> None:
        super().__init__("%s is %s, expected %s" % (name, reprlib.repr(found), expected))
        self.name = name
        self.found = found if found is None or isinstance(found, (str, int, float)) else reprlib.repr(found)
        self.expected = expected


def mistake(error: ValueError, expected: str) -> UsageError:
    """The same for the person who asked for it; `expected` is said of a run that fails to fit together otherwise."""
    if isinstance(error, FieldError):
        return UsageError(error.name, error.found, error.expected)
    return UsageError("the run", str(error), expected)
