# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What receivers and senders of a classic ring share: options, and finding this machine in a dollytab."""

from __future__ import annotations

import dataclasses
import socket
from typing import Any, Mapping, Sequence, Tuple

from ...classic import config_text as plan
from ...classic import protocol
from ...classic.child import RETRY_S, HopOptions
from ...errors import UsageError
from ...plan import transport
from ..own_names import is_own_address
from ..serve import timeouts_of

MAX_BLOCK = 1 << 20
_OPTIONS = {"segsize": "--segsize", "socket_buffer": "-u", "tries": "-r"}
_ALL_LIMITS = ("connect_timeout", "join_timeout", "barrier_timeout", "stall_timeout", "flush_timeout")


def hop_options(config: Mapping[str, Any]) -> HopOptions:
    """Build the ports, sizes and limits of a hop from the options of a run. Raises UsageError."""
    data_port = int(config.get("port") or protocol.DATA_PORT)
    control_port = int(config.get("control_port") or data_port - 1)
    if not (1 <= data_port <= 65535 and 1 <= control_port <= 65535) or data_port == control_port:
        found = "%d and %d" % (data_port, control_port)
        raise UsageError("--port, --control-port", found, "two ports from 1 to 65535")
    block = int(config.get("block_size") or protocol.BLOCK)
    if not 512 <= block <= MAX_BLOCK:
        raise UsageError("-b", block, "512 to %d bytes, the same on all nodes" % MAX_BLOCK)
    numbers = {name: _number(name, config.get(name) or 0) for name in ("tries", "segsize", "socket_buffer")}
    timeouts = timeouts_of(dict(config))
    if config.get("give_up"):
        seconds = float(config["give_up"])
        timeouts = timeouts_of(dict.fromkeys(_ALL_LIMITS, seconds))
    elif not config.get("barrier_timeout"):  # otherwise the barrier would end before the last of many tries
        barrier = max(timeouts.barrier, numbers["tries"] * RETRY_S + timeouts.barrier / 2)
        timeouts = dataclasses.replace(timeouts, barrier=barrier)
    return HopOptions(
        data_port=data_port,
        control_port=control_port,
        block=block,
        tries=numbers["tries"],
        segsize=numbers["segsize"],
        buffer=numbers["socket_buffer"],
        connect_s=timeouts.connect,
        join_s=timeouts.join,
        setup_s=timeouts.barrier,
        stall_s=timeouts.stall,
        flush_s=timeouts.flush,
        syncs=config.get("sync") is not False,
    )


def _number(name: str, value: Any) -> int:
    try:
        return transport.check(name, int(value))
    except ValueError as error:
        raise UsageError(_OPTIONS[name], value, transport.expected(name)) from error


def find_self(text: plan.ClassicText, dialled: str, names: Sequence[str]) -> Tuple[int, str]:
    """Find this machine among the clients of a dollytab. Returns its index and name, or -1 and ''."""
    return plan.find_self(text, dialled, is_own_address, names, leads_here)


def leads_here(host: str) -> bool:
    """Whether the resolver returns an address of this machine for `host`."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return False
    return any(is_own_address(str(entry[4][0])) for entry in found)
