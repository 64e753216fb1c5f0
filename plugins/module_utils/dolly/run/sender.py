# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A sender: opens the source, builds the ring, sends the image, and collects the result of every node."""

from __future__ import annotations

import dataclasses
import os
import time
from typing import Any, Dict, List, Optional, cast

from ..errors import UsageError
from ..integrity.manifest import hashing_of, parse_checksum
from ..net import sockets
from ..plan.blockmap import BlockMap, Checker
from ..plan.field_error import mistake
from ..plan.job import Image, NodeSpec, Plan, chunk_size_of
from ..plan.streams import Infile, Outfile
from ..plan.transport import Transport
from ..relay.context import Context
from ..relay.node import Node, Reporter
from ..relay.server import Policy, Server
from ..relay.streaming import StreamServer, TimedRoot
from ..storage.facts import SourceFacts
from ..storage.registry import ARCHIVE_REFUSED, STANDARD, Opened, open_source
from ..storage.source import Source, read_block_map
from . import statistics
from .history import History
from .rundir import RunDir
from .serve import StatusFile, log, make_context, serve, stop_on_signals, timeouts_of


def main(path: str) -> int:
    """Run the sender that a run directory describes."""
    return serve(path, _send)


def _send(rundir: RunDir, config: Dict[str, Any], secret: bytes) -> Dict[str, Any]:
    name = str(config.get("server_name") or "dolly server")
    context = make_context(str(config["run_id"]), name, secret, timeouts_of(config))
    statistics_log = str(config.get("statistics") or "")
    statistics.check(statistics_log, "statistics_log")
    status, history, began = StatusFile(rundir, describe), History(), time.time()

    def report(node: Node) -> None:
        history.note(time.monotonic(), node.board)
        status(node)

    root = make_root(context, config, report)
    stop_on_signals(root)
    try:
        root.run()
    finally:
        history.note(time.monotonic(), root.board, is_last=True)
        rundir.write_json("history.json", dict(history.to_dict(), began=round(began, 3)))
    result = result_of(root)
    infile, transport = config.get("infile") or {}, config.get("transport") or {}
    segsize = int(transport.get("segsize") or 0)
    statistics.note(statistics_log, result, segsize, infile.get("uncompressed_size"), log)
    return result


def make_root(context: Context, config: Dict[str, Any], report: Reporter) -> Server:
    """Create the server of a run. Raises UsageError for bad options, SourceError for the source."""
    policy = policy_of(config)
    port, last_port = (int(config.get(name) or 0) for name in ("port", "last_port"))
    sock = sockets.listen_within(str(config.get("bind") or ""), port, max(port, last_port))
    source: Optional[Opened] = None
    try:
        source = _open(context, config)
        extra = tuple(config.get("server_extra") or ())
        server = NodeSpec(context.name, str(config.get("server_address") or ""), sock.getsockname()[1], extra)
        block_map = block_map_of(config, source)
        plan = plan_of(context, config, server, source, block_map)
    except BaseException as error:
        sock.close()
        if source is not None:
            source.close()
        if isinstance(error, ValueError):
            raise mistake(error, "a plan that makes sense") from error
        raise
    if block_map is not None:
        policy = dataclasses.replace(policy, checker=Checker(block_map, str(config["source"]), str(config["bmap"])))
    if source.stream is not None:
        return StreamServer(context, sock, report, plan, source.stream, policy)
    kind = TimedRoot if plan.infile.dummy_seconds is not None else Server
    return kind(context, sock, report, plan, cast(Source, source.source), policy)


def _open(context: Context, config: Dict[str, Any]) -> Opened:
    expected = SourceFacts.from_dict(config["source_facts"]) if config.get("source_facts") else None
    size = None if config.get("dummy_size") is None else int(config["dummy_size"])
    return open_source(
        str(config.get("source") or ""),
        Infile.from_dict(config.get("infile") or {}),
        Outfile.from_dict(config.get("outfile") or {}),
        context.timeouts.barrier,
        expected,
        size,
        str(config.get("archives") or ARCHIVE_REFUSED),
    )


def block_map_of(config: Dict[str, Any], source: Opened) -> Optional[BlockMap]:
    """Return the block map of a run, or None. Raises UsageError if the map does not belong to the source."""
    path = str(config.get("bmap") or "")
    if not path:
        return None
    if str(config.get("verify") or "readback") == "none":
        raise UsageError("bmap", path, "no block map with verify none: it is checked while the image is digested")
    if not isinstance(source.source, Source) or source.infile.kind != "plain" or source.facts is None:
        raise UsageError("bmap", path, "no block map: it is for a plain file or device that is sent as it is")
    return read_block_map(path, source.facts)


def check(config: Dict[str, Any]) -> None:
    """Check the options and the source before anything is started. Leaves a pipe alone. Raises DollyError."""
    policy_of(config)
    infile, path = Infile.from_dict(config.get("infile") or {}), str(config.get("source") or "")
    if infile.kind == "dummy" or path == STANDARD:
        return
    # Open a plain source without compression, which must not start yet.
    outfile = Outfile() if infile.kind == "plain" else Outfile.from_dict(config.get("outfile") or {})
    source = open_source(path, infile, outfile, 0.0, archives=str(config.get("archives") or ARCHIVE_REFUSED))
    try:
        block_map_of(config, source)
    finally:
        source.close()


def policy_of(config: Dict[str, Any]) -> Policy:
    """Return the policy of the run. Raises UsageError."""
    text = str(config.get("checksum") or "")
    try:
        checksum = parse_checksum(text) if text else ""
    except ValueError as error:
        raise UsageError("checksum", text, "sha256: and 64 hexadecimal digits") from error
    count = len(config.get("nodes") or ())
    min_nodes = int(config.get("min_nodes") or 0)
    if count and not 0 <= min_nodes <= count:
        raise UsageError("min_nodes", str(min_nodes), "0 (all of them) to %d (there are no more)" % count)
    return Policy(min_nodes, checksum, bool(config.get("compute_sha256")))


def plan_of(
    context: Context,
    config: Dict[str, Any],
    server: NodeSpec,
    source: Opened,
    block_map: Optional[BlockMap] = None,
) -> Plan:
    """Build the plan of a run. Raises ValueError."""
    nodes = [NodeSpec.from_dict(dict(node, extra=list(node.get("extra") or ()))) for node in config["nodes"]]
    if not nodes:
        raise ValueError("there is no node to send to")
    chunk_size = chunk_size_of(int(config.get("chunk_size") or 0), source.size)
    if config.get("compare") and config.get("verify") == "none":
        raise UsageError("compare", True, "false with verify none, which leaves out the digests that are compared")
    verify = "none" if source.infile.kind == "dummy" else str(config.get("verify") or "readback")
    hashing_of(verify, context.secret, context.run_id).check()
    fanout = 1 if config.get("fanout") is None else int(config["fanout"])
    return Plan(
        run_id=context.run_id,
        nodes=(server, *nodes),
        fanout=fanout,
        image=Image(source.size, chunk_size, mapped=block_map.mapped() if block_map is not None else None),
        verify=verify,
        sync=config.get("sync") is not False and source.infile.kind != "dummy",
        timeouts=context.timeouts,
        compare=bool(config.get("compare")),
        output=str(config.get("output") or ""),
        source=source.facts.to_dict() if source.facts is not None else {},
        infile=source.infile,
        outfile=Outfile.from_dict(config.get("outfile") or {}),
        transport=Transport.from_dict(config.get("transport") or {}),
    )


def caution_of(root: Server) -> str:
    """Return a warning about the source, to be shown before it is sent, or the empty string."""
    source = root.plan.source if root.plan is not None else {}
    if not source:
        return ""
    facts = SourceFacts.from_dict(source)
    if facts.archive:
        told = "The source %s is compressed (%s), and -I sends it as it is: files get the archive, disks refuse it."
        return (told + ' "compressed infile" in a configuration file (-f) has clients unpack it.') % (
            facts.path, facts.archive,
        )  # fmt: skip
    return ""


def describe(root: Server) -> Dict[str, Any]:
    """Return the status of a sender, for its status file."""
    snapshots = [snapshot.to_dict() for snapshot in root.board.all()]
    return {
        "state": root.state,
        "port": root.port,
        "pid": os.getpid(),
        "percent": percent(root),
        "size": root.source_size,
        "total": len(root.plan.nodes) - 1 if root.plan is not None else 0,
        "nodes": snapshots,
        **_digests(root),  # a finished node is accepted by its digest, even if the server is gone by then
    }


def _digests(root: Server) -> Dict[str, str]:
    """Return the digests of the whole image under their names in results; empty until it was digested."""
    return root.image_check.manifest.told_root(root.image_check.root)


def percent(root: Server) -> float:
    """Return how much of the image the nodes that are still in the run hold on average, from 0 to 100."""
    size = root.source_size
    snapshots = [one for one in root.board.all() if one.state not in ("lost", "unreachable", "excluded", "failed")]
    if not snapshots:
        return 0.0
    if not size:
        return 100.0 if all(one.state == "done" for one in snapshots) else 0.0
    return round(100.0 * sum(one.held for one in snapshots) / (size * len(snapshots)), 1)


def result_of(root: Server) -> Dict[str, Any]:
    """Return the result of the run: `done` on all nodes, `partial`, or `failed`."""
    nodes: List[Dict[str, Any]] = root.nodes()
    return {
        "state": root.state,
        "bytes": root.source_size,
        "seconds": round(root.seconds, 3),
        "rate": round(root.source_size / root.seconds) if root.seconds else 0,
        "covers": root.plan.image.coverage if root.plan is not None else "",
        **{name: value or None for name, value in _digests(root).items()},
        "sha256": root.sha256,
        "sent": root.sent,
        "times": root.times(),
        "limited_by": root.limited_by(),
        "nodes": nodes,
        "error": root.error.to_dict() if root.error is not None else None,
        "server_reachable": root.is_reachable,
        "refused_connections": root.refused,
    }
