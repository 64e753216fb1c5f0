# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A data connection: blocking, one thread at each end, bytes moved by the kernel where it can.

Receiving into a file goes socket -> pipe -> file with splice, sending goes file -> socket with sendfile.
Where either is missing the plain loop runs; the tests compare the fast paths with it.

The socket stays blocking on purpose: `settimeout` would make sendfile return EAGAIN at once. A stuck thread
is freed by `abort` from another thread, which shuts the socket down but does not close it: with `close`, the
descriptor could be reused at once, and stray bytes were written into a new connection.
"""

from __future__ import annotations

import fcntl
import os
import socket
import termios
import threading
import time
from typing import Optional

from ..buffers import make_buffer
from ..errors import PeerLost
from ..status.profile import Stopwatch
from . import sockets

#: The plain loop's piece: fits the L2 cache (1 MiB pieces were 20 % slower).
PLAIN_PIECE = 256 * 1024
#: The size of the pipe to ask for: the kernel's default limit for unprivileged users. With 4 MiB a ring took
#: 50 % longer, because the first bytes have left the processor's cache when they are written; with 512 KiB, 6
#: % longer.
PIPE_SIZE = 1024 * 1024
#: Wake the receiver for this much, not for each segment.
LOW_WATER = 256 * 1024
#: Report arrived bytes in steps of this. Each step wakes the threads that forward them: with 512 KiB, that
#: alone was a quarter of Python's time; going from 4 to 8 MiB still cut a ring's processor time by 5 %.
STEP = 8 * 1024 * 1024
#: On a slow link do not wait for a whole step: at 50 MB/s each node would be 170 ms behind its parent instead
#: of 5.
STEP_S = 0.004
#: Bytes per call that sends from a file. The call shows no progress before it returns, so a disk that
#: delivers less than this in `stall_timeout` counts as hung.
SEND_STEP = 1024 * 1024
_PAGE = 4096
_F_SETPIPE_SZ = 1031  # fcntl.F_SETPIPE_SZ exists from Python 3.10 on
_SPLICE_F_MOVE = 1  # linux/splice.h; no name in the os module
_SPLICE_F_NONBLOCK = 2
_SPLICE_F_MORE = 4
_can_splice = hasattr(os, "splice")


class _Pipe:
    """The pipe between a socket and a file; holds bytes only while one piece is being moved."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe2(os.O_CLOEXEC)
        self.filled = 0
        try:
            self.size = fcntl.fcntl(self.writer, _F_SETPIPE_SZ, PIPE_SIZE)
        except OSError:  # the user's quota for large pipes is used up: the default size works too
            self.size = 16 * _PAGE

    def close(self) -> None:
        os.close(self.reader)
        os.close(self.writer)


class Lane:
    """One end of a data connection. `abort` may be called from any thread, the rest from the owner's thread.

    A socket failure is raised as PeerLost, a failure of the file as its OSError. `watch` records what the
    owner spends its time on: `receive` and `send`, which are calls on the socket, and `write`.
    """

    def __init__(
        self, sock: socket.socket, peer: str, use_splice: bool = True, watch: Optional[Stopwatch] = None
    ) -> None:
        self.peer = peer
        self.watch = Stopwatch() if watch is None else watch
        self._sock = sock
        self._pipe: Optional[_Pipe] = None
        self._use_splice = use_splice and _can_splice
        self._buffer: Optional[memoryview] = None
        self._low_water = 1
        self._lock = threading.Lock()
        self._is_closed = False
        #: Bytes that came out of files.
        self.sent = 0
        self._is_in_file = False

    @property
    def is_waiting_for_file(self) -> bool:
        """Whether the owner waits for the file it sends from: the peer has acknowledged all bytes read."""
        if not self._is_in_file:
            return False
        queued = bytearray(4)
        try:
            fcntl.ioctl(self._sock.fileno(), termios.TIOCOUTQ, queued)
        except (OSError, ValueError):
            return False
        return not any(queued)

    @property
    def is_waiting_for_peer(self) -> bool:
        """Whether the owner waits for the peer rather than for its own storage."""
        return self.watch.doing != "write"

    def read(self, length: int) -> bytes:
        """Read exactly `length` bytes; an empty result means that the peer closed the stream in order."""
        data = self._receive(length)
        if data and len(data) < length:
            data += self._read_rest(length - len(data))
        return data

    def write(self, data: bytes, more: bool = False) -> None:
        """Send all of `data`; with `more`, the kernel may put it in one packet with what follows."""
        self.watch.turn_to("send")
        try:
            self._sock.sendall(data, socket.MSG_MORE if more else 0)
        except OSError as error:
            raise self._lost(error) from error

    def to_view(self, view: memoryview) -> int:
        """Receive between 1 and `len(view)` bytes into memory; return the count."""
        self.watch.turn_to("receive")
        try:
            self._wake_at(1)
            count = self._sock.recv_into(view)
        except OSError as error:
            raise self._lost(error) from error
        if not count:
            raise PeerLost(self.peer, "the data connection ended in the middle of a piece")
        return count

    def from_view(self, view: memoryview) -> None:
        """Send all of `view`."""
        self.watch.turn_to("send")
        try:
            self._sock.sendall(view)
        except OSError as error:
            raise self._lost(error) from error

    def to_file(self, fd: int, offset: int, length: int) -> int:
        """Receive between 1 and `length` bytes and write them to the file at `offset`; return the count."""
        move = self._splice_to_file if self._use_splice else self._copy_to_file
        latest, enough = time.monotonic() + STEP_S, min(length, STEP)
        count = move(fd, offset, length)
        # A link that has delivered half a step by then delivers the other half as fast.
        while count < enough and (time.monotonic() < latest or count >= STEP // 2):
            count += move(fd, offset + count, length - count)
        return count

    def from_file(self, fd: int, offset: int, length: int) -> int:
        """Send from the file; return the count, which is less than `length` only if the file ends early."""
        self.watch.turn_to("send")
        sent = 0
        self._is_in_file = True
        try:
            while sent < length:
                count = os.sendfile(self._sock.fileno(), fd, offset + sent, min(length - sent, SEND_STEP))
                if not count:
                    break
                sent += count
                self.sent += count
        except OSError as error:
            if sockets.is_peer_gone(error):
                raise self._lost(error) from error
            raise
        finally:
            self._is_in_file = False
        return sent

    def abort(self) -> None:
        """Unblock any socket call of the owner, from any thread; the owner still has to call `close`."""
        with self._lock:
            if not self._is_closed:
                try:
                    self._sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass  # not connected any more: no thread is stuck in it

    def close(self) -> None:
        """Close socket and pipe. Bytes still in the pipe are lost, so their range does not count as held."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
            self._sock.close()
            if self._pipe is not None:
                self._pipe.close()

    def _wake_at(self, count: int) -> None:
        """Let the next read of the socket sleep until `count` bytes are there; the peer must send as many."""
        if count != self._low_water:
            self._low_water = count
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, count)

    def _receive(self, length: int) -> bytes:
        self.watch.turn_to("receive")
        try:
            try:
                return self._sock.recv(length, socket.MSG_DONTWAIT)  # on a busy lane they are there already
            except BlockingIOError:
                self._wake_at(1)
                return self._sock.recv(length, socket.MSG_WAITALL)
        except OSError as error:
            raise self._lost(error) from error

    def _read_rest(self, length: int) -> bytes:
        rest = b""
        while len(rest) < length:
            data = self._receive(length - len(rest))
            if not data:
                raise PeerLost(self.peer, "the data connection ended in the middle of a header")
            rest += data
        return rest

    def _splice_to_file(self, fd: int, offset: int, length: int) -> int:
        pipe = self._pipe
        if pipe is None:
            pipe = self._pipe = _Pipe()
        self.watch.turn_to("receive")
        count = 0
        while count <= 0:
            is_full = not self._fill(pipe, min(length - pipe.filled, pipe.size - pipe.filled))
            # For each page written in parts, a block device first reads that page from the disk. So an
            # incomplete last page stays in the pipe until the page or the piece is complete.
            count = pipe.filled
            if count < length and not is_full:
                count -= (offset + count) % _PAGE
        self.watch.turn_to("write")
        written = 0
        while written < count:
            step = os.splice(pipe.reader, fd, count - written, offset_dst=offset + written, flags=_SPLICE_F_MOVE)
            written += step
            pipe.filled -= step
        return count

    def _fill(self, pipe: _Pipe, room: int) -> bool:
        """Wait for bytes and move them into the pipe; return False if the pipe has no free slot."""
        # A pipe is full when its slots are, and each small packet takes one: 16 of one byte fill a pipe of 64
        # KiB. With TCP, NONBLOCK applies to the pipe alone: TCP heeds O_NONBLOCK of the socket. With other
        # sockets it applies to both, so it is only set where the pipe may be full.
        flags = _SPLICE_F_MOVE | _SPLICE_F_MORE | (_SPLICE_F_NONBLOCK if pipe.filled else 0)
        try:
            self._wake_at(min(room, LOW_WATER))
            count = os.splice(self._sock.fileno(), pipe.writer, room, flags=flags)
        except BlockingIOError as error:
            if pipe.filled:
                return False
            raise self._lost(error) from error
        except OSError as error:
            raise self._lost(error) from error
        if not count:
            raise PeerLost(self.peer, "the data connection ended in the middle of a piece")
        pipe.filled += count
        return True

    def _copy_to_file(self, fd: int, offset: int, length: int) -> int:
        if self._buffer is None:
            self._buffer = make_buffer(PLAIN_PIECE)
        self.watch.turn_to("receive")
        wanted = min(length, PLAIN_PIECE)
        count = 0
        while count < wanted:
            count += self.to_view(self._buffer[count:wanted])
        self.watch.turn_to("write")
        written = 0
        while written < count:
            written += os.pwrite(fd, self._buffer[written:count], offset + written)
        return count

    def _lost(self, error: OSError) -> PeerLost:
        return PeerLost(self.peer, str(error))
