# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that only classic rings have, and those that classic rings cannot support.

They are separate from the rest of classic mode, so that other runs need not load it.
"""

from __future__ import annotations

import argparse
from typing import Callable

from ..errors import Refused, UsageError
from . import argtypes

_ONLY_CLASSIC = {
    "control_port": "--control-port",
    "trust_sender_path": "--trust-sender-path",
}
_WHOLE = "originals send and take the whole image"
#: Options that a user would rely on in vain: (option, reason).
_IMPOSSIBLE = {
    "verify": ("--verify", "this protocol carries no digests, and nothing is verified"),
    "checksum": ("--checksum", "this protocol carries no digests, and nothing is verified"),
    "bmap": ("--bmap", _WHOLE),
    "compare": ("--compare", _WHOLE),
    "min_nodes": ("--min-nodes", "the image is sent when all nodes are ready, and not before"),
    "key_file": ("--key-file", "this protocol has no key: whoever connects first is obeyed"),
    "ssh": ("--ssh", "it starts clients of ours, which need no ring of originals"),
}
#: Options without effect: (option, reason).
_IDLE = {
    "dead_after": ("--dead-after", "nodes do not send each other signs of life"),
    "orphan_timeout": ("--orphan-timeout", "a node that has lost its parent gets no other one"),
    "min_rate": ("--min-rate", "no node is left behind for being slow"),
    "state_dir": ("--state-dir", "no journal is kept"),
}
_IDLE_SERVER = {"bind": ("--bind", "the server listens nowhere")}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that need --classic."""
    group = parser.add_argument_group("rings of the original dolly 0.5x to 0.64")
    group.add_argument("--classic", dest="is_classic", action="store_true", help="speak its protocol: no key, no check")
    control = argtypes.count("--control-port", 0, 65535)
    group.add_argument("--control-port", type=control, metavar="PORT", help="default: one less than --port")
    group.add_argument(
        "--trust-sender-path", action="store_true", help="a client without -O writes where whoever connects says"
    )


def check_unused(options: argparse.Namespace) -> None:
    """Refuse options that need --classic. Raises UsageError."""
    for name, option in _ONLY_CLASSIC.items():
        if getattr(options, name):
            raise UsageError(option, getattr(options, name), "--classic with it")


def check_possible(options: argparse.Namespace, is_server: bool, warn: Callable[[str], None]) -> None:
    """Refuse options that a classic ring cannot support, and warn of useless ones. Raises Refused."""
    for name, (option, why) in _IMPOSSIBLE.items():
        value = getattr(options, name)
        is_said = bool(value) or (name == "ssh" and value is not None)
        if is_said and (name, value) != ("verify", "none"):
            raise Refused("%s in a classic ring" % option, why, "the same without %s" % option)
    idle = {**_IDLE, **(_IDLE_SERVER if is_server else {})}
    for name, (option, why) in idle.items():
        if getattr(options, name):
            warn("warning: %s changes nothing in a classic ring: %s" % (option, why))
    if is_server and not options.sync:
        warn("warning: -n on the server changes nothing in a classic ring: say it to each client")
