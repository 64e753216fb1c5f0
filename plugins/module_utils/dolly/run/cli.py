# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line: a client by default, the server with options that describe what is sent."""

from __future__ import annotations

import argparse
import sys
from typing import List, Optional

from ..errors import DollyError
from . import classic_options, foreground
from .options import is_server, make_parser
from .outcome import EXIT_OK, EXIT_REFUSED, print_json, warn


def main(argv: Optional[List[str]] = None) -> int:
    """Run the command; the exit status."""
    arguments = sys.argv[1:] if argv is None else argv
    try:
        options = make_parser().parse_args(arguments)
    except SystemExit as error:  # argparse has said why
        return EXIT_OK if not error.code else EXIT_REFUSED
    try:
        return _run(options)
    except DollyError as error:
        if options.is_json:
            print_json({"state": "failed", "error": error.to_dict()}, error.exit_code)
        warn(error.sentence)
        return error.exit_code


def _run(options: argparse.Namespace) -> int:
    if options.is_classic:
        from . import classic_cli  # here, because no other run needs it

        return classic_cli.serve(options) if is_server(options) else classic_cli.receive(options)
    classic_options.check_unused(options)
    return foreground.serve(options) if is_server(options) else foreground.receive(options)
