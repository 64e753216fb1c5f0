# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connects to another node; both prove to each other that they hold the run's secret."""

from __future__ import annotations

import socket
import threading
from typing import Callable, Optional

from ..errors import DollyError, PeerLost
from ..net import sockets
from ..net.channel import Channel
from ..net.reactor import Timer
from ..plan.job import NodeSpec
from ..plan.transport import TRY_PAUSE_S
from ..wire.codec import NEED_MORE
from ..wire.greeting import Hello
from ..wire.handshake import DialerHandshake, Established
from ..workers import Worker
from .context import Context

_PAUSE_S = 0.3  # between tries
_MAX_REFUSALS = 3
#: Why a listening node may hang up: it tells strangers nothing.
_DOUBTS = "was it started for the same run, with the same key, and does no other program listen on port %d there?"

OnEstablished = Callable[[Established, Channel], None]
OnFailed = Callable[[str], None]


class Dialer:
    """An attempt to reach `node`. Ends in one of two calls on the reactor.

    While no address of the node accepts, connecting is repeated for `patience_s`, or as often as the run's
    transport says. A connection that closes or times out during the handshake is tried again for as long; a
    closed one a few times in any case, as strangers may have used up the limit on unfinished handshakes.

    `choose_epoch` gets the epoch that the other node says is current and returns the one to propose.
    """

    def __init__(
        self,
        context: Context,
        node: NodeSpec,
        kind: str,
        choose_epoch: Callable[[int], int],
        on_established: OnEstablished,
        on_failed: OnFailed,
        lane: int = 0,
        patience_s: float = 0.0,
    ) -> None:
        self._context = context
        self._node = node
        self._on_established = on_established
        self._on_failed = on_failed
        self._kind = kind
        self._lane = lane
        self._choose_epoch = choose_epoch
        self._patience_s = patience_s
        self._give_up_at = context.reactor.now() + patience_s
        self._refusals = 0
        self._cancelled = threading.Event()
        self._channel: Optional[Channel] = None
        self._handshake: Optional[DialerHandshake] = None
        self._sock: Optional[socket.socket] = None
        self._timer = Timer(lambda: None)
        self._is_connecting = False
        context.attempts.begun(self)
        self._start()

    def cancel(self) -> None:
        """Give up; neither callback is called any more. Harmless when the attempt is over.

        A thread that is still connecting ends soon after; the context's `attempts` tell when.
        """
        self._cancelled.set()
        self._timer.cancel()
        if self._channel is not None:
            self._channel.abort()
        if not self._is_connecting:
            self._context.attempts.over(self)

    def _new_handshake(self) -> DialerHandshake:
        context = self._context
        nonce = context.new_nonce()
        hello = Hello(context.run_id, context.name, self._node.name, self._kind, self._lane, nonce)
        return DialerHandshake(context.secret, hello, self._choose_epoch)

    def _start(self) -> None:
        self._sock = None
        self._is_connecting = True
        Worker("dial-" + self._node.name, self._connect, self._on_connected).start()

    def _connect(self) -> None:
        timeouts, tries = self._context.timeouts, 0
        limit = timeouts.connect if self._patience_s else timeouts.dead_after
        counts = self._context.transport.tries if self._patience_s and self._kind == "link" else 0
        while not self._cancelled.is_set():
            tries += 1
            try:
                self._sock = self._reach(limit)
                return
            except PeerLost as error:
                if tries >= counts if counts else self._context.reactor.now() >= self._give_up_at:
                    raise self._explain(error) from error
            self._cancelled.wait(TRY_PAUSE_S if counts else _PAUSE_S)

    def _reach(self, limit: float) -> socket.socket:
        """Connect to the first of the node's addresses that answers."""
        hosts = self._node.hosts
        for host in hosts[:-1]:
            try:
                return self._call(host, limit)
            except PeerLost as error:
                if not self._is_wanted():
                    raise
                self._context.log(
                    "%s does not answer there, its next address is tried: %s" % (self._node.name, error)
                )
        return self._call(hosts[-1], limit)

    def _call(self, host: str, limit: float) -> socket.socket:
        return sockets.connect(host, self._node.port, limit, self._context.transport, self._is_wanted)

    def _is_wanted(self) -> bool:
        return not self._cancelled.is_set()

    def _explain(self, error: PeerLost) -> DollyError:
        node = self._node
        name = self._context.name or "a node"  # a client started from the command line may have no name
        return sockets.not_reached(name, node.name, node.hosts[-1], node.port, error)

    def _on_connected(self, error: Optional[BaseException]) -> None:
        self._context.reactor.call(lambda: self._shake_hands(error))

    def _shake_hands(self, error: Optional[BaseException]) -> None:
        self._is_connecting = False
        if self._cancelled.is_set():
            if self._sock is not None:
                self._sock.close()
            self._context.attempts.over(self)
            return
        if self._sock is None:
            self._fail(error.sentence if isinstance(error, DollyError) else repr(error))
            return
        sockets.tune(self._sock)
        self._handshake = self._new_handshake()
        self._channel = Channel(self._context.reactor, self._sock, self._on_data, self._refused)
        limit = self._context.timeouts.handshake
        self._timer = self._context.reactor.after(limit, lambda: self._too_late(limit))
        self._channel.write(self._handshake.start())

    def _on_data(self, data: bytes) -> None:
        if self._handshake is None or self._channel is None:
            return
        try:
            self._handshake.feed(data)
            event = self._handshake.next()
        except DollyError as error:
            self._fail(error.sentence)
            return
        if event is NEED_MORE:
            return
        channel, self._channel = self._channel, None
        self._timer.cancel()
        self._cancelled.set()  # from here on the new owner is responsible for the connection
        self._context.attempts.over(self)
        channel.write(event.data)
        self._on_established(event.established, channel)

    def _too_late(self, limit: float) -> None:
        late = "it did not finish the handshake in %g s: does it hang, or does another program listen on port %d there?"
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.abort()
        if self._cancelled.is_set() or not self._is_patient:
            self._fail(late % (limit, self._node.port))
        else:
            self._start()

    @property
    def _is_patient(self) -> bool:
        return self._context.reactor.now() < self._give_up_at

    def _refused(self, why: str) -> None:
        self._timer.cancel()
        self._channel = None
        self._refusals += 1
        is_enough = self._refusals > _MAX_REFUSALS and not self._is_patient
        if is_enough or self._cancelled.is_set():
            self._fail("%s before the handshake was over: %s" % (why, _DOUBTS % self._node.port))
        else:
            self._timer = self._context.reactor.after(_PAUSE_S, self._start)

    def _fail(self, why: str) -> None:
        self._timer.cancel()
        if self._channel is not None:
            self._channel.abort()
        self._context.attempts.over(self)
        if not self._cancelled.is_set():
            self._cancelled.set()
            self._on_failed(why)
