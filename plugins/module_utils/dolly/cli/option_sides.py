# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of the one side that were given to the other, in a ring of ours."""

from __future__ import annotations

import argparse
from typing import Callable, Dict

from ..errors import UsageError

#: Whoever says one of these means the server, or relies on it.
_SERVER_ALONE = {
    "fanout": "--fanout", "verify": "--verify", "checksum": "--checksum", "bmap": "--bmap", "compare": "--compare",
    "min_nodes": "--min-nodes", "dummy_seconds": "-t", "knocks": "-d", "ssh": "--ssh",
}  # fmt: skip
#: What a client learns from the server; originals were told it on each machine.
_FROM_SERVER = {
    "sync": "-n", "ip_version": "-4 or -6", "tries": "-r", "socket_buffer": "-u", "block_size": "-b",
    "min_rate": "--min-rate", "segsize": "--segsize", "statistics": "-o", "uncompressed_size": "-c",
}  # fmt: skip
_CLIENT_ALONE = {
    "no_resume": "--no-resume", "allow_sector_size": "--allow-sector-size", "state_dir": "--state-dir",
}  # fmt: skip


def check(
    options: argparse.Namespace, is_server: bool, default_of: Callable[[str], object], warn: Callable[[str], None]
) -> None:
    """Refuse what would be believed to work, warn of what changes nothing. Raises UsageError."""

    def given(table: Dict[str, str]) -> Dict[str, str]:
        return {name: option for name, option in table.items() if getattr(options, name) != default_of(name)}

    if is_server:
        for name, option in given(_CLIENT_ALONE).items():
            if name == "state_dir" or options.ssh is None:  # clients that it starts over ssh are told the rest
                warn("warning: %s changes nothing on the server: say it to each client" % option)
        return
    for option in given(_SERVER_ALONE).values():
        expected = "on the server alone, and this is a client: none of -s, -S, -I, -H, -f and --dummy is there"
        raise UsageError(option, "given", expected)
    for option in given(_FROM_SERVER).values():
        warn("warning: %s changes nothing on a client, which learns it from the server" % option)
