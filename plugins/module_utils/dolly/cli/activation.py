# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Both ends of -d: a knock at port 9996, and the sockets that systemd hands to a service (sd_listen_fds(3)).

The ring listens on the socket named `ring`. Connections to any other socket are knocks: they carry no data,
and are accepted and closed, or systemd would start the service again. So they are accepted before anything
can fail, and a service that fails at once waits before it ends, because strangers can knock, too.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import itertools
import os
import socket
import time
from typing import Any, Callable, List, Mapping, MutableMapping, Optional, Sequence, Tuple

from ..errors import PeerLost
from ..net import sockets
from ..net.reactor import Reactor

KNOCK_PORT = 9996
#: Where a receiver that a knock started listens. Strangers can start one, so it must not take the usual port.
SERVICE_PORT = 9995
#: The shortest time after which a service that a knock started may end in failure.
SHORTEST_LIFE_S = 5.0
_FIRST_FD = 3
_AT_ONCE = 64
_KNOCK_S = 5.0
_PAUSE_S = 1.0  # if no descriptor is left for a connection
_BETWEEN_KNOCKS_S = 0.05  # a flood of knocks must wait, not the run
_MAX_LOGGED = 20

#: Addresses of knocks that arrived before there was a log.
_early: List[str] = []


def take_knocks(environment: Optional[Mapping[str, str]] = None, first: int = _FIRST_FD) -> bool:
    """Accept the knocks so far and leave the sockets open. Returns whether systemd handed over any."""
    numbers = [number for number, name in _handed_over(os.environ if environment is None else environment, first)]
    for number in numbers:
        sock = socket.socket(fileno=os.dup(number))
        try:
            _early.extend(_take_all(sock)[:_MAX_LOGGED])
        finally:
            sock.close()
    return bool(numbers)


def take_sockets(
    environment: Optional[MutableMapping[str, str]] = None, first: int = _FIRST_FD
) -> Tuple[Optional[socket.socket], List[socket.socket]]:
    """Return the socket for the ring, or None, and those for knocks. Child processes do not inherit them."""
    environment = os.environ if environment is None else environment
    found = _handed_over(environment, first)
    for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        environment.pop(name, "")
    ring, knocks = None, []
    for number, name in found:
        sock = socket.socket(fileno=number)
        sock.set_inheritable(False)
        if ring is None and name == "ring":
            ring = sock
        else:
            knocks.append(sock)
    return ring, knocks


def close_sockets() -> None:
    """Accept all knocks and close the sockets, for a node that listens on sockets of its own."""
    ring, knocks = take_sockets()
    for sock in [*knocks, *([ring] if ring is not None else [])]:
        _take_all(sock)
        sock.close()


def rest(began_at: float) -> None:
    """Delay a failure of the service, so that the next knock cannot restart it at once."""
    time.sleep(max(0.0, SHORTEST_LIFE_S - (time.monotonic() - began_at)))


def _handed_over(environment: Mapping[str, str], first: int) -> List[Tuple[int, str]]:
    """Return descriptor and name of each socket that systemd handed to this process."""
    pid, count = environment.get("LISTEN_PID", ""), environment.get("LISTEN_FDS", "")
    names = environment.get("LISTEN_FDNAMES", "").split(":")
    if pid != str(os.getpid()) or not count.isdigit():
        return []
    return [(first + index, "".join(names[index : index + 1])) for index in range(int(count))]


def _take_all(sock: socket.socket) -> List[str]:
    """Accept and close all waiting connections. Returns their addresses."""
    names = []
    sock.setblocking(False)
    with contextlib.suppress(OSError):  # no more connections
        while True:
            caller = sock.accept()[0]
            names.append(sockets.name_of(caller))
            caller.close()
    return names


def answer_knocks(reactor: Reactor, knocks: Sequence[socket.socket], log: Callable[[str], None]) -> None:
    """Accept and close knocks as long as the reactor runs. Only the first ones are logged."""
    taken = itertools.count(1)
    for name in _early:
        log("%s knocked" % name)
    _early.clear()

    def watch(sock: socket.socket) -> None:
        def ready(_readable: bool, _writable: bool) -> None:
            try:
                caller, _address = sock.accept()
            except OSError as error:
                if sockets.is_exhausted(error):
                    reactor.forget(sock)
                    reactor.after(_PAUSE_S, lambda: watch(sock))
                return  # otherwise the caller has gone away again
            if next(taken) <= _MAX_LOGGED:
                log("%s knocked" % sockets.name_of(caller))
            caller.close()
            reactor.forget(sock)
            reactor.after(_BETWEEN_KNOCKS_S, lambda: watch(sock))

        sock.setblocking(False)
        reactor.watch(sock, ready, read=True, write=False)

    for sock in knocks:
        watch(sock)


def knock(hosts: Sequence[str], port: int, warn: Callable[[str], None]) -> None:
    """Knock at all hosts in parallel. A host that does not answer may run already: this is only a warning."""

    def once(host: str) -> Any:
        try:
            sockets.connect(host, port, _KNOCK_S).close()
        except PeerLost as error:
            why = sockets.not_reached("this machine", host, host, port, error)
            return "no service was started: %s" % why.sentence
        return None

    with concurrent.futures.ThreadPoolExecutor(_AT_ONCE) as pool:
        for reason in pool.map(once, hosts):
            if reason:
                warn("warning: " + reason)
