# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How dolly_client and dolly_server differ in a ring of the original dolly."""

from __future__ import annotations

import typing as t

from ansible_collections.dolly.ring.plugins.module_utils.dolly import units
from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import UsageError
from ansible_collections.dolly.ring.plugins.module_utils.ring import options

MODES = {
    "native": {"client": "receiver", "server": "sender"},
    "classic": {"client": "classic-receiver", "server": "classic-sender"},
}


def spec() -> t.Dict[str, t.Any]:
    """Return the argument spec of the options that both modules have for classic rings."""
    return {
        "protocol": {"type": "str", "choices": ["native", "classic"], "default": "native"},
        "control_port": {"type": "int", "default": 0},
        "block_size": {"type": "int", "default": 0},
    }


def is_classic(params: t.Mapping[str, t.Any]) -> bool:
    """Whether these are options of a node in a ring of originals."""
    return params.get("protocol") == "classic"


def mode(params: t.Mapping[str, t.Any], role: str) -> str:
    """Return the mode in which the engine's process of a `client` or a `server` is started."""
    return MODES["classic" if is_classic(params) else "native"][role]


def require_native(params: t.Mapping[str, t.Any], names: t.Sequence[str]) -> None:
    """Raise UsageError for a missing option that the native protocol needs."""
    for name in names:
        if not is_classic(params) and not params[name]:
            raise UsageError(name, "missing", "a value: only with protocol=classic none is needed")


def check_client(params: t.Mapping[str, t.Any]) -> None:
    """Raise UsageError for a port that originals could not know beforehand."""
    first, last = options.check_ports(params["port"])
    if first < 2 or first != last:
        raise UsageError("port", params["port"], "a port that all nodes know beforehand, with protocol=classic")


def check_server(params: t.Mapping[str, t.Any]) -> None:
    """Raise UsageError for options that this protocol does not support."""
    if params["min_nodes"] not in (0, len(params["nodes"] or ())):
        raise UsageError("min_nodes", params["min_nodes"], "0, for a classic ring needs all nodes")
    if units.parse_size(params.get("min_rate") or 0):  # a size, which may be given as text
        raise UsageError("min_rate", params["min_rate"], "0, for a classic ring goes as fast as its slowest node")
    if params.get("bmap"):
        raise UsageError("bmap", params["bmap"], "none, for a classic ring sends all of the image")
    ports = sorted({node["port"] for node in params["nodes"] or ()})
    if len(ports) > 1:
        raise UsageError("nodes.port", ports, "the same port of all nodes, with protocol=classic")


def process_options(params: t.Mapping[str, t.Any]) -> t.Dict[str, t.Any]:
    """Return the further configuration of the process; nothing for a native ring."""
    if not is_classic(params):
        return {}
    block_size = units.parse_size(params.get("block_size") or 0)
    return {"control_port": params.get("control_port"), "block_size": block_size}
