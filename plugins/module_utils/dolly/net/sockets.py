# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Opening sockets, setting their options, and telling whose fault an errno is."""

from __future__ import annotations

import errno
import socket
from typing import Any, Optional, Tuple

from ..errors import PeerLost, UsageError

#: A connection that ended or could not be made, by whatever name the kernel gives it. Everything
#: else that a data path raises belongs to the file on the other side of it.
_PEER_GONE = frozenset(
    (
        errno.EPIPE,
        errno.ECONNRESET,
        errno.ECONNABORTED,
        errno.ECONNREFUSED,
        errno.ENOTCONN,
        errno.ESHUTDOWN,
        errno.ETIMEDOUT,
        errno.EHOSTUNREACH,
        errno.EHOSTDOWN,
        errno.ENETUNREACH,
        errno.ENETDOWN,
        errno.ENETRESET,
        errno.ENOTSOCK,
        errno.EBADF,
    )
)


def is_peer_gone(error: OSError) -> bool:
    """Whether an error of a socket call means that the other end, or the way to it, is gone."""
    return isinstance(error, socket.timeout) or error.errno in _PEER_GONE


def listen(bind: str, port: int, backlog: int = 128) -> socket.socket:
    """A listening socket; an empty `bind` takes IPv4 and IPv6 on every address, port 0 any free one.

    Raises UsageError when the address is not one of this machine or the port is taken.
    """
    if not 0 <= port <= 65535:  # getaddrinfo would take it modulo 65536
        raise UsageError("port", port, "0 (any free one) to 65535")
    try:
        if not bind:
            return _listen_everywhere(port, backlog)
        family, address = _resolve_local(bind, port)
        return socket.create_server(address, family=family, backlog=backlog)
    except OSError as error:
        where = "%s port %d" % (bind or "any address", port)
        raise UsageError("bind/port", where, "one that can be listened on (%s)" % error) from error


def _listen_everywhere(port: int, backlog: int) -> socket.socket:
    try:
        return socket.create_server(("", port), family=socket.AF_INET6, backlog=backlog, dualstack_ipv6=True)
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            raise
        return socket.create_server(("", port), backlog=backlog)  # a kernel without IPv6


def _resolve_local(bind: str, port: int) -> Tuple[int, Any]:
    found = socket.getaddrinfo(bind, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return found[0][0], found[0][4]


def connect(host: str, port: int, timeout_s: float) -> socket.socket:
    """A blocking TCP connection to the first address of `host` that answers within `timeout_s`.

    Raises PeerLost with the reason; resolving the name is bounded by the resolver's own limits.
    """
    try:
        sock = socket.create_connection((host, port), timeout=timeout_s)
    except OSError as error:
        raise PeerLost("%s port %d" % (host, port), str(error)) from error
    sock.settimeout(None)
    return sock


def tune(sock: socket.socket, user_timeout_s: float = 0.0) -> None:
    """Send small frames at once; let the kernel give up on unacknowledged data after `user_timeout_s`."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    option: Optional[int] = getattr(socket, "TCP_USER_TIMEOUT", None)
    if option is not None and user_timeout_s > 0:
        sock.setsockopt(socket.IPPROTO_TCP, option, int(user_timeout_s * 1000))


def name_of(sock: socket.socket) -> str:
    """The peer's address and port as text, or '?' when the connection is already gone."""
    try:
        peer = sock.getpeername()
    except OSError:
        return "?"
    return "%s port %d" % (peer[0], peer[1])


def local_host(sock: socket.socket) -> str:
    """This end's address as text, without the prefix of an IPv4 address in an IPv6 socket."""
    host = str(sock.getsockname()[0])
    return host[7:] if host.startswith("::ffff:") else host
