# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A child in a classic ring: connect to it, send the image, read its answers. One thread sends, one reads."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass
from typing import Callable, List, Optional, Sequence

from ..errors import DollyError, PeerLost, TargetError, TimedOut
from ..net import sockets
from ..storage.base import Readable, Store
from ..workers import Worker
from . import protocol
from .flow import Flow
from .striped_stream import Stream, make_stream, wait_readable

#: Seconds between two tries to connect, as in the original.
RETRY_S = 1.0
#: How many connections an original, with its backlog of 1, lets wait for accept.
_WAITING = 2
_STEP = 4 * 1024 * 1024
#: Bytes sent behind the length: at least a block of any child. An original that reads the last block before
#: it knows the length wants a full block: with further interfaces it pads the block, else it waits for ever.
_TAIL = 256 * 1024
_TICK_S = 0.2
_READ = 4096


@dataclass(frozen=True)
class HopOptions:
    """Options for every hop of a ring.

    Ports; ``block`` bytes, the transfer size; ``tries`` to connect, 0: as many as fit in ``setup_s``;
    ``segsize`` and ``buffer`` in bytes, 0: the kernel's default; time limits for one attempt to connect, for
    building the ring, for silence during the transfer, and for the end. ``syncs``: flush targets.
    """

    data_port: int = protocol.DATA_PORT
    control_port: int = protocol.CONTROL_PORT
    block: int = protocol.BLOCK
    tries: int = 0
    segsize: int = 0
    buffer: int = 0
    connect_s: float = 10.0
    join_s: float = 600.0
    setup_s: float = 60.0
    stall_s: float = 30.0
    flush_s: float = 1800.0
    syncs: bool = True


class Child:
    """A neighbour below. Call `dial`, `send_text`, `listen`, `feed`; then watch it until it `has_settled`."""

    def __init__(
        self, name: str, addresses: Sequence[str], options: HopOptions, flow: Flow, pass_up: Callable[[bytes], None]
    ) -> None:
        self.name = name
        #: The length in its answer: it and all hosts below it have that many bytes.
        self.answer: Optional[int] = None
        self.error: Optional[DollyError] = None
        #: Bytes of the image that have been given to the kernel for this child.
        self.sent = 0
        self._addresses = list(addresses)
        self._options = options
        self._flow = flow
        self._pass_up = pass_up
        self._heard = protocol.FromChild(name)
        self._stream: Optional[Stream] = None
        self._control: Optional[socket.socket] = None
        self._socks: List[socket.socket] = []
        self._workers: List[Worker] = []
        self._has_text = False
        #: Whether everything has been sent, or at least the length.
        self.is_told = False

    # --- building the ring ----------------------------------------------------------------------------

    def dial(self, take_text: Callable[[], bytes]) -> None:
        """Connect: data, then control, then data for each further interface.

        Raises CannotConnect, NameUnknown, PeerLost, TimedOut.

        An original lets two connections wait, and accepts the first when it has the text. So with more than
        two the text is sent after the second one; else `send_text` sends it.
        """
        deadline = time.monotonic() + self._options.setup_s
        for index, address in enumerate(self._addresses):
            if index == _WAITING:
                self.send_text(take_text())
            self._socks.append(self._connect(address, self._options.data_port, deadline))
            if len(self._addresses) > 1:
                self._write(self._socks[-1], protocol.pack_index(index))
            if index == 0:
                self._control = self._connect(address, self._options.control_port, deadline)
        self._stream = make_stream(self._socks, self.name, self._options.block, protocol.spans)

    def send_text(self, text: bytes) -> None:
        """Send the text, once. Raises PeerLost, TimedOut."""
        if not self._has_text:
            self._has_text = True
            self._say(text)

    def _connect(self, host: str, port: int, deadline: float) -> socket.socket:
        tries = 0
        while True:
            tries += 1
            try:
                sock = sockets.connect(host, port, self._options.connect_s)
                break
            except PeerLost as error:
                if tries == self._options.tries or time.monotonic() + RETRY_S > deadline:
                    raise sockets.not_reached("this node", self.name, host, port, error) from error
            self._flow.check()
            time.sleep(RETRY_S)
            self._flow.check()
        self._flow.touch()
        sockets.tune(sock)
        for level, option, value in (
            (socket.IPPROTO_TCP, socket.TCP_MAXSEG, self._options.segsize),
            (socket.SOL_SOCKET, socket.SO_SNDBUF, self._options.buffer),
        ):
            if value and port == self._options.data_port:
                sock.setsockopt(level, option, value)
        return sock

    def _write(self, sock: socket.socket, data: bytes) -> None:
        try:
            sock.sendall(data)
        except OSError as error:
            raise PeerLost(self.name, str(error)) from error

    def _say(self, data: bytes) -> None:
        """Send on the control connection in one piece: an original takes one read for the whole message."""
        if self._control is None:
            raise AssertionError("no control yet")
        self._control.settimeout(self._options.stall_s)
        try:
            self._control.sendall(data)
        except socket.timeout as error:
            what = "waiting for %s to read its control connection" % self.name
            raise TimedOut(what, self._options.stall_s, "-a") from error
        except OSError as error:
            raise PeerLost(self.name, str(error)) from error

    # --- the run ----------------------------------------------------------------------------------------

    def listen(self) -> None:
        """Start the thread that reads the child's messages."""
        self._start("hears-" + self.name, self._hear)

    def feed(self, store: Readable | Store) -> None:
        """Start the thread that sends the child what is here of the image, and what comes."""
        self._start("feeds-" + self.name, lambda: self._send(store))

    def tell_length(self, length: int) -> None:
        """Send the length of the image, once. Raises PeerLost, TimedOut."""
        if not self.is_told:
            self.is_told = True
            self._heard.length_sent(length)
            self._say(protocol.pack_length(length))

    @property
    def has_settled(self) -> bool:
        """Whether the child has answered or failed."""
        return self.answer is not None or self.error is not None

    def abort(self) -> None:
        """Wake the child's threads, and make their calls fail."""
        if self._stream is not None:
            self._stream.abort()
        for sock in [*self._socks, *([self._control] if self._control is not None else [])]:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # not connected any more

    def close(self) -> None:
        """Join the threads and close the sockets; call `abort` first if the child has not settled."""
        for worker in self._workers:
            worker.join(self._options.stall_s)
        if self._stream is not None:
            self._stream.close()
        for sock in [*self._socks, *([self._control] if self._control is not None else [])]:
            sock.close()

    def _start(self, name: str, work: Callable[[], None]) -> None:
        worker = Worker(name, work, self._on_end)
        self._workers.append(worker)
        worker.start()

    def fail(self, error: DollyError) -> None:
        """Give the child up; the first error is kept."""
        self.error = self.error or error
        self.abort()

    def _on_end(self, error: Optional[BaseException]) -> None:
        if error is None:
            return
        if not isinstance(error, DollyError):
            error = DollyError("Serving %s failed (%s: %s)." % (self.name, type(error).__name__, error))
        if isinstance(error, TargetError):
            self._flow.fail(error)  # this node's own storage: no child can get the rest from here
        self.fail(error)

    def _send(self, store: Readable | Store) -> None:
        if self._stream is None:
            raise AssertionError("no stream yet")
        tail = max(_TAIL, self._options.block * len(self._socks))
        while self._flow.total is None:
            self._give(store, self._flow.wait_beyond(self.sent + tail) - tail)
        total = self._flow.total
        while self.sent < total - tail:
            self._give(store, min(self._flow.wait_beyond(self.sent), total - tail))
        self.tell_length(total)
        while self.sent < total:
            self._give(store, self._flow.wait_beyond(self.sent))
        self._stream.end()

    def _give(self, store: Readable | Store, end: int) -> None:
        if self._stream is None:
            raise AssertionError("no stream yet")
        while self.sent < end:
            step = min(end - self.sent, _STEP)
            store.send(self._stream, self.sent, step)
            self.sent += step
            self._flow.touch()

    def _hear(self) -> None:
        """Pass on the child's lines until it has answered. Raises PeerLost if the connection ends before."""
        if self._control is None:
            raise AssertionError("no control yet")
        while self._heard.answer is None:
            if not wait_readable([self._control], _TICK_S):
                self._up(self._heard.flush())
                self._flow.check()
                continue
            try:
                data = self._control.recv(_READ)
            except OSError as error:
                raise PeerLost(self.name, str(error)) from error
            for line in self._heard.feed(data):
                self._up(line)
            if not data:
                raise PeerLost(self.name, "it has closed its control connection")
            self._flow.touch()
        self.answer = self._heard.answer

    def _up(self, line: bytes) -> None:
        if line:
            self._pass_up(line)
