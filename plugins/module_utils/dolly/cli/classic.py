# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line with --classic: a client or the server of a ring that contains originals."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from typing import Any, Dict, List, Tuple, Union

from ..classic.client import ClassicClient
from ..classic.config_text import ClassicText
from ..classic.server import ClassicServer
from ..errors import DollyError, Refused, TargetError, UsageError
from ..net import sockets
from ..run import statistics
from ..run.classic import receiver, sender
from ..run.own_names import own_names
from ..run.serve import stop_on_signals
from ..storage.facts import TargetPolicy
from ..storage.registry import STANDARD
from ..units import format_amount
from . import activation
from .classic_options import check_possible
from .console import ProgressLine, half_written_line, table
from .outcome import EXIT_OK, EXIT_REFUSED, EXIT_RUN_FAILED, EXIT_SOME_FAILED, code_of, count, tell, warn
from .request import compare_server, list_hosts

Runner = Union[ClassicClient, ClassicServer]


class Progress(ProgressLine):
    """Progress of a classic run. A receiver learns the size only at the end."""

    def _line(self, runner: Runner, now: float) -> str:
        done, total = runner.progress, runner.flow.total
        if self._shown_at == 0.0 and done > 0:  # a rate needs two samples
            self._meter.add(now, 0)
            self._shown_at = now
            return ""
        who = "  nodes %d" % len(runner.ring.hosts) if isinstance(runner, ClassicServer) else ""
        if total and done >= total:
            size = format_amount(self._uncompressed_size or total)
            return "100.0 %%  %s of %s  waiting for the last answer%s" % (size, size, who)
        return self._tell(now, done, total, who) if done > 0 else ""


def receive(options: argparse.Namespace) -> int:
    """Run a client. Returns the exit status."""
    check_possible(options, False, warn)
    activation.close_sockets()
    is_stdout = options.outfile == STANDARD
    out = sys.stderr if is_stdout else sys.stdout
    choose = receiver.TargetChooser(
        options.outfile or "",
        TargetPolicy(),
        options.trust_sender_path,
        sys.stdout.fileno() if is_stdout else None,
        measures=options.dummy is not None,
    )
    progress = Progress(sys.stderr, options.is_quiet)
    log = progress.logger(options.is_verbose)
    client = receiver.make_client(vars(options), choose, progress, log)
    stop_on_signals(client)
    listening = "listening on port %d and %d" % (client.data_port, client.control_port)
    log(listening)
    if not options.is_verbose and not options.is_quiet:
        warn(listening + ", waiting for the server or for the node before this one")
    client.run()
    progress.finish()
    name = client.name or own_names()[0]
    result = dict(receiver.result_of(client, choose), role="client", name=name)
    code = EXIT_SOME_FAILED if client.lost else EXIT_OK
    if client.error is not None:
        code = exit_code(client.error)
    told = client.error.sentence if client.error is not None else ""
    tell(options, result, code, table([result], told) + half_written_line(result), out)
    if client.error is not None:
        warn(client.error.sentence)
    for child in client.lost if client.error is None else ():
        warn("%s did not say that it has the image; this node has it" % child)
    return code


def serve(options: argparse.Namespace) -> int:
    """Run the server. Returns the exit status."""
    check_possible(options, True, warn)
    text, config = _run_of(options)
    statistics.check(options.statistics or "")
    progress = Progress(sys.stderr, options.is_quiet, options.uncompressed_size)
    server = sender.make_server(config, text, progress, progress.logger(options.is_verbose))
    if options.knocks:
        hosts = [server.ring.addresses(index)[0] for index in range(len(server.ring.hosts))]
        activation.knock(hosts, options.knock_port, warn)
    stop_on_signals(server)
    server.run()
    progress.finish()
    result = dict(sender.result_of(server), role="server", name=server.ring.server)
    code = exit_code(server.error) if server.error is not None else code_of(server.state)
    told = server.error.sentence if server.error is not None else ""
    tell(options, result, code, table(result["nodes"], told))
    count(options, result, server.ring.segsize)
    if server.error is not None:
        warn(server.error.sentence)
    return code


def exit_code(error: DollyError) -> int:
    """1: refused; 3: this node's own target failed; 4: all else, because any failure ends a classic run."""
    if isinstance(error, (Refused, UsageError)):
        return EXIT_REFUSED
    return EXIT_SOME_FAILED if isinstance(error, TargetError) else EXIT_RUN_FAILED


def _run_of(options: argparse.Namespace) -> Tuple[bytes, Dict[str, Any]]:
    """Return the dollytab and the configuration. Raises UsageError."""
    if options.dummy_seconds is not None and options.dummy is None and not options.config:
        raise UsageError("-t", options.dummy_seconds, "a dummy run with it (--dummy, or dummy in the file of -f)")
    if not options.config:
        config = _config(options)
        return sender.text_of(config), config
    if options.hosts:
        raise UsageError("-H", options.hosts, "either -f or -H")
    text, ring = sender.read_dollytab(options.config)
    if options.is_server and not options.server:
        compare_server(ring.server, own_names(), warn)
    changed = _changed(ring, options)
    if options.dummy_seconds is not None and changed.dummy is None:
        raise UsageError("-t", options.dummy_seconds, "a dummy run with it (--dummy, or dummy in the file of -f)")
    if changed != ring:
        text = sender.to_bytes(changed)
    return text, dict(vars(options), source=options.infile or ring.infile)


def _changed(ring: ClassicText, options: argparse.Namespace) -> ClassicText:
    """Return the ring of the file, with the values of options in place of its own."""
    said = {
        "outfile": options.outfile,
        "server": options.server,
        "fanout": options.fanout,
        "segsize": options.segsize,
        "dummy": options.dummy,
        "hosts": tuple(_resolved(ring.hosts, bool(ring.suffixes), options)) if options.ip_version else None,
    }
    return dataclasses.replace(ring, **{name: value for name, value in said.items() if value is not None})


def _resolved(hosts: Any, has_interfaces: bool, options: argparse.Namespace) -> List[str]:
    """Return the hosts, resolved to addresses if -4 or -6 is given. Raises UsageError."""
    if not options.ip_version:
        return list(hosts)
    if has_interfaces:
        raise UsageError("-%d" % options.ip_version, "with add or add2", "names, to which those put their suffixes")
    return [sockets.resolve(host, options.ip_version) for host in hosts]


def _config(options: argparse.Namespace) -> Dict[str, Any]:
    if not options.hosts:
        raise UsageError("-H", "nothing", "the names or addresses of the clients, with commas between them")
    if not options.infile and options.dummy is None:
        raise UsageError("-I", "nothing", "the file, partition or disk to send")
    if options.infile == STANDARD and not options.outfile:
        raise UsageError("-O", "nothing", "where the clients write it, which -I - does not say")
    config = dict(vars(options))
    config.update(
        source=options.infile,
        output=options.outfile or options.infile,
        nodes=[{"host": host} for host in _resolved(list_hosts(options.hosts), False, options)],
        server_address=options.server or "",
    )
    return config
