# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The names and addresses of this machine."""

from __future__ import annotations

import ipaddress
import os
import socket
from typing import List


def own_names() -> List[str]:
    """What this machine is called, the surest first."""
    found = [os.environ.get("MYNODENAME", ""), os.environ.get("HOST", ""), socket.gethostname()]
    return [name for name in found if name]


def is_own_address(host: str) -> bool:
    """Whether `host` is an address of this machine: no other address can be bound."""
    try:
        version = ipaddress.ip_address(host).version
    except ValueError:
        return False
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.bind((host, 0))
    except OSError:
        return False
    return True
