# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Accepts connections from peers that hold the run's secret, and from no others, at bounded cost."""

from __future__ import annotations

import resource
import socket
from typing import Callable, Dict, List

from ..errors import DollyError
from ..net import sockets
from ..net.channel import Channel
from ..net.reactor import Timer
from ..plan.transport import Transport
from ..wire.codec import NEED_MORE
from ..wire.greeting import Hello
from ..wire.handshake import Established, HelloReceived, ListenerHandshake
from .context import Context

#: Limits on unfinished handshakes: in all, and from one address. Beyond either, the oldest is closed, so that
#: silent strangers cannot keep a parent out. A caller that has named this run and this node is counted apart
#: from strangers: a flood from many addresses does not push out a parent in the middle of its handshake.
MAX_UNFINISHED = 128
MAX_PER_ADDRESS = 64
#: Connections accepted at once: a flood must not fill the kernel's queue, in which a parent waits too.
_AT_ONCE = 64
#: Time for a caller's HELLO, which comes right behind its connection, before the caller may be closed.
_MOMENT_S = 0.05

#: Unfinished handshakes may use 1/_SHARE of the descriptors: targets and lanes need some too.
_SHARE = 4
#: How long nothing is accepted when no descriptor is left. A waiting connection would wake the reactor all
#: the time.
_PAUSE_S = 0.2

#: Returns the current epoch for the sender of a HELLO; raises AuthError for a caller that may not connect.
Judge = Callable[[Hello], int]
OnEstablished = Callable[[Established, Channel], None]


def _descriptors() -> int:
    """How many descriptors this process may open."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return limit if limit != resource.RLIM_INFINITY else MAX_UNFINISHED * _SHARE


def _room() -> int:
    """How many unfinished handshakes of either kind are allowed."""
    return max(1, min(MAX_UNFINISHED, _descriptors() // _SHARE))


class _Caller:
    """A connection whose peer has not authenticated yet."""

    def __init__(self, listener: "Listener", sock: socket.socket) -> None:
        context = listener.context
        self._listener = listener
        self._handshake = ListenerHandshake(context.new_nonce())
        self.channel = Channel(context.reactor, sock, self._on_data, self._on_closed)
        self.channel.read_size = self._handshake.missing
        self.since = context.reactor.now()
        self.host = self.channel.peer.rsplit(" port ", 1)[0]
        self._timer = context.reactor.after(context.timeouts.handshake, lambda: self.refuse("it took too long"))

    def refuse(self, why: str) -> None:
        """Close without sending anything."""
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
            self._listener.is_known(self)
            self.channel.write(self._handshake.challenge(self._listener.context.secret, epoch))
            event = NEED_MORE
        if isinstance(event, Established):
            self._end()
            self._listener.on_established(event, self.channel)
        else:
            self.channel.read_size = self._handshake.missing


class Listener:
    """Owns the listening socket. Gives `on_established` each connection whose peer has authenticated."""

    def __init__(
        self, context: Context, sock: socket.socket, judge: Judge, on_established: OnEstablished
    ) -> None:
        self.context = context
        self.judge = judge
        self.on_established = on_established
        self.refused = 0
        self._last_refusal = ""
        self.port: int = sock.getsockname()[1]
        # Ordered sets, oldest first: callers without a HELLO so far, and callers whose HELLO was right.
        self._callers: Dict[_Caller, None] = {}
        self._known: Dict[_Caller, None] = {}
        self._sock = sock
        self._has_complained = False
        self._timer = Timer(lambda: None)
        sock.setblocking(False)
        self._watch()

    def shape(self, transport: Transport) -> None:
        """Apply the run's socket options to connections that come from now on."""
        try:
            sockets.shape(self._sock, transport)
        except OSError as error:
            self.context.log("socket options cannot be set: %s" % error.strerror)

    def close(self) -> None:
        """Stop listening, and close unfinished handshakes."""
        self._timer.cancel()
        self.context.reactor.forget(self._sock)
        self._sock.close()
        for caller in [*self._callers, *self._known]:
            caller.refuse("the node ended")

    @property
    def turned_away(self) -> str:
        """Text about refused callers for the error of a node that nobody reached; empty if there were none."""
        if not self.refused:
            return ""
        callers = "1 caller was" if self.refused == 1 else "%d callers were" % self.refused
        return " (%s turned away, the last one because: %s)" % (callers, self._last_refusal)

    def forget(self, caller: _Caller) -> None:
        """A handshake has ended."""
        self._callers.pop(caller, None)
        self._known.pop(caller, None)

    def is_known(self, caller: _Caller) -> None:
        """The caller has named this run and this node, and no longer counts as a stranger."""
        self.forget(caller)
        self._known[caller] = None
        self._make_room(self._known, caller.host)

    def count_refused(self, peer: str, why: str) -> None:
        """Count a refused connection. Only the first ones are logged: a port scan must not fill a disk."""
        self.refused += 1
        self._last_refusal = why.rstrip(".")
        if self.refused <= 20:
            self.context.log("refused a connection from %s: %s" % (peer, why))

    def _on_ready(self, _readable: bool, _writable: bool) -> None:
        for number in range(_AT_ONCE):
            if self._is_full():
                return
            try:
                sock, _address = self._sock.accept()
            except OSError as error:
                if number == 0 and sockets.is_exhausted(error):  # from the second on, the queue may be empty
                    self._pause(error)
                return
            sockets.tune(sock)
            caller = _Caller(self, sock)
            self._callers[caller] = None
            self._make_room(self._callers, caller.host)

    def _watch(self) -> None:
        self.context.reactor.watch(self._sock, self._on_ready, read=True, write=False)

    def _pause(self, error: OSError) -> None:
        """Out of descriptors: refuse the oldest unfinished handshake, or accept nothing for a while."""
        if not self._has_complained:
            self._has_complained = True
            self.context.log("a caller has to wait: %s" % error.strerror)
        unfinished = self._callers or self._known
        if unfinished:
            next(iter(unfinished)).refuse("there is no room for another connection")
        else:
            self._look_away(_PAUSE_S)

    def _look_away(self, seconds: float) -> None:
        self.context.reactor.forget(self._sock)
        self._timer = self.context.reactor.after(seconds, self._watch)

    def _is_full(self) -> bool:
        """Whether the next caller has to wait because the oldest stranger may still send its HELLO."""
        if len(self._callers) < _room():
            return False
        left = next(iter(self._callers)).since + _MOMENT_S - self.context.reactor.now()
        if left > 0:
            self._look_away(left)
        return left > 0

    def _make_room(self, callers: Dict[_Caller, None], host: str) -> None:
        same: List[_Caller] = [caller for caller in callers if caller.host == host]
        if len(same) > MAX_PER_ADDRESS:
            same[0].refuse("too many unfinished connections from this address")
        elif len(callers) > _room():
            next(iter(callers)).refuse("too many unfinished connections")
