# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A process that holds the secret of a run leaves no image of its memory behind when it crashes."""

from __future__ import annotations

import contextlib
import resource


def forbid() -> None:
    """Leave no core file, from now on; also what this process starts."""
    with contextlib.suppress(OSError, ValueError):  # where that is not allowed it was so before, too
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
