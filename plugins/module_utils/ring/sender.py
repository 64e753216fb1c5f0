# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The configuration of the sender that dolly_server starts."""

from __future__ import annotations

import typing as t

from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import UsageError
from ansible_collections.dolly.ring.plugins.module_utils.ring import (
    classic,
    numbers,
    options,
    source,
    streams,
)

Params = t.Mapping[str, t.Any]
Config = t.Dict[str, t.Any]


def spec() -> t.Dict[str, t.Any]:
    """Return the argument spec of the options of the transport."""
    found: t.Dict[str, t.Any] = {option: {"type": "str", "default": "0"} for option in numbers.TRANSPORT}
    found["connect_tries"] = {"type": "int", "default": 0}
    return found


def needed_to_start(params: Params) -> t.List[str]:
    """Return the options without which no sender can be started."""
    needed = ["nodes"] if streams.is_dummy(params) else ["source", "nodes"]
    return needed if classic.is_classic(params) else [*needed, "secret"]


def config_of(params: Params, check_mode: bool) -> Config:
    """Check the options and return the configuration of the sender. Raises UsageError."""
    timeouts = options.check_seconds(params)
    port, last_port = options.check_ports(params["port"])
    infile, outfile = streams.files_of(params)
    config = {
        "run_id": params["run_id"],
        "source": params["source"],
        "infile": infile.to_dict(),
        "outfile": outfile.to_dict(),
        "archives": streams.archives_of(params),
        "dummy_size": streams.dummy_bytes(params),
        "source_facts": params["source_facts"],
        "nodes": _nodes(params["nodes"], params["name"], check_mode),
        "fanout": numbers.check("fanout", params["fanout"]),
        "verify": params["verify"],
        "checksum": options.check_checksum(params["checksum"]),
        "bmap": params["bmap"],
        "compare": params["compare"],
        "min_nodes": numbers.check("min_nodes", params["min_nodes"]),
        "server_name": params["name"],
        "server_address": params["server_address"],
        "bind": params["bind"],
        "port": port,
        "last_port": last_port,
        "chunk_size": numbers.check("chunk_size", params["chunk_size"]),
        "compute_sha256": params["sha256"],
        "sync": params["sync"],
        "transport": {
            name: numbers.check(option, params[option]) for option, name in numbers.TRANSPORT.items()
        },
        "statistics": params["statistics_log"] or "",
    }
    _check_together(config)
    config.update(timeouts)
    return _classic_config(params, config, check_mode) if classic.is_classic(params) else config


def _check_together(config: Config) -> None:
    """Raise UsageError for options that contradict each other."""
    if config["compare"] and config["verify"] == "none":
        raise UsageError("verify", "none", "another value with compare, which compares digests")
    if config["bmap"] and config["verify"] == "none":
        raise UsageError("verify", "none", "another value with bmap, which is compared while the image is digested")
    if config["min_nodes"] > len(config["nodes"]):
        raise UsageError("min_nodes", config["min_nodes"], "at most the number of nodes, %d" % len(config["nodes"]))


def _classic_config(params: Params, config: Config, check_mode: bool) -> Config:
    """Return the configuration of a classic sender, which has no digests. Raises ChecksumMismatch."""
    classic.check_server(params)
    if not check_mode:
        source.compare_checksum(params)
    extra = classic.process_options(params)
    return dict(config, port=config["nodes"][0]["port"], output=params["dest"], **dict(config["transport"], **extra))


def _nodes(nodes: t.Optional[t.Sequence[Params]], server_name: str, check_mode: bool) -> t.List[Config]:
    """Check the nodes. In check mode no receiver was started, so a port may be unknown. Raises UsageError."""
    if not nodes:
        raise UsageError("nodes", nodes, "at least one node")
    taken = {server_name: "the name of the server"}
    for node in nodes:
        name = options.check_name(node["name"], "nodes.name")
        if name in taken:
            raise UsageError("nodes.name", name, "a name that is not %s" % taken[name])
        taken[name] = "the name of another node"
        if not node["host"]:
            raise UsageError("nodes.host", node["host"], "the address of %s" % name)
        options.check_port(node["port"], "nodes.port", lowest=0 if check_mode else 1)
    return [dict(node, extra=list(node.get("extra") or ())) for node in nodes]
