# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Both ends of -d: a knock at port 9996, and the sockets that systemd hands to a service (sd_listen_fds(3)).

A socket named `ring` is the one to listen on for the ring; any other is the one that was knocked at, whose connections
are taken and closed: they carry nothing, and one that nobody takes would have systemd start the service again.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import socket
from typing import Any, Callable, List, MutableMapping, Optional, Sequence, Tuple

from ..errors import PeerLost
from ..net import sockets
from ..net.reactor import Reactor

KNOCK_PORT = 9996
_FIRST_FD = 3
_AT_ONCE = 64
_KNOCK_S = 5.0
_PAUSE_S = 1.0  # when there is no descriptor left for a knock


def take_sockets(
    environment: Optional[MutableMapping[str, str]] = None, first: int = _FIRST_FD
) -> Tuple[Optional[socket.socket], List[socket.socket]]:
    """The socket for the ring, if there is one, and those that are knocked at. No child will think they are its own."""
    environment = os.environ if environment is None else environment
    pid, count = environment.pop("LISTEN_PID", ""), environment.pop("LISTEN_FDS", "")
    names = environment.pop("LISTEN_FDNAMES", "").split(":")
    if pid != str(os.getpid()) or not count.isdigit():
        return None, []
    ring, knocks = None, []
    for index in range(int(count)):
        sock = socket.socket(fileno=first + index)
        sock.set_inheritable(False)
        if ring is None and names[index : index + 1] == ["ring"]:
            ring = sock
        else:
            knocks.append(sock)
    return ring, knocks


def close_sockets() -> None:
    """Take what has come there and let go of them: for a node that listens on sockets of its own."""
    ring, knocks = take_sockets()
    for sock in [*knocks, *([ring] if ring is not None else [])]:
        sock.setblocking(False)
        with contextlib.suppress(OSError):  # nobody more
            while True:
                sock.accept()[0].close()
        sock.close()


def answer_knocks(reactor: Reactor, knocks: Sequence[socket.socket], log: Callable[[str], None]) -> None:
    """Take and close whatever comes there, as long as the reactor runs."""

    def watch(sock: socket.socket) -> None:
        def ready(_readable: bool, _writable: bool) -> None:
            try:
                caller, _address = sock.accept()
            except OSError as error:
                if sockets.is_exhausted(error):
                    reactor.forget(sock)
                    reactor.after(_PAUSE_S, lambda: watch(sock))
                return  # else it went away again
            log("%s knocked" % sockets.name_of(caller))
            caller.close()

        sock.setblocking(False)
        reactor.watch(sock, ready, read=True, write=False)

    for sock in knocks:
        watch(sock)


def knock(hosts: Sequence[str], port: int, warn: Callable[[str], None]) -> None:
    """Knock at every host at once. One that does not answer may run already: it is only said."""

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
