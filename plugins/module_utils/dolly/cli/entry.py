# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The entry point of the packed engine: the command line, or the process of a run directory.

Each mode loads only what it needs: Python compiles modules from a zip at every start, at about 30 us a line.
"""

from __future__ import annotations

import gc
import os
import sys
from typing import Callable, List, Optional

from ..run import output

_MODES = ("receiver", "sender", "classic-receiver", "classic-sender")


def main(argv: Optional[List[str]] = None) -> int:
    """Run what the arguments ask for. Returns the exit status."""
    arguments = sys.argv[1:] if argv is None else argv
    gc.disable()  # imports create no garbage, and searching for it takes a tenth of the start
    try:
        work = _choose(arguments)
    finally:
        gc.freeze()
        gc.enable()
    return work()


def run() -> None:
    """Run, and end the process with the exit status as soon as all output is written.

    By then, threads have ended and files are closed. The normal shutdown of Python takes another 25 ms,
    during which the parent process would wait.
    """
    _fill_gaps()
    status = main()
    try:
        if not output.is_stuck():  # a thread that waits for a stopped terminal holds the stream's lock
            sys.stdout.flush()
            sys.stderr.flush()
    except (OSError, ValueError, AttributeError):  # the reader has gone, or there never was a stream
        raise SystemExit(status) from None
    os._exit(status)


def _fill_gaps() -> None:
    """Fill closed standard streams, or the next file (a target, a socket) would get such a descriptor."""
    while True:
        number = os.open(os.devnull, os.O_RDWR)
        if number > 2:
            os.close(number)
            return
        os.set_inheritable(number, True)


def _choose(arguments: List[str]) -> Callable[[], int]:
    if len(arguments) == 3 and arguments[0] == "serve" and arguments[1] in _MODES:
        main = _load(arguments[1])
        return lambda: main(arguments[2])
    from . import main as cli

    return lambda: cli.main(arguments)


def _load(mode: str) -> Callable[[str], int]:
    if mode == "receiver":
        from ..run.receiver import main
    elif mode == "sender":
        from ..run.sender import main
    elif mode == "classic-receiver":
        from ..run.classic.receiver import main
    else:
        from ..run.classic.sender import main
    return main
