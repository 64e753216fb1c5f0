# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a node of a classic ring gets its parent: two listening ports, and the connections of the parent.

Any host that sends a dollytab is the parent: the protocol cannot identify it. Hosts that connect and send
nothing, such as port scanners, do not block or disturb the parent.
"""

from __future__ import annotations

import contextlib
import socket
import time
from typing import Callable, Dict, List, Optional, Tuple

from ..errors import PeerLost, ProtocolError, TimedOut
from ..net import sockets
from . import protocol
from .child import HopOptions
from .striped_stream import Stream, make_stream, wait_readable

_TICK_S = 0.2
#: How long to wait for the space behind a text of 1448 bytes: it is sent together with the text.
_SPACE_S = 1.0
#: How long a first data connection has to come from the control connection's host; then any host will do.
_OTHER_HOST_S = 2.0
_MOST_WAITING = 32
_READ = 4096


class Parent:
    """The neighbour above."""

    def __init__(self, control: socket.socket, heard: protocol.FromParent, options: HopOptions) -> None:
        self.name = sockets.name_of(control)
        self.control = control
        self.stream: Optional[Stream] = None
        self.dialled = sockets.local_host(control)
        self._heard = heard
        self._options = options

    @property
    def text(self) -> bytes:
        """What has come of the text so far, for parsing; `take_text` returns it for passing on."""
        return self._heard.text

    def take_text(self) -> bytes:
        """The text with all that came behind it; the same each time. Raises PeerLost, ProtocolError."""
        if self._heard.state == "trailing":
            patience = _SPACE_S if self._heard.wants_space else 0.0
            while wait_readable([self.control], patience):
                self._receive()
                patience = 0.0
            self._heard.take_text()
        return self._heard.text

    def hear(self) -> Optional[int]:
        """Read the control connection. Returns the length of the image once it is known.

        Raises PeerLost when the connection ends before.
        """
        return self._receive()

    def say(self, line: bytes) -> None:
        """Send to the parent. Raises PeerLost."""
        self.control.settimeout(self._options.stall_s)
        try:
            self.control.sendall(line)
        except OSError as error:
            raise PeerLost(self.name, str(error)) from error

    def linger(self, patience_s: float) -> None:
        """Wait a little until the parent has closed too: unread bytes would reset the connection.

        Errors are ignored: there is nothing left to say.
        """
        give_up_at = time.monotonic() + patience_s
        with contextlib.suppress(OSError):
            self.control.shutdown(socket.SHUT_WR)
            while time.monotonic() < give_up_at:
                if self.stream is not None:
                    self.stream.discard()
                if wait_readable([self.control], _TICK_S / 4) and not self.control.recv(_READ):
                    return

    def close(self) -> None:
        """Close the connections."""
        if self.stream is not None:
            self.stream.close()
        self.control.close()

    def _receive(self) -> Optional[int]:
        try:
            data = self.control.recv(_READ, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return None
        except OSError as error:
            raise PeerLost(self.name, str(error)) from error
        if not data:
            raise PeerLost(self.name, "it has closed its control connection")
        return self._heard.feed(data)


class Door:
    """Listens for data and for control. Raises UsageError when a port cannot be had."""

    def __init__(self, bind: str, options: HopOptions, check: Callable[[], None]) -> None:
        self._options = options
        self._check = check
        self._data: List[Tuple[socket.socket, bytes]] = []
        self._controls: Dict[socket.socket, protocol.FromParent] = {}
        self._data_door = sockets.listen(bind, options.data_port)
        if options.buffer:  # before a parent connects: later, the TCP window would not grow with it
            self._data_door.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, options.buffer)
        try:
            self._control_door = sockets.listen(bind, options.control_port)
        except BaseException:
            self._data_door.close()
            raise

    def await_parent(self) -> Parent:
        """Wait for a dollytab. Raises TimedOut."""
        limit = max(protocol.MAX_TEXT, self._options.block - 1)
        give_up_at = time.monotonic() + self._options.join_s
        while time.monotonic() < give_up_at:
            self._check()
            waiting = [self._data_door, self._control_door, *self._controls]
            for sock in wait_readable(waiting, _TICK_S):
                if sock is self._data_door:
                    self._accept_data()
                elif sock is self._control_door:
                    accepted = self._accept(self._control_door)
                    if accepted is not None:
                        self._make_room()
                        self._controls[accepted] = protocol.FromParent(sockets.name_of(accepted), limit)
                elif self._read_text(sock):
                    return Parent(sock, self._controls.pop(sock), self._options)
        raise TimedOut("waiting for a dollytab on port %d" % self._options.control_port, self._options.join_s, "-a")

    def await_stream(self, parent: Parent, count: int) -> None:
        """Wait for the parent's data connections. Raises TimedOut."""
        host: Optional[str] = _host(parent.control)
        found: Dict[int, socket.socket] = {}
        began_at = time.monotonic()
        while True:
            self._check()
            if time.monotonic() > began_at + _OTHER_HOST_S:
                host = None
            self._assign(found, count, host)
            if len(found) == count:
                break
            if time.monotonic() > began_at + self._options.setup_s:
                what = "waiting for %s to make its data connection %d of %d" % (parent.name, len(found) + 1, count)
                raise TimedOut(what, self._options.setup_s, "-a")
            waiting = [self._data_door, *[sock for sock, _head in self._data]]
            if self._data_door in wait_readable(waiting, _TICK_S / 4):
                self._accept_data()
            else:
                time.sleep(0.005)  # the waiting connections may not be the parent's
        socks = [found[index] for index in range(count)]
        parent.stream = make_stream(socks, parent.name, self._options.block, protocol.spans)

    def close(self) -> None:
        """Stop listening, and close all connections that are not the parent's."""
        for sock in [self._data_door, self._control_door, *self._controls, *[sock for sock, _head in self._data]]:
            sock.close()
        self._controls.clear()
        self._data.clear()

    def _accept(self, door: socket.socket) -> Optional[socket.socket]:
        try:
            sock = door.accept()[0]
        except OSError as error:
            if sockets.is_exhausted(error):
                time.sleep(_TICK_S)  # the connection still waits, and would wake the poll at once
            return None  # else it was closed before it was accepted
        sock.settimeout(None)
        sockets.tune(sock)
        return sock

    def _accept_data(self) -> None:
        sock = self._accept(self._data_door)
        if sock is not None:
            self._data.append((sock, b""))
            if len(self._data) > _MOST_WAITING:
                self._data.pop(0)[0].close()

    def _make_room(self) -> None:
        if len(self._controls) >= _MOST_WAITING:
            oldest = next(iter(self._controls))
            del self._controls[oldest]
            oldest.close()

    def _read_text(self, sock: socket.socket) -> bool:
        heard = self._controls[sock]
        try:
            data = sock.recv(_READ, socket.MSG_DONTWAIT)
            if data:
                heard.feed(data)
                return heard.has_text
        except BlockingIOError:
            return False
        except (OSError, ProtocolError):
            pass  # not a parent; the next one may be
        del self._controls[sock]
        sock.close()
        return False

    def _assign(self, found: Dict[int, socket.socket], count: int, host: Optional[str]) -> None:
        """Take from the waiting connections those that can be data connections of the parent."""
        waiting, self._data = self._data, []
        # The first one comes from the control connection's host, shortly before it: an older one is a
        # stranger's. Further ones have addresses of their own.
        waiting.reverse()
        waiting.sort(key=lambda entry: _host(entry[0]) != host)
        for sock, head in waiting:
            if _is_closed(sock):
                sock.close()
                continue
            head = _read_head(sock, head) if count > 1 else protocol.pack_index(0)
            index = protocol.unpack_index(head) if len(head) == protocol.INDEX_SIZE else -1
            is_ours = index > 0 or (index == 0 and host in (None, _host(sock)))
            if is_ours and index < count and index not in found:
                found[index] = sock
            else:
                self._data.insert(0, (sock, head if count > 1 else b""))


def _host(sock: socket.socket) -> str:
    try:
        return str(sock.getpeername()[0])
    except OSError:
        return ""


def _is_closed(sock: socket.socket) -> bool:
    """Whether the connection has ended without a byte."""
    try:
        return not sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True


def _read_head(sock: socket.socket, head: bytes) -> bytes:
    try:
        return head + sock.recv(protocol.INDEX_SIZE - len(head), socket.MSG_DONTWAIT) if len(head) < 4 else head
    except BlockingIOError:
        return head
    except OSError:
        return head  # closed, as the next look will show
