# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line with --classic: a client or the server of a ring in which there are originals."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from typing import Any, Callable, Dict, Tuple

from ..errors import DollyError, Refused, TargetError, UsageError
from ..storage.facts import TargetPolicy
from ..storage.registry import STANDARD
from . import classic_receiver, classic_sender
from .classic_process import Progress, stop_on_signals
from .console import half_written_line, table, write_line
from .serve import log

EXIT_OK, EXIT_REFUSED, EXIT_SOME_FAILED, EXIT_RUN_FAILED = 0, 1, 3, 4


def run(options: argparse.Namespace) -> int:
    """Take part in a run; the exit status."""
    if options.is_server or options.server or options.infile or options.hosts or options.config:
        return _serve(options)
    return _receive(options)


def _receive(options: argparse.Namespace) -> int:
    is_stdout = options.outfile == STANDARD
    out = sys.stderr if is_stdout else sys.stdout
    choose = classic_receiver.TargetChooser(
        options.outfile or "", TargetPolicy(), options.trust_sender_path, sys.stdout.fileno() if is_stdout else None
    )
    client = classic_receiver.make_client(
        vars(options), choose, Progress(sys.stderr, not options.is_verbose), _logger(options)
    )
    stop_on_signals(client)
    _logger(options)("listening on port %d and %d" % (client.data_port, client.control_port))
    client.run()
    result = classic_receiver.result_of(client, choose)
    if not options.is_quiet:
        write_line(table([dict(result, name=client.name or "this node")]), out)
    if client.error is not None:
        write_line("dolly: %s%s" % (client.error.sentence, half_written_line(result)), sys.stderr)
        return exit_code(client.error)
    for name in client.lost:
        write_line("dolly: %s did not say that it has the image; this node has it" % name, sys.stderr)
    return EXIT_SOME_FAILED if client.lost else EXIT_OK


def _serve(options: argparse.Namespace) -> int:
    text, config = _run_of(options)
    server = classic_sender.make_server(config, text, Progress(sys.stderr, options.is_quiet), _logger(options))
    stop_on_signals(server)
    server.run()
    if not options.is_quiet:
        write_line(table(server.nodes()))
    if server.error is not None:
        write_line("dolly: %s" % server.error.sentence, sys.stderr)
        return exit_code(server.error)
    return {"done": EXIT_OK, "partial": EXIT_SOME_FAILED}.get(server.state, EXIT_RUN_FAILED)


def exit_code(error: DollyError) -> int:
    """1 refused, 3 this node's own target failed, 4 all else: in this protocol whatever breaks ends the run."""
    if isinstance(error, (Refused, UsageError)):
        return EXIT_REFUSED
    return EXIT_SOME_FAILED if isinstance(error, TargetError) else EXIT_RUN_FAILED


def _logger(options: argparse.Namespace) -> Callable[[str], None]:
    return log if options.is_verbose else lambda line: None


def _run_of(options: argparse.Namespace) -> Tuple[bytes, Dict[str, Any]]:
    """The dollytab, and what else there is to know. Raises UsageError."""
    if not options.config:
        config = _config(options)
        return classic_sender.text_of(config), config
    if options.hosts:
        raise UsageError("-H", options.hosts, "either -f or -H")
    text, ring = classic_sender.read_dollytab(options.config)
    changes = {"outfile": options.outfile, "server": options.server}
    if any(changes.values()):
        text = classic_sender.to_bytes(dataclasses.replace(ring, **{key: one for key, one in changes.items() if one}))
    return text, dict(vars(options), source=options.infile or ring.infile)


def _config(options: argparse.Namespace) -> Dict[str, Any]:
    if not options.hosts:
        raise UsageError("-H", "nothing", "the names or addresses of the clients, with commas between them")
    if not options.infile:
        raise UsageError("-I", "nothing", "the file, partition or disk to send")
    config = dict(vars(options))
    config.update(
        source=options.infile,
        output=options.outfile or options.infile,
        nodes=[{"host": host.strip()} for host in options.hosts.split(",")],
        server_address=options.server or "",
    )
    return config
