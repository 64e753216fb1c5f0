# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lets in whoever holds the run's secret, and nobody else, at bounded cost."""

from __future__ import annotations

import resource
import socket
from typing import Callable, Dict, List

from ..errors import DollyError
from ..net import sockets
from ..net.channel import Channel
from ..net.reactor import Timer
from ..plan.transport import Transport
from ..wire.auth import Established, HelloReceived, ListenerHandshake
from ..wire.codec import NEED_MORE
from ..wire.greeting import Hello
from .context import Context

#: Unfinished handshakes: in all, and from one address. Beyond either the oldest has to go, so that strangers who
#: say nothing cannot keep a parent out.
MAX_UNFINISHED = 128
MAX_PER_ADDRESS = 64

#: The part of this process's descriptors that unfinished handshakes may have: targets and lanes need some too.
_SHARE = 4
#: How long nobody is let in when there is no descriptor left. Whoever waits at the door would wake the reactor all
#: the time.
_PAUSE_S = 0.2

#: Which epoch is current for the node that says Hello; raises AuthError for what has no business here.
Judge = Callable[[Hello], int]
OnEstablished = Callable[[Established, Channel], None]


def _descriptors() -> int:
    """How many this process may have."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return limit if limit != resource.RLIM_INFINITY else MAX_UNFINISHED * _SHARE


class _Caller:
    """One connection that has not proved anything yet."""

    def __init__(self, listener: "Listener", sock: socket.socket) -> None:
        context = listener.context
        self._listener = listener
        self._handshake = ListenerHandshake(context.new_nonce())
        self.channel = Channel(context.reactor, sock, self._on_data, self._on_closed)
        self.channel.read_size = self._handshake.missing
        self.host = self.channel.peer.rsplit(" port ", 1)[0]
        self._timer = context.reactor.after(context.timeouts.handshake, lambda: self.refuse("it took too long"))

    def refuse(self, why: str) -> None:
        """Close without a word."""
        self.channel.abort()
        self._end()
        self._listener.count_refused(self.channel.peer, why)

    def _on_closed(self, reason: str) -> None:
        self._end()
        self._listener.count_refused(self.channel.peer, reason)

    def _end(self) -> None:
        self._timer.cancel()
        self._listener.forget(self)

    def _on_data(self, data: bytes) -> None:
        try:
            self._handshake.feed(data)
            self._answer()
        except DollyError as error:
            self.refuse(error.sentence)

    def _answer(self) -> None:
        event = self._handshake.next()
        if isinstance(event, HelloReceived):
            epoch = self._listener.judge(event.hello)
            self.channel.write(self._handshake.challenge(self._listener.context.secret, epoch))
            event = NEED_MORE
        if isinstance(event, Established):
            self._end()
            self._listener.on_established(event, self.channel)
        else:
            self.channel.read_size = self._handshake.missing


class Listener:
    """Owns the listening socket. `on_established` gets each connection whose peer proved itself."""

    def __init__(
        self, context: Context, sock: socket.socket, judge: Judge, on_established: OnEstablished
    ) -> None:
        self.context = context
        self.judge = judge
        self.on_established = on_established
        self.refused = 0
        self._last_refusal = ""
        self.port: int = sock.getsockname()[1]
        self._callers: Dict[_Caller, None] = {}  # a set that keeps the order of arrival
        self._sock = sock
        self._has_complained = False
        self._timer = Timer(lambda: None)
        sock.setblocking(False)
        self._watch()

    def shape(self, transport: Transport) -> None:
        """Have the connections that come from now on made as the run wants it."""
        try:
            sockets.shape(self._sock, transport)
        except OSError as error:
            self.context.log("socket options cannot be set: %s" % error.strerror)

    def close(self) -> None:
        """Listen no more, and drop whoever has not finished."""
        self._timer.cancel()
        self.context.reactor.forget(self._sock)
        self._sock.close()
        for caller in list(self._callers):
            caller.refuse("the node ended")

    @property
    def turned_away(self) -> str:
        """What somebody should know who waits for a caller in vain; empty where there was none."""
        if not self.refused:
            return ""
        callers = "1 caller was" if self.refused == 1 else "%d callers were" % self.refused
        return " (%s turned away, the last one because: %s)" % (callers, self._last_refusal)

    def forget(self, caller: _Caller) -> None:
        """A handshake came to its end."""
        self._callers.pop(caller, None)

    def count_refused(self, peer: str, why: str) -> None:
        """Note a connection that came to nothing. Only the first ones are logged: a scan must not fill a disk."""
        self.refused += 1
        self._last_refusal = why.rstrip(".")
        if self.refused <= 20:
            self.context.log("refused a connection from %s: %s" % (peer, why))

    def _on_ready(self, _readable: bool, _writable: bool) -> None:
        try:
            sock, _address = self._sock.accept()
        except OSError as error:
            if sockets.is_exhausted(error):
                self._pause(error)
            return  # else it went away again
        sockets.tune(sock)
        caller = _Caller(self, sock)
        self._callers[caller] = None
        self._make_room(caller.host)

    def _watch(self) -> None:
        self.context.reactor.watch(self._sock, self._on_ready, read=True, write=False)

    def _pause(self, error: OSError) -> None:
        """The oldest that has not proved anything yet has to give its descriptor back; else wait for one."""
        if not self._has_complained:
            self._has_complained = True
            self.context.log("a caller has to wait: %s" % error.strerror)
        if self._callers:
            next(iter(self._callers)).refuse("there is no room for another connection")
        else:
            self.context.reactor.forget(self._sock)
            self._timer = self.context.reactor.after(_PAUSE_S, self._watch)

    def _make_room(self, host: str) -> None:
        same: List[_Caller] = [caller for caller in self._callers if caller.host == host]
        if len(same) > MAX_PER_ADDRESS:
            same[0].refuse("too many unfinished connections from this address")
        elif len(self._callers) > min(MAX_UNFINISHED, _descriptors() // _SHARE):
            next(iter(self._callers)).refuse("too many unfinished connections")
