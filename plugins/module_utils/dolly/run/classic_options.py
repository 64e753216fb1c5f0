# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that only rings of originals have; apart, so that other runs need not load the rest of classic mode."""

from __future__ import annotations

import argparse

from ..errors import UsageError

_ONLY_CLASSIC = {
    "control_port": "--control-port",
    "trust_sender_path": "--trust-sender-path",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that only --classic has."""
    group = parser.add_argument_group("rings of the original dolly 0.5x to 0.64")
    group.add_argument("--classic", dest="is_classic", action="store_true", help="speak its protocol: no key, no check")
    group.add_argument("--control-port", type=int, metavar="PORT", help="default: one less than --port")
    group.add_argument(
        "--trust-sender-path", action="store_true", help="a client without -O writes where whoever connects says"
    )


def check_unused(options: argparse.Namespace) -> None:
    """Refuse what only --classic knows. Raises UsageError."""
    for name, option in _ONLY_CLASSIC.items():
        if getattr(options, name):
            raise UsageError(option, getattr(options, name), "--classic with it")
