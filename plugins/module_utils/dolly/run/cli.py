# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line: a client by default, the server with -S (or -I)."""

from __future__ import annotations

import argparse
import hashlib
import hmac
import os
import sys
from typing import Any, Callable, Dict, List, Optional

from ..errors import DollyError, UsageError
from ..plan.job import VERIFY_LEVELS, Timeouts
from ..storage.facts import TargetPolicy
from . import classic_cli, classic_receiver, classic_sender, receiver, sender
from .console import Progress, coverage_line, table, verdict_lines, write_line
from .serve import log, make_context, stop_on_signals, timeouts_of

DEFAULT_PORT = 9998
EXIT_OK, EXIT_REFUSED, EXIT_SOME_FAILED, EXIT_RUN_FAILED = 0, 1, 3, 4
_KEY_SIZES = (32, 4096)
_SERVE: Dict[str, Callable[[str], int]] = {
    "receiver": receiver.main,
    "sender": sender.main,
    "classic-receiver": classic_receiver.main,
    "classic-sender": classic_sender.main,
}

_EPILOG = """\
client:  dolly -v --key-file K
server:  dolly -v --key-file K -S 10.0.0.1 -H 10.0.0.2,10.0.0.3 -I disk.img -O /dev/vdb

exit status: 0 every node has the image; 1 refused, or wrong usage; 3 finished, but some node lacks the image;
4 the run failed
"""


def main(argv: Optional[List[str]] = None) -> int:
    """Run the command; the exit status."""
    arguments = sys.argv[1:] if argv is None else argv
    if len(arguments) == 3 and arguments[0] == "serve" and arguments[1] in _SERVE:
        return _SERVE[arguments[1]](arguments[2])
    try:
        options = _parser().parse_args(arguments)
    except SystemExit as error:  # argparse has said why
        return EXIT_OK if not error.code else EXIT_REFUSED
    try:
        if options.is_classic:
            return classic_cli.run(options)
        classic_cli.check_unused(options)
        if options.server or options.infile or options.hosts:
            return _serve(options)
        return _receive(options)
    except DollyError as error:
        write_line("dolly: %s" % error.sentence, sys.stderr)
        return error.exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="dolly",
        description="Clone a disk, partition or image to many machines in the time of one.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    server = parser.add_argument_group("server")
    server.add_argument("-S", dest="server", metavar="HOST", help="be the server; HOST is its name or address")
    server.add_argument("-H", dest="hosts", metavar="A,B,C", help="the clients, in ring order")
    server.add_argument("-I", dest="infile", metavar="FILE", help="what to send: file, partition or disk")
    server.add_argument("-O", dest="outfile", metavar="FILE", help="where the clients write it (default: as -I)")
    server.add_argument("--fanout", type=int, default=1, metavar="N", help="children of each node (default 1)")
    server.add_argument("--verify", choices=VERIFY_LEVELS, default="readback", help="default: %(default)s")
    server.add_argument("--checksum", default="", metavar="sha256:HEX", help="refuse any other source")
    server.add_argument("--bmap", default="", metavar="FILE", help="clone only the blocks that this map names")
    server.add_argument("--min-nodes", type=int, default=0, metavar="N", help="start with so many (default: all)")
    parser.add_argument("--key-file", metavar="FILE", help="the run's secret: the whole file, 32 to 4096 bytes")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="TCP port of the clients (default %(default)s)")
    parser.add_argument("--bind", default="", metavar="ADDRESS", help="listen on this address only")
    parser.add_argument("--no-resume", action="store_true", help="begin anew, and keep no journal for a later run")
    parser.add_argument("--state-dir", default="", metavar="DIR", help="where journals of disks lie")
    for name, value in Timeouts().to_dict().items():
        option = "--dead-after" if name == "dead_after" else "--%s-timeout" % name
        parser.add_argument(option, type=float, metavar="SECONDS", help="default: %g" % value)
    classic_cli.add_arguments(parser)
    volume = parser.add_mutually_exclusive_group()
    volume.add_argument("-v", dest="is_verbose", action="store_true", help="say what happens")
    volume.add_argument("-q", dest="is_quiet", action="store_true", help="say nothing but errors")
    return parser


def _read_key(path: Optional[str]) -> bytes:
    if not path:
        raise UsageError("--key-file", "nothing", "a file with the run's secret, the same on every node")
    smallest, largest = _KEY_SIZES
    try:
        with open(path, "rb") as file:
            key = file.read(largest + 1)
    except OSError as error:
        raise UsageError("--key-file", path, "a file that can be read (%s)" % error.strerror) from error
    if not smallest <= len(key) <= largest:
        raise UsageError("--key-file", "%s of %d bytes" % (path, len(key)), "%d to %d bytes" % _KEY_SIZES)
    return key


def _run_id(key: bytes) -> str:
    """A run on the command line is known by its key: nothing else is the same on every node beforehand."""
    return hmac.new(key, b"dolly run id", hashlib.sha256).hexdigest()[:32]


def _logger(options: argparse.Namespace) -> Callable[[str], None]:
    return log if options.is_verbose else lambda line: None


def _receive(options: argparse.Namespace) -> int:
    key = _read_key(options.key_file)
    name = os.environ.get("MYNODENAME") or ""
    context = make_context(_run_id(key), name, key, timeouts_of(vars(options)), _logger(options))
    choose = receiver.TargetChooser("", TargetPolicy(), not options.no_resume, options.state_dir)
    progress = Progress(sys.stderr, not options.is_verbose)
    member = receiver.make_member(context, options.bind, options.port, progress, choose)
    stop_on_signals(member)
    context.log("listening on port %d" % member.port)
    member.run()
    progress.finish()
    result = receiver.result_of(member, choose)
    counts = "received %(received_bytes)d bytes, sent %(sent_bytes)d, had %(resumed_bytes)d from an earlier run"
    context.log(counts % result)
    if not options.is_quiet:
        row = dict(result, name=context.name or "this node", state=member.word.state)
        write_line(table([row]) + coverage_line(result))
    if result["state"] == "done":
        return EXIT_OK
    return member.error.exit_code if member.error is not None else EXIT_RUN_FAILED


def _serve(options: argparse.Namespace) -> int:
    key = _read_key(options.key_file)
    config = _sender_config(options)
    name = options.server or "dolly server"
    context = make_context(_run_id(key), name, key, timeouts_of(config), _logger(options))
    progress = Progress(sys.stderr, options.is_quiet)
    root = sender.make_root(context, config, progress)
    stop_on_signals(root)
    root.run()
    progress.finish()
    result = sender.result_of(root)
    if not options.is_quiet:
        lines = [table(result["nodes"]) + coverage_line(result)]
        write_line("\n".join([*lines, *verdict_lines(result, name, options.is_verbose)]))
    if root.error is not None:
        write_line("dolly: %s" % root.error.sentence, sys.stderr)
        return root.error.exit_code
    return {"done": EXIT_OK, "partial": EXIT_SOME_FAILED}.get(result["state"], EXIT_RUN_FAILED)


def _sender_config(options: argparse.Namespace) -> Dict[str, Any]:
    if not options.hosts:
        raise UsageError("-H", "nothing", "the names or addresses of the clients, with commas between them")
    if not options.infile:
        raise UsageError("-I", "nothing", "the file, partition or disk to send")
    hosts = [host.strip() for host in options.hosts.split(",")]
    if not all(hosts) or len({*hosts, options.server or ""}) <= len(hosts):
        expected = "names or addresses with commas between them, each once, and not that of the server (-S)"
        raise UsageError("-H", options.hosts, expected)
    # The sender's options of these names describe a source or an output; here they are paths.
    config = {name: value for name, value in vars(options).items() if name not in ("infile", "outfile")}
    config.update(
        source=options.infile,
        output=options.outfile or options.infile,
        nodes=[{"name": host, "host": host, "port": options.port} for host in hosts],
        port=0,
        server_address=options.server or "",
    )
    return config
