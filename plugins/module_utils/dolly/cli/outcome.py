# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports the result of a foreground run: a table, one JSON document, a line of statistics."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any, Dict, Optional, TextIO

from ..errors import printable
from ..run import statistics
from ..run.output import write, writer_of
from ..run.version import VERSION

EXIT_OK, EXIT_REFUSED, EXIT_SOME_FAILED, EXIT_RUN_FAILED = 0, 1, 3, 4


def code_of(state: str) -> int:
    """The exit status of a server whose run ended so, where no error says another."""
    return {"done": EXIT_OK, "partial": EXIT_SOME_FAILED}.get(state, EXIT_RUN_FAILED)


def print_json(result: Dict[str, Any], code: int, stream: Optional[TextIO] = None) -> None:
    """Print the result as one JSON document; on standard output by default."""
    _print(json.dumps(dict(result, version=VERSION, exit_code=code), sort_keys=True), stream)


def tell(
    options: argparse.Namespace, result: Dict[str, Any], code: int, text: str, stream: Optional[TextIO] = None
) -> None:
    """Print the document, the text, or nothing, as the options say."""
    if options.is_json:
        print_json(result, code, stream)
    elif not options.is_quiet:
        _print(text, stream)


def count(options: argparse.Namespace, result: Dict[str, Any], segsize: int) -> None:
    """Append the statistics to the file of -o."""
    statistics.note(options.statistics or "", result, segsize, options.uncompressed_size, warn)


def warn(line: str) -> None:
    """Print one line for a person to standard error. Control characters in `line` are replaced."""
    stream, text = sys.stderr, printable(line)
    writer_of(stream).put(lambda: write("dolly: %s\n" % text, stream), is_needed=True)


def _print(text: str, stream: Optional[TextIO]) -> None:
    """Print in the background. A failure is only a warning: the exit status says how the run went."""
    place = stream or sys.stdout
    # Escape control characters only: a document is one line of any length.
    lines = "".join((line if line.isprintable() else printable(line)) + "\n" for line in text.split("\n"))

    def print_it() -> None:
        try:
            write(lines, place)
        except OSError as error:
            warn("warning: the result cannot be printed: %s" % error.strerror)

    writer_of(place).put(print_it, is_needed=True)
