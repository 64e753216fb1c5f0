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
from ..wire.codec import NEED_MORE
from ..wire.greeting import Hello
from ..wire.handshake import Established, HelloReceived, ListenerHandshake
from .context import Context

#: Unfinished handshakes: in all, and from one address. Beyond either the oldest has to go, so that strangers who
#: say nothing cannot keep a parent out. Who has named this run and this node is no stranger any more, and counts among
#: its own kind: a flood from many addresses does not push out a parent in the middle of its handshake.
MAX_UNFINISHED = 128
MAX_PER_ADDRESS = 64
#: Connections taken at once: a flood must not fill the kernel's queue, in which a parent waits, too.
_AT_ONCE = 64
#: How long everybody has to say whom he calls before he may have to go: a HELLO comes right behind its connection.
_MOMENT_S = 0.05

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


def _room() -> int:
    """How many unfinished handshakes there may be of either kind."""
    return max(1, min(MAX_UNFINISHED, _descriptors() // _SHARE))


class _Caller:
    """One connection that has not proved anything yet."""

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
            self._listener.is_known(self)
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
        # Sets that keep the order of arrival: those who have said nothing yet, and those who know what they call.
        self._callers: Dict[_Caller, None] = {}
        self._known: Dict[_Caller, None] = {}
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
        for caller in [*self._callers, *self._known]:
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
        self._known.pop(caller, None)

    def is_known(self, caller: _Caller) -> None:
        """A caller has named this run and this node: strangers take no room from it any more."""
        self.forget(caller)
        self._known[caller] = None
        self._make_room(self._known, caller.host)

    def count_refused(self, peer: str, why: str) -> None:
        """Note a connection that came to nothing. Only the first ones are logged: a scan must not fill a disk."""
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
                if number == 0 and sockets.is_exhausted(error):  # later on nobody may be left who waits for one
                    self._pause(error)
                return
            sockets.tune(sock)
            caller = _Caller(self, sock)
            self._callers[caller] = None
            self._make_room(self._callers, caller.host)

    def _watch(self) -> None:
        self.context.reactor.watch(self._sock, self._on_ready, read=True, write=False)

    def _pause(self, error: OSError) -> None:
        """The oldest that has not proved anything yet has to give its descriptor back; else wait for one."""
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
        """Whether the next caller has to wait until the oldest stranger has had its moment."""
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
