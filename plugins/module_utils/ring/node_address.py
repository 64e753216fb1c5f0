# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The address at which the other nodes reach this node, and the rule that chose it.

    address      given by the caller
    interface    the address of that interface: IPv4, else global IPv6
    ansible_host the address that Ansible itself connects to
    name         the node's name
"""

from __future__ import annotations

import errno
import fcntl
import socket
import struct
import typing as t

from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import UsageError

_SIOCGIFADDR = 0x8915  # linux/sockios.h
_IFNAMSIZ = 16  # linux/if.h, with the final NUL
_SCOPE_GLOBAL = 0
# linux/if_addr.h
_TEMPORARY = 0x01
_UNUSABLE = 0x08 | 0x20 | 0x40  # duplicate found, deprecated, tentative


def choose_address(
    name: str, address: str = "", interface: str = "", ansible_host: str = ""
) -> t.Tuple[str, str]:
    """Return (address, rule). Raises UsageError when the interface is unknown or has no address."""
    if address:
        return address, "address"
    if interface:
        return interface_address(interface), "interface"
    if ansible_host:
        return ansible_host, "ansible_host"
    return name, "name"


def extra_addresses(address: str, addresses: t.Sequence[str], interfaces: t.Sequence[str]) -> t.List[str]:
    """Return the other addresses of this node, without duplicates or *address*. Raises UsageError."""
    found = [*addresses, *(interface_address(interface) for interface in interfaces)]
    return [one for one in dict.fromkeys(found) if one and one != address]


def interface_address(interface: str) -> str:
    found = _ipv4_of(interface) or pick_ipv6(_read_if_inet6(), interface)
    if found:
        return found
    known = sorted(known for dummy, known in socket.if_nameindex())
    if interface in known:
        raise UsageError("interface", interface, "one with an IPv4 or a global IPv6 address")
    raise UsageError("interface", interface, "one of this host's: " + ", ".join(known))


def _ipv4_of(interface: str) -> str:
    encoded = interface.encode("utf-8")
    if len(encoded) >= _IFNAMSIZ:
        return ""
    request = struct.pack("16sH14x8x", encoded, socket.AF_INET)  # struct ifreq, 40 bytes
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            answer = fcntl.ioctl(probe.fileno(), _SIOCGIFADDR, request)
        except OSError as error:
            if error.errno in (errno.ENODEV, errno.EADDRNOTAVAIL):
                return ""
            raise
    return socket.inet_ntop(socket.AF_INET, answer[20:24])


def _read_if_inet6() -> str:
    try:
        with open("/proc/net/if_inet6", encoding="ascii") as table:
            return table.read()
    except FileNotFoundError:  # a kernel without IPv6
        return ""


def pick_ipv6(table: str, interface: str) -> str:
    """Return the global address of *interface* in /proc/net/if_inet6 (its text), preferably a permanent one.

    The fields of a line: address, interface index, prefix length, scope, flags (all hexadecimal), interface.
    """
    candidates = []
    for line in table.splitlines():
        fields = line.split()
        if len(fields) != 6 or fields[5] != interface or int(fields[3], 16) != _SCOPE_GLOBAL:
            continue
        flags = int(fields[4], 16)
        if not flags & _UNUSABLE:
            candidates.append((flags & _TEMPORARY, fields[0]))
    if not candidates:
        return ""
    dummy, digits = min(candidates, key=lambda candidate: candidate[0])
    return socket.inet_ntop(socket.AF_INET6, bytes.fromhex(digits))
