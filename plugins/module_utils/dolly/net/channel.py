# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A non-blocking connection on the reactor: outgoing bytes are queued, incoming bytes go to a callback."""

from __future__ import annotations

import socket
from typing import Callable, Optional

from . import sockets
from .reactor import Reactor

_READ_SIZE = 256 * 1024
#: A peer with this much queued for it does not read; an honest peer never has a tenth of it queued.
_MAX_QUEUED = 64 * 1024 * 1024


class Channel:
    """Owns a connected socket until `abort`, `finish` or `detach`. Use it only on the reactor's thread.

    `on_data(bytes)` gets what arrives; `on_closed(reason)` is called exactly once when the connection
    ends in any way other than `abort` or `detach`.
    """

    def __init__(
        self,
        reactor: Reactor,
        sock: socket.socket,
        on_data: Callable[[bytes], None],
        on_closed: Callable[[str], None],
    ) -> None:
        sock.setblocking(False)
        self.peer = sockets.name_of(sock)
        self.local_host = sockets.local_host(sock)
        self.heard_at = self.sent_at = reactor.now()
        #: Most bytes to read at once. Lower it before `detach`: the next owner's bytes must stay unread.
        self.read_size = _READ_SIZE
        self._reactor = reactor
        self._sock: Optional[socket.socket] = sock
        self._on_data = on_data
        self._on_closed = on_closed
        self._queued = bytearray()
        self._is_finishing = False
        self._watch()

    def handle(self, on_data: Callable[[bytes], None], on_closed: Callable[[str], None]) -> None:
        """Hand the connection to another owner, for example when a handshake becomes a link."""
        self._on_data, self._on_closed = on_data, on_closed
        self.read_size = _READ_SIZE

    def write(self, data: bytes) -> None:
        """Queue bytes and send what the socket takes at once. Ignored after `finish` or the end."""
        if self._sock is None or self._is_finishing:
            return
        self._queued += data
        self.sent_at = self._reactor.now()
        self._flush()
        if len(self._queued) > _MAX_QUEUED:
            self._lose("it stopped reading")

    def finish(self) -> None:
        """Send what is queued, shut down the sending side, and close when the peer has closed too."""
        self._is_finishing = True
        self._flush()

    def abort(self) -> None:
        """Close now; no callback is called any more."""
        sock, self._sock = self._sock, None
        if sock is not None:
            self._reactor.forget(sock)
            sock.close()

    def detach(self) -> socket.socket:
        """Send all that is queued, then return the socket, blocking again; the caller owns it.

        Raises OSError when the connection is gone, or does not take the queued bytes at once: the reactor's
        thread must not wait.
        """
        if self._sock is None:
            raise OSError("the connection is gone")
        sock, self._sock = self._sock, None
        self._reactor.forget(sock)
        try:
            while self._queued:
                del self._queued[: sock.send(self._queued)]
        except OSError as error:
            sock.close()
            if isinstance(error, BlockingIOError):
                raise OSError("it does not take what is to be sent") from error
            raise
        sock.setblocking(True)
        return sock

    @property
    def is_open(self) -> bool:
        """Whether the connection has neither ended nor been detached."""
        return self._sock is not None

    def _watch(self) -> None:
        if self._sock is not None:
            self._reactor.watch(self._sock, self._on_event, read=True, write=bool(self._queued))

    def _on_event(self, readable: bool, writable: bool) -> None:
        if writable:
            self._flush()
        if readable:
            self._read()

    def _flush(self) -> None:
        while self._queued and self._sock is not None:
            try:
                sent = self._sock.send(self._queued)
            except BlockingIOError:
                break
            except OSError as error:
                self._lose(str(error))
                return
            del self._queued[:sent]
        if self._is_finishing and not self._queued and self._sock is not None:
            try:
                self._sock.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # the peer closed first; the next read reports it
        self._watch()

    def _read(self) -> None:
        if self._sock is None:
            return
        try:
            data = self._sock.recv(self.read_size)
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(str(error))
            return
        if not data:
            self._lose("it closed the connection")
            return
        self.heard_at = self._reactor.now()
        self._on_data(data)

    def _lose(self, reason: str) -> None:
        if self._sock is not None:
            self.abort()
            self._on_closed(reason)
