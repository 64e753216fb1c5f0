# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A process that holds the secret of a run must not leave an image of its memory behind when it crashes."""

from __future__ import annotations

import contextlib
import resource


def forbid() -> None:
    """Disable core files from now on, also for child processes."""
    with contextlib.suppress(OSError, ValueError):  # if the limit cannot be lowered, it stays as it was
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
