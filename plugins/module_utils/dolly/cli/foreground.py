# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A client and a server that run in the foreground of a terminal or a script."""

from __future__ import annotations

import argparse
import os
import secrets
import sys
from typing import Any, Dict, Optional

from ..errors import UsageError, from_dict
from ..plan.dollytab import Dollytab
from ..plan.interfaces import is_address, is_interface_of
from ..relay.node import Node, Reporter
from ..run import core_dumps, receiver, sender, statistics
from ..run.own_names import is_own_address, own_names
from ..run.serve import make_context, stop_on_signals, timeouts_of
from ..run.watchdog import Watchdog
from ..storage.facts import TargetPolicy
from . import activation, config_file
from .console import Progress, coverage_line, half_written_line, table, verdict_lines
from .key import find_key, run_id
from .outcome import EXIT_OK, EXIT_RUN_FAILED, code_of, count, tell, warn
from .request import receiver_options, sender_config


def receive(options: argparse.Namespace) -> int:
    """Run a client. Returns the exit status."""
    core_dumps.forbid()
    ring, knocks = activation.take_sockets()
    key = find_key(options.key_file or "", options.is_insecure, warn)
    progress = Progress(sys.stderr, options.is_quiet)
    context = make_context(run_id(key), "", key, timeouts_of(vars(options)), progress.logger(options.is_verbose))
    if os.environ.get("MYNODENAME"):
        context.answers_to = _is_me
    resumes, stdout = not options.no_resume, _stdout()
    policy = TargetPolicy(allow_sector_size=options.allow_sector_size)
    choose = receiver.TargetChooser(options.outfile or "", policy, resumes, options.state_dir, stdout)
    watchdog = Watchdog(progress, options.give_up)
    member = receiver.make_member(context, options.bind, options.port, watchdog, choose, sock=ring)
    activation.answer_knocks(context.reactor, knocks, context.log)
    if not options.is_verbose and not options.is_quiet:
        warn("listening on port %d, waiting for the server or for the node before this one" % member.port)
    _run(member, progress)
    for sock in knocks:
        sock.close()
    result = receiver.result_of(member, choose)
    code = EXIT_OK
    if result["state"] != "done":
        code = member.error.exit_code if member.error is not None else EXIT_RUN_FAILED
    name = context.name or own_names()[0]
    counts = "received %(received_bytes)d bytes, sent %(sent_bytes)d, had %(resumed_bytes)d from an earlier run"
    context.log(counts % result)
    text = table([dict(result, name=name, state=member.word.state)])
    text += coverage_line(result) + half_written_line(result)
    # If standard output is the target, text printed there would become part of the image.
    stream = sys.stderr if choose.facts.get("kind") == "stream" else sys.stdout
    tell(options, dict(result, role="client", name=name), code, text, stream)
    return code


def serve(options: argparse.Namespace) -> int:
    """Run the server. Returns the exit status."""
    core_dumps.forbid()
    tab = config_file.read(options.config) if options.config else Dollytab()
    config = sender_config(options, tab, own_names(), warn)
    statistics.check(options.statistics or "")
    sender.check(config)  # before a client is started, by a knock or over ssh
    progress = Progress(sys.stderr, options.is_quiet, options.uncompressed_size)
    watchdog = Watchdog(progress, options.give_up)
    if options.ssh is None:
        key = find_key(options.key_file or "", options.is_insecure, warn)
        if options.knocks:
            hosts = [node["host"] for node in config["nodes"]]
            activation.knock(hosts, options.knock_port, warn)
        return _end(options, config, _stream(options, config, key, progress, watchdog))
    if options.key_file or options.is_insecure:
        raise UsageError("--ssh", "with --key-file or --insecure", "neither: it makes a fresh key for the run")
    if options.knocks:
        raise UsageError("-d", "with --ssh", "one of them")
    if config["output"] == "-":
        raise UsageError("-O", "-", "a file or disk: with --ssh nobody reads the clients' standard output")
    from .ssh_ring import SshRing

    key = secrets.token_hex(32).encode()  # hexadecimal, because shells read the key as a line of text
    with SshRing(options.ssh, receiver_options(options), progress.logger(options.is_verbose)) as ring:
        asked = config["nodes"]
        if not options.is_verbose and not options.is_quiet:
            warn("starting %d clients over ssh" % len(asked))
        config["nodes"] = ring.start(asked, config["min_nodes"], key)

        def report(node: Node) -> None:
            ring.poll()
            watchdog(node)

        result = _stream(options, config, key, progress, report)
        has_digests = config["verify"] != "none" and config["infile"]["kind"] != "dummy"
        result["nodes"] = ring.collect(result, asked, has_digests)
    return _end(options, config, result)


def _stream(
    options: argparse.Namespace, config: Dict[str, Any], key: bytes, progress: Progress, report: Reporter
) -> Dict[str, Any]:
    name = config["server_name"]
    context = make_context(run_id(key), name, key, timeouts_of(config), progress.logger(options.is_verbose))
    root = sender.make_root(context, config, report)
    caution = sender.caution_of(root)
    if caution:
        warn("warning: %s" % caution)
    _run(root, progress)
    return sender.result_of(root)


def _end(options: argparse.Namespace, config: Dict[str, Any], result: Dict[str, Any]) -> int:
    """Print the result. Returns the exit status."""
    error = from_dict(result["error"]) if result["error"] else None
    if error is None:
        is_done = [node["state"] == "done" for node in result["nodes"]]
        result["state"] = "done" if all(is_done) else "partial" if any(is_done) else "failed"
    code = error.exit_code if error is not None else code_of(result["state"])
    name = config["server_name"]
    lines = verdict_lines(result, name, options.is_verbose)
    told = error.sentence if error is not None else ""
    text = "\n".join([table(result["nodes"], told) + coverage_line(result), *lines])
    tell(options, dict(result, role="server", name=name), code, text)
    count(options, result, config["transport"]["segsize"])
    if error is not None:
        warn(error.sentence)
    return code


def _run(node: Node, progress: Progress) -> None:
    stop_on_signals(node)
    node.context.log("listening on port %d" % node.port)
    try:
        node.run()
    finally:
        progress.finish()


def _is_me(name: str) -> bool:
    """Whether `name` (with MYNODENAME set) is this machine: its name, that of an interface, or an address."""
    if is_address(name):
        return is_own_address(name)
    return any(is_interface_of(name, own, False) for own in own_names())


def _stdout() -> Optional[int]:
    try:
        return sys.stdout.fileno()
    except (OSError, AttributeError):  # replaced by an object that is no file, or closed before the start
        return None
