# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A sender for a ring of originals."""

from __future__ import annotations

import os
import socket
from typing import Any, Dict, Mapping, Sequence, Tuple

from ...classic import config_text as plan
from ...classic import protocol
from ...classic.server import ClassicServer
from ...errors import UsageError
from ...plan import dollytab
from ...plan.streams import Infile, Outfile
from ...plan.tabfields import File
from ...storage.registry import ARCHIVE_ANYWHERE, open_source
from .. import statistics
from ..rundir import RunDir
from ..serve import StatusFile, log, serve, stop_on_signals
from .process import hop_options

_MAX_FILE = 1 << 20


def main(path: str) -> int:
    """Run the sender that a run directory describes."""
    return serve(path, _send)


def _send(rundir: RunDir, config: Dict[str, Any], _secret: bytes) -> Dict[str, Any]:
    names = [str(node["name"]) for node in config["nodes"]]
    statistics_log = str(config.get("statistics") or "")
    statistics.check(statistics_log, "statistics_log")

    def report(server: ClassicServer) -> Dict[str, Any]:
        return named(describe(server), names)

    server = make_server(config, text_of(config), StatusFile(rundir, report), log)
    stop_on_signals(server)
    server.run()
    result = named(result_of(server), names)
    statistics.note(statistics_log, result, server.ring.segsize, None, log)
    return result


def text_of(config: Mapping[str, Any]) -> bytes:
    """Build the dollytab of a run that was described by options. Raises UsageError."""
    hosts = tuple(str(node["host"]) for node in config.get("nodes") or ())
    if not hosts:
        raise UsageError("-H", "nothing", "the names or addresses of the clients, with commas between them")
    source = str(config.get("source") or "")
    ring = plan.ClassicText(
        hosts,
        dummy=config.get("dummy"),
        infile=source,
        outfile=str(config.get("output") or source),
        segsize=int(config.get("segsize") or 0),
        server=_server_name(str(config.get("server_address") or config.get("server_name") or ""), hosts),
        fanout=int(config.get("fanout") or 1),
    )
    return to_bytes(ring)


def to_bytes(ring: plan.ClassicText) -> bytes:
    """Encode a dollytab in the strict form that originals read. Raises UsageError."""
    try:
        return plan.to_text(ring).encode("utf-8", "surrogateescape")
    except ValueError as error:
        raise UsageError("the dollytab", str(error), "names that originals can read") from error


def read_dollytab(path: str) -> Tuple[bytes, plan.ClassicText]:
    """Read a dollytab, rewritten if an original could not read it as it is. Raises UsageError."""
    try:
        with open(path, "rb") as file:
            data = file.read(_MAX_FILE + 1)
    except OSError as error:
        raise UsageError("-f", path, "a file that can be read (%s)" % error.strerror) from error
    if len(data) > _MAX_FILE:
        raise UsageError("-f", path, "a file of at most %d bytes" % _MAX_FILE)
    text = data.decode("utf-8", "surrogateescape")
    if plan.is_strict(text):
        try:
            return data, plan.parse(text)
        except ValueError as error:
            raise UsageError("-f", path, "a dollytab (%s)" % error) from error
    ring = _ring_of(dollytab.parse(text, path), path)
    return to_bytes(ring), ring


def _ring_of(tab: dollytab.Dollytab, path: str) -> plan.ClassicText:
    if tab.infile is None and tab.dummy is None:
        raise UsageError(path, "without infile", "infile FILE, or dummy to measure the network")
    infile = tab.infile or File("")
    outfile = tab.outfile or File(infile.path)
    return plan.ClassicText(
        tab.clients,
        dummy=tab.dummy,
        infile=infile.path,
        outfile=outfile.path,
        server=tab.server or _server_name("", tab.clients),
        is_compressed_in=infile.is_compressed,
        is_compressed_out=outfile.is_compressed,
        is_split_in=bool(infile.split),
        split_out=outfile.split,
        segsize=tab.segsize,
        suffixes=tab.interfaces.suffixes,
        goes_before_number=tab.interfaces.goes_before_number,
        renames_primary=tab.interfaces.renames_primary,
        fanout=tab.fanout,
        is_hyphen_normal=tab.is_hyphen_normal,
    )


def _server_name(name: str, hosts: Sequence[str]) -> str:
    """Choose a server name that no client has: an original client stops if the server has its own name."""
    name = name or socket.gethostname()
    return name if name not in hosts else "dolly-server"


def make_server(config: Mapping[str, Any], text: bytes, report: Any, write_log: Any) -> ClassicServer:
    """Create the server of a run. Raises UsageError, SourceError, and TimedOut for a silent pipe."""
    try:
        framed = protocol.frame_text(text)
        ring = plan.parse(text.decode("utf-8", "surrogateescape"))
        addresses = [address for index in range(len(ring.hosts)) for address in ring.addresses(index)]
    except ValueError as error:
        raise UsageError("the dollytab", str(error), "one that originals can read") from error
    if len(set(addresses)) != len(addresses):
        raise UsageError("the dollytab", "a host that is there twice", "each client once")
    options = hop_options({**config, "segsize": ring.segsize})
    # In a classic ring the server compresses for a compressed outfile, whatever the infile is, and a client
    # decompresses a compressed infile once. With both, the infile is stored as it was.
    infile = Infile("plain", is_split=ring.is_split_in)
    if ring.dummy is not None:
        infile = Infile("dummy", dummy_seconds=config.get("dummy_seconds"))
    source = open_source(
        str(config.get("source") or ""),
        infile,
        Outfile(ring.is_compressed_out),
        options.setup_s,
        dummy_bytes=ring.dummy * 10 ** 6 if ring.dummy else None,
        archives=str(config.get("archives") or ARCHIVE_ANYWHERE),
    )
    return ClassicServer(framed, ring, source, options, write_log, report)


def describe(server: ClassicServer) -> Dict[str, Any]:
    """Return the status of a sender, for its status file."""
    return {
        "state": server.state,
        "port": server.data_port,
        "pid": os.getpid(),
        "percent": round(100.0 * server.progress / server.size, 1) if server.size else 0.0,
        "nodes": server.nodes(),
    }


def named(report: Dict[str, Any], names: Sequence[str]) -> Dict[str, Any]:
    """Return the report with the nodes renamed to `names`, which are in the order of the ring."""
    return dict(report, nodes=[dict(node, name=name) for node, name in zip(report["nodes"], names)])


def result_of(server: ClassicServer) -> Dict[str, Any]:
    """Return the result of the run: `done` on all nodes, `partial`, or `failed`."""
    return {
        "state": server.state,
        "bytes": server.size,
        "seconds": round(server.seconds, 3),
        "rate": round(server.size / server.seconds) if server.seconds else 0,
        "digest": None,
        "sha256": None,
        "sent": server.size * server.children if server.state == "done" else 0,
        "nodes": server.nodes(),
        "error": server.error.to_dict() if server.error is not None else None,
        "verified": False,
        "server_reachable": None,
        "refused_connections": 0,
    }
