# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Opening sockets, setting their options, and telling from an errno which side failed."""

from __future__ import annotations

import errno
import os
import select
import socket
import time
from typing import Any, Callable, Optional, Tuple

from ..errors import CannotConnect, DollyError, NameUnknown, PeerLost, UsageError
from ..plan.transport import UNTOUCHED, Transport

#: Each errno that the kernel gives for a connection that ended or could not be made. Any other errno on a
#: data path is a failure of the file at its other end.
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

#: Connections that may wait to be accepted; the kernel caps this at `net.core.somaxconn`. It drops further
#: ones, and TCP retries after 1, 3 and 7 s: with a shorter queue, some hundred foreign connections would
#: delay a run by that.
BACKLOG = 4096
#: Seconds between two checks whether a connection that is being made is still wanted.
_LOOK_S = 0.1


def is_peer_gone(error: OSError) -> bool:
    """Whether an error of a socket call means that the peer, or the path to it, is gone."""
    return isinstance(error, socket.timeout) or error.errno in _PEER_GONE


def is_exhausted(error: OSError) -> bool:
    """Whether this process or machine has no resources for another connection; the caller may retry later."""
    return error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


def reason_of(error: Exception) -> str:
    """Return why a call failed, without the errno number and without Python's additions."""
    if isinstance(error, OSError) and not isinstance(error, socket.gaierror) and (error.errno or 0) > 0:
        return os.strerror(error.errno or 0)
    return getattr(error, "strerror", None) or str(error)


def listen_within(bind: str, first: int, last: int) -> socket.socket:
    """Return a socket listening on the first free port from `first` to `last`. Raises as `listen` does."""
    for port in range(first, last):
        try:
            return listen(bind, port)
        except UsageError as error:
            if not isinstance(error.__cause__, OSError) or error.__cause__.errno != errno.EADDRINUSE:
                raise
    return listen(bind, last)


def listen(bind: str, port: int, backlog: int = BACKLOG) -> socket.socket:
    """Return a listening socket. An empty `bind` is every IPv4 and IPv6 address, port 0 is any free port.

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
        if error.errno in (errno.EADDRINUSE, errno.EACCES) or not bind:
            expected = "a port that nothing else listens on and that is allowed here (%s)" % reason_of(error)
            raise UsageError("port", port, expected) from error
        raise UsageError("bind", bind, "an address of this machine (%s)" % reason_of(error)) from error


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


def connect(
    host: str,
    port: int,
    timeout_s: float,
    transport: Transport = UNTOUCHED,
    is_wanted: Callable[[], bool] = lambda: True,
) -> socket.socket:
    """Return a blocking TCP connection to the first address of `host` that answers in `timeout_s` seconds.

    Raises PeerLost with the reason; soon, when `is_wanted` turns false. Only the resolver's own limits bound
    the time to resolve the name.
    """
    reason: Exception = OSError("it has no address")
    try:
        for family, kind, protocol, _name, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            sock = socket.socket(family, kind, protocol)
            try:
                shape(sock, transport)
                _reach(sock, address, timeout_s, is_wanted)
                return sock
            except OSError as error:
                sock.close()
                reason = error
    except (OSError, UnicodeError) as error:  # UnicodeError: an invalid name, as of 64 letters, no dot
        reason = error
    raise PeerLost("%s port %d" % (host, port), reason_of(reason)) from reason


def not_reached(node: str, peer: str, host: str, port: int, lost: PeerLost) -> DollyError:
    """Return the error of `connect` with the right advice: an unknown name is not the fault of a firewall."""
    cause, reason = lost.__cause__, str(lost.fields.get("reason", lost))
    if isinstance(cause, (socket.gaierror, UnicodeError)):
        return NameUnknown(node, host, reason)
    return CannotConnect(node, peer, host, port, reason)


def _reach(sock: socket.socket, address: Any, timeout_s: float, is_wanted: Callable[[], bool]) -> None:
    sock.setblocking(False)
    code, give_up_at = sock.connect_ex(address), time.monotonic() + timeout_s
    poller = select.poll()
    poller.register(sock, select.POLLOUT)
    while code == errno.EINPROGRESS:
        left = give_up_at - time.monotonic()
        if left <= 0:
            raise socket.timeout("timed out")
        if not is_wanted():
            raise OSError("it is not wanted any more")
        if poller.poll(min(left, _LOOK_S) * 1000):
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        raise OSError(code, os.strerror(code))
    sock.setblocking(True)


def resolve(host: str, version: int) -> str:
    """Return the first address of `host` for IP version 4 or 6. Raises UsageError when `host` has none."""
    family = {4: socket.AF_INET, 6: socket.AF_INET6}[version]
    try:
        found = socket.getaddrinfo(host, None, family, socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise UsageError("host", host, "a name with an IPv%d address (%s)" % (version, reason_of(error))) from error
    return str(found[0][4][0])


def shape(sock: socket.socket, transport: Transport) -> None:
    """Set the options that must be set before connecting, on a socket that will dial or listen.

    tcp(7): the segment size and the window are negotiated when the connection is made.
    """
    if transport.segsize:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, transport.segsize)
    if transport.socket_buffer:
        for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            sock.setsockopt(socket.SOL_SOCKET, option, transport.socket_buffer)


def tune(sock: socket.socket, user_timeout_s: float = 0.0) -> None:
    """Send small frames at once; let the kernel give up on unacknowledged data after `user_timeout_s`."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    option: Optional[int] = getattr(socket, "TCP_USER_TIMEOUT", None)
    if option is not None and user_timeout_s > 0:
        sock.setsockopt(socket.IPPROTO_TCP, option, int(user_timeout_s * 1000))


def name_of(sock: socket.socket) -> str:
    """Return the peer's address and port as text, or '?' when the connection is already gone."""
    try:
        peer = sock.getpeername()
    except OSError:
        return "?"
    return "%s port %d" % (_plain(str(peer[0])), peer[1])


def local_host(sock: socket.socket) -> str:
    """Return the local address as text, without the prefix of an IPv4 address in an IPv6 socket."""
    return _plain(str(sock.getsockname()[0]))


def _plain(host: str) -> str:
    return host[7:] if host.startswith("::ffff:") and "." in host else host
