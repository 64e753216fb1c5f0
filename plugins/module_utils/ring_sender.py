# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What dolly_server tells the sender that it starts."""

from __future__ import annotations

import typing as t

from ansible_collections.dolly.ring.plugins.module_utils import (
    classic_ring,
    ring_options,
    ring_source,
    ring_streams,
)
from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import UsageError
from ansible_collections.dolly.ring.plugins.module_utils.dolly.plan import transport

Params = t.Mapping[str, t.Any]
Config = t.Dict[str, t.Any]

#: The options of the transport, and what the engine calls them.
_TRANSPORT = {{"tries": "connect_tries"}.get(name, name): name for name in transport.BOUNDS}


def spec() -> t.Dict[str, t.Any]:
    """Return the argument spec of the options of the transport."""
    return {option: {"type": "int", "default": 0} for option in _TRANSPORT}


def needed_to_start(params: Params) -> t.List[str]:
    """The options without which no sender can be started."""
    needed = ["nodes"] if ring_streams.is_dummy(params) else ["source", "nodes"]
    return needed if classic_ring.is_classic(params) else [*needed, "secret"]


def config_of(params: Params, check_mode: bool) -> Config:
    """Check the options and return the configuration of the sender. Raises UsageError."""
    timeouts = ring_options.check_seconds(params)
    port, last_port = ring_options.check_ports(params["port"])
    infile, outfile = ring_streams.files_of(params)
    config = {
        "run_id": params["run_id"],
        "source": params["source"],
        "infile": infile.to_dict(),
        "outfile": outfile.to_dict(),
        "archives": ring_streams.archives_of(params),
        "dummy_size": ring_streams.dummy_bytes(params),
        "source_facts": params["source_facts"],
        "nodes": _nodes(params["nodes"], params["name"], check_mode),
        "fanout": ring_options.check_at_least(params["fanout"], 1, "fanout"),
        "verify": params["verify"],
        "checksum": ring_options.check_checksum(params["checksum"]),
        "bmap": params["bmap"],
        "compare": params["compare"],
        "min_nodes": ring_options.check_at_least(params["min_nodes"], 0, "min_nodes"),
        "server_name": params["name"],
        "server_address": params["server_address"],
        "bind": params["bind"],
        "port": port,
        "last_port": last_port,
        "chunk_size": ring_options.check_at_least(params["chunk_size"], 0, "chunk_size"),
        "compute_sha256": params["sha256"],
        "sync": params["sync"],
        "transport": _transport(params),
        "statistics": params["statistics_log"] or "",
    }
    if config["compare"] and config["verify"] == "none":
        raise UsageError("verify", "none", "another value with compare, which compares digests")
    if config["bmap"] and config["verify"] == "none":
        raise UsageError("verify", "none", "another value with bmap, which is compared while the image is digested")
    if config["min_nodes"] > len(config["nodes"]):
        raise UsageError("min_nodes", config["min_nodes"], "at most the number of nodes, %d" % len(config["nodes"]))
    config.update(timeouts)
    return _classic_config(params, config, check_mode) if classic_ring.is_classic(params) else config


def _transport(params: Params) -> t.Dict[str, int]:
    """Return the numbers of the transport. Raises UsageError."""
    found = {}
    for option, name in _TRANSPORT.items():
        try:
            found[name] = transport.check(name, params[option])
        except ValueError:
            raise UsageError(option, params[option], transport.expected(name)) from None
    return found


def _classic_config(params: Params, config: Config, check_mode: bool) -> Config:
    """Return what a classic sender is told. Raises ChecksumMismatch: here, for that one digests nothing."""
    classic_ring.check_server(params)
    if not check_mode:
        ring_source.compare_checksum(params)
    extra = classic_ring.process_options(params)
    return dict(config, port=config["nodes"][0]["port"], output=params["dest"], **dict(config["transport"], **extra))


def _nodes(nodes: t.Optional[t.Sequence[Params]], server_name: str, check_mode: bool) -> t.List[Config]:
    """Return the nodes. In check mode no receiver was started, so a port may be unknown."""
    if not nodes:
        raise UsageError("nodes", nodes, "at least one node")
    taken = {server_name: "the name of the server"}
    for node in nodes:
        name = ring_options.check_name(node["name"], "nodes.name")
        if name in taken:
            raise UsageError("nodes.name", name, "a name that is not %s" % taken[name])
        taken[name] = "the name of another node"
        if not node["host"]:
            raise UsageError("nodes.host", node["host"], "the address of %s" % name)
        ring_options.check_port(node["port"], "nodes.port", lowest=0 if check_mode else 1)
    return [dict(node, extra=list(node.get("extra") or ())) for node in nodes]
