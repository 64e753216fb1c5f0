# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the packed engine begins: as the command line, or as the process of a run directory.

Each loads its own part only. Out of a zip Python compiles what it loads every time, some 30 microseconds a line.
"""

from __future__ import annotations

import sys
from typing import List, Optional

_MODES = ("receiver", "sender", "classic-receiver", "classic-sender")


def main(argv: Optional[List[str]] = None) -> int:
    """Run what the arguments ask for; the exit status."""
    arguments = sys.argv[1:] if argv is None else argv
    if len(arguments) == 3 and arguments[0] == "serve" and arguments[1] in _MODES:
        return _serve(arguments[1], arguments[2])
    from . import cli

    return cli.main(arguments)


def _serve(mode: str, path: str) -> int:
    if mode == "receiver":
        from .receiver import main
    elif mode == "sender":
        from .sender import main
    elif mode == "classic-receiver":
        from .classic_receiver import main
    else:
        from .classic_sender import main
    return main(path)
