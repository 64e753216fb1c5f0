# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The data connections of one hop of a classic ring as one stream, without frames or an announced end.

With one connection the bytes go through a Lane, between socket and file in the kernel. With several, blocks
go round-robin over them and are put together in memory; that is slow, and the original is no faster. Nothing
here waits for bytes that may never come: only what has come is taken.
"""

from __future__ import annotations

import abc
import fcntl
import os
import select
import socket
import struct
import termios
from typing import Any, Iterator, List, Sequence, Set, Tuple

from ..errors import PeerLost
from ..net.lane import Lane

#: Cuts a range at blocks: (number of the connection, offset, length). Passed in by the protocol, which this
#: module does not know.
Spans = Any
_ROOM = 256 * 1024
_INT = struct.Struct("i")


class Stream(abc.ABC):
    """A lane for a store, for a stream in order. `abort` may be called from any thread, the rest from one."""

    def __init__(self, socks: Sequence[socket.socket], peer: str) -> None:
        self.peer = peer
        self.has_ended = False
        self._socks = list(socks)
        self._lanes = [Lane(sock, peer) for sock in socks]

    @abc.abstractmethod
    def pending(self) -> int:
        """How many bytes can be taken now, in order, without waiting; also detects the end."""

    @abc.abstractmethod
    def waiting_for(self) -> List[socket.socket]:
        """The sockets from which a read would help now."""

    @abc.abstractmethod
    def to_file(self, fd: int, offset: int, length: int) -> int:
        """Stream to file; `length` is at most what is pending."""

    @abc.abstractmethod
    def to_view(self, view: memoryview) -> int:
        """Stream to memory; at most what is pending."""

    @abc.abstractmethod
    def from_file(self, fd: int, offset: int, length: int) -> int:
        """File to stream. Returns the count sent, which is less only where the file ended early."""

    @abc.abstractmethod
    def from_view(self, view: memoryview) -> None:
        """Memory to stream, all of it, behind what was sent before."""

    def end(self) -> None:
        """Tell the other side that everything has been sent."""
        for sock in self._socks:
            try:
                sock.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # closed already; its control connection tells how it went

    def discard(self) -> None:
        """Discard what has come, so that closing does not reset what is still on its way to the other side."""
        for sock in self._socks:
            try:
                while sock.recv(_ROOM, socket.MSG_DONTWAIT):
                    pass
            except OSError:
                continue

    def abort(self) -> None:
        """Wake threads that are in a call on the stream; the call fails."""
        for lane in self._lanes:
            lane.abort()

    def close(self) -> None:
        """Close the sockets."""
        for lane in self._lanes:
            lane.close()


class Straight(Stream):
    """One data connection."""

    def pending(self) -> int:
        count = _available(self._socks[0])
        if not count and not self.has_ended and _is_readable(self._socks):
            self.has_ended = _has_ended(self._socks[0], self.peer)
            count = 0 if self.has_ended else _available(self._socks[0])
        return count

    def waiting_for(self) -> List[socket.socket]:
        return [] if self.has_ended else self._socks

    def to_file(self, fd: int, offset: int, length: int) -> int:
        # All of it: a lane may keep the end of a step in its pipe, and the next length may be smaller.
        done = 0
        while done < length:
            done += self._lanes[0].to_file(fd, offset + done, length - done)
        return done

    def to_view(self, view: memoryview) -> int:
        return self._lanes[0].to_view(view)

    def from_file(self, fd: int, offset: int, length: int) -> int:
        return self._lanes[0].from_file(fd, offset, length)

    def from_view(self, view: memoryview) -> None:
        self._lanes[0].from_view(view)


class Striped(Stream):
    """Several data connections; blocks of `block` bytes go round-robin over them, starting with the first.

    `has_ended` when the connection whose turn it is has ended. The last round is held back until it is known
    what comes after it, because an original in the middle of a ring pads the last blocks while it does not
    know the end; `release` ends that.
    """

    def __init__(self, socks: Sequence[socket.socket], peer: str, block: int, spans: Spans) -> None:
        super().__init__(socks, peer)
        self._block = block
        self._spans = spans
        self._buffers = [bytearray() for _sock in socks]
        self._ended: Set[int] = set()
        self._offset = 0
        self._out = 0
        self._is_released = False

    def release(self) -> None:
        """The end is known: hold nothing back any more."""
        self._is_released = True

    def pending(self) -> int:
        self._fill()
        self.has_ended = self._turn() in self._ended and not self._buffers[self._turn()]
        count = sum(length for _lane, length in self._in_order())
        held = 0 if self._is_released else self._block * len(self._buffers)
        return max(0, count - held)

    def waiting_for(self) -> List[socket.socket]:
        return [
            sock
            for number, sock in enumerate(self._socks)
            if number not in self._ended and len(self._buffers[number]) < _ROOM
        ]

    def to_file(self, fd: int, offset: int, length: int) -> int:
        data = self._take(length)
        written = 0
        while written < len(data):
            written += os.pwrite(fd, data[written:], offset + written)
        return len(data)

    def to_view(self, view: memoryview) -> int:
        data = self._take(len(view))
        view[: len(data)] = data
        return len(data)

    def from_file(self, fd: int, offset: int, length: int) -> int:
        # The offset in the file and in the stream differ: an image may be in several files.
        sent = 0
        for number, _start, count in self._spans(self._out, length, self._block, len(self._lanes)):
            step = self._lanes[number].from_file(fd, offset + sent, count)
            sent += step
            if step < count:
                break
        self._out += sent
        return sent

    def from_view(self, view: memoryview) -> None:
        at = 0
        for number, _start, count in self._spans(self._out, len(view), self._block, len(self._lanes)):
            self._lanes[number].from_view(view[at : at + count])
            at += count
        self._out += at

    def _turn(self) -> int:
        return self._offset // self._block % len(self._buffers)

    def _fill(self) -> None:
        for sock in _readable(self.waiting_for(), 0.0):
            number = self._socks.index(sock)
            try:
                data = sock.recv(_ROOM, socket.MSG_DONTWAIT)
            except BlockingIOError:
                continue
            except OSError as error:
                raise PeerLost(self.peer, str(error)) from error
            self._buffers[number] += data
            if not data:
                self._ended.add(number)

    def _in_order(self) -> Iterator[Tuple[int, int]]:
        """(number of the connection, bytes) for the bytes that have come without a gap."""
        left = [len(buffer) for buffer in self._buffers]
        offset = self._offset
        while True:
            number = offset // self._block % len(left)
            wanted = self._block - offset % self._block
            count = min(wanted, left[number])
            if count:
                yield number, count
            if count < wanted:
                return
            left[number] -= count
            offset += count

    def _take(self, length: int) -> memoryview:
        taken = [0] * len(self._buffers)
        parts = []
        for number, count in self._in_order():
            count = min(count, length)
            start = taken[number]
            parts.append(bytes(self._buffers[number][start : start + count]))
            taken[number] += count
            length -= count
            if not length:
                break
        for number, count in enumerate(taken):
            del self._buffers[number][:count]
        data = b"".join(parts)
        self._offset += len(data)
        return memoryview(data)


def make_stream(socks: Sequence[socket.socket], peer: str, block: int, spans: Spans) -> Stream:
    """The stream over one connection or several."""
    if len(socks) == 1:
        return Straight(socks, peer)
    return Striped(socks, peer, block, spans)


def wait_readable(socks: Sequence[socket.socket], timeout_s: float) -> List[socket.socket]:
    """Wait until sockets can be read or have ended. Returns these; empty after `timeout_s`."""
    return _readable(socks, timeout_s)


def _readable(socks: Sequence[socket.socket], timeout_s: float) -> List[socket.socket]:
    poll = select.poll()
    by_fd = {sock.fileno(): sock for sock in socks}
    for fd in by_fd:
        poll.register(fd, select.POLLIN)
    return [by_fd[fd] for fd, _events in poll.poll(timeout_s * 1000.0)]


def _is_readable(socks: Sequence[socket.socket]) -> bool:
    return bool(_readable(socks, 0.0))


def _available(sock: socket.socket) -> int:
    count: int = _INT.unpack(fcntl.ioctl(sock.fileno(), termios.FIONREAD, _INT.pack(0)))[0]
    return count


def _has_ended(sock: socket.socket, peer: str) -> bool:
    try:
        return not sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError as error:
        raise PeerLost(peer, str(error)) from error
