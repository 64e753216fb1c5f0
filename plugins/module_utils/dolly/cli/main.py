# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line: a client by default; the server if an option says what to send."""

from __future__ import annotations

import argparse
import os
import sys
import time
from typing import List, Optional

from ..errors import DollyError, UsageError
from ..run import output
from . import activation, classic_options, foreground, option_sides
from .argtypes import joined
from .options import is_server, make_parser
from .outcome import EXIT_OK, EXIT_REFUSED, print_json, warn

#: The command-line options for which the engine has other names.
_OPTIONS = {
    "checksum": "--checksum", "bmap": "--bmap", "compare": "--compare", "min_nodes": "--min-nodes", "port": "--port",
    "bind": "--bind", "dummy": "--dummy", "source": "-I",
}  # fmt: skip


def main(argv: Optional[List[str]] = None) -> int:
    """Run the command. Returns the exit status."""
    began_at = time.monotonic()
    is_service = "LISTEN_FDS" in os.environ and activation.take_knocks()
    with output.in_background():
        status = _main(sys.argv[1:] if argv is None else argv)
    if is_service and status != EXIT_OK:
        activation.rest(began_at)
    return status


def _main(arguments: List[str]) -> int:
    is_json = "--json" in arguments  # needed even if the other arguments cannot be parsed
    try:
        parser = make_parser()
        return _run(parser.parse_args(joined(parser, arguments)), parser)
    except SystemExit as error:  # argparse has printed the reason
        return EXIT_OK if not error.code else EXIT_REFUSED
    except KeyboardInterrupt:  # before the run has begun; later, a signal handler ends the run
        warn("ended by Ctrl-C before the run began: nothing was written")
        return EXIT_REFUSED
    except DollyError as error:
        told = _in_words_of_options(error)
        if is_json:
            print_json({"state": "failed", "error": told.to_dict()}, told.exit_code)
        warn(told.sentence)
        return told.exit_code


def _run(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    if options.is_classic:
        from . import classic  # here, because no other run needs it

        return classic.serve(options) if is_server(options) else classic.receive(options)
    classic_options.check_unused(options)
    option_sides.check(options, is_server(options), parser.get_default, warn)
    return foreground.serve(options) if is_server(options) else foreground.receive(options)


def _in_words_of_options(error: DollyError) -> DollyError:
    """Replace the engine's name of an option in an error by the command-line option."""
    option = _OPTIONS.get(str(error.fields.get("option", "")))
    if option is None or not isinstance(error, UsageError):
        return error
    return UsageError(option, error.fields["value"], str(error.fields["expected"]))
