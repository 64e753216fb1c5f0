# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds options of the server on a client, and the other way round, in a native ring."""

from __future__ import annotations

import argparse
from typing import Callable, Dict

from ..errors import UsageError

#: Options that describe the server's run; on a client they are errors.
_SERVER_ALONE = {
    "fanout": "--fanout", "verify": "--verify", "checksum": "--checksum", "bmap": "--bmap", "compare": "--compare",
    "min_nodes": "--min-nodes", "dummy_seconds": "-t", "knocks": "-d", "ssh": "--ssh",
}  # fmt: skip
#: Options that a client learns from the server; originals need them on each machine.
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
    """Refuse options that would be relied on in vain, and warn of useless ones. Raises UsageError."""

    def given(table: Dict[str, str]) -> Dict[str, str]:
        return {name: option for name, option in table.items() if getattr(options, name) != default_of(name)}

    if is_server:
        for name, option in given(_CLIENT_ALONE).items():
            if name == "state_dir" or options.ssh is None:  # clients started over ssh get the others
                warn("warning: %s changes nothing on the server: say it to each client" % option)
        return
    for option in given(_SERVER_ALONE).values():
        expected = "on the server alone, and this is a client: none of -s, -S, -I, -H, -f and --dummy is there"
        raise UsageError(option, "given", expected)
    for option in given(_FROM_SERVER).values():
        warn("warning: %s changes nothing on a client, which learns it from the server" % option)
