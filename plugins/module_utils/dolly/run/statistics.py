# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""-o: a line of statistics for each run, in the columns of the original. 1 MB is 10^6 bytes."""

from __future__ import annotations

import os
from typing import Any, Callable, Mapping, Optional

from ..errors import UsageError

COLUMNS = (
    "Trans. data [MB]", "Segsize [Byte]", "Clients [#]", "Time [s]", "Dataflow [MB/s]", "Agg. dataflow [MB/s]"
)  # fmt: skip
HEADER = "  ".join(COLUMNS)


def line(result: Mapping[str, Any], segsize: int, uncompressed_size: Optional[int]) -> str:
    """Format the line of a result. Only clients with the image count. `segsize` 0: the kernel's default."""
    size = result["bytes"] if uncompressed_size is None else uncompressed_size
    clients = sum(node["state"] == "done" for node in result["nodes"])
    seconds = float(result["seconds"])
    rate = size / 1e6 / seconds if seconds else 0.0
    numbers = (size / 1e6, segsize, clients, seconds, rate, rate * clients)
    values = ("%.3f" % number if isinstance(number, float) else str(number) for number in numbers)
    return "  ".join(value.rjust(len(column)) for value, column in zip(values, COLUMNS))


def check(path: str, option: str = "-o") -> None:
    """Raise UsageError if no line can be appended to `path`. An empty `path` asks for no statistics."""
    if not path:
        return
    try:
        with open(path, "a", encoding="utf-8"):
            pass
    except OSError as error:
        raise UsageError(option, path, "a file that can be written (%s)" % error.strerror) from error


def note(
    path: str, result: Mapping[str, Any], segsize: int, uncompressed_size: Optional[int], warn: Callable[[str], None]
) -> None:
    """Append the line of a run that has ended; a run in which no node got the image has no speed.

    Does nothing if `path` is empty. A write error causes a warning only.
    """
    if not path or result["state"] not in ("done", "partial"):
        return
    try:
        append(path, line(result, segsize, uncompressed_size))
    except OSError as error:
        warn("warning: no statistics in %s: %s" % (path, error.strerror))


def append(path: str, text: str) -> None:
    """Append a line, after the header if the file is empty. Raises OSError."""
    with open(path, "a", encoding="utf-8") as file:
        is_empty = os.fstat(file.fileno()).st_size == 0
        file.write((HEADER + "\n" if is_empty else "") + text + "\n")
