# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connected sockets, a clock that is set by hand, and threads that a test cannot lose."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import threading
from typing import Any, Callable, Iterator, Optional, Tuple

#: No wait in a test is longer than this.
PATIENCE_S = 30.0


def tcp_pair() -> Tuple[socket.socket, socket.socket]:
    """Two ends of a real TCP connection: splice treats other kinds of sockets differently."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        near = socket.create_connection(server.getsockname(), timeout=PATIENCE_S)
        near.settimeout(None)
        far, _address = server.accept()
    for sock in (near, far):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return near, far


def reset(sock: socket.socket) -> None:
    """Close a connection the rude way: the peer gets ECONNRESET."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    sock.close()


@contextlib.contextmanager
def crowded_port() -> Iterator[int]:
    """A port at which the kernel takes no more connections for now: whoever dials it gets no answer."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        waiting = [socket.socket() for _unused in range(4)]
        for sock in waiting:
            sock.setblocking(False)
            sock.connect_ex(server.getsockname())
        try:
            yield server.getsockname()[1]
        finally:
            for sock in waiting:
                sock.close()


@contextlib.contextmanager
def no_descriptors() -> Iterator[None]:
    """This process can open nothing more: no file, and no connection."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    fillers = [os.open(os.devnull, os.O_RDONLY)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 1, hard))
    try:
        with contextlib.suppress(OSError):
            while True:
                fillers.append(os.dup(fillers[0]))
        yield
    finally:
        for descriptor in fillers:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class FakeClock:
    """Seconds that pass when the test says so."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Background:
    """Runs a call in a thread of its own; `result` returns or raises what the call did."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self._work = work
        self._value: Any = None
        self._error: Optional[BaseException] = None
        self._thread = threading.Thread(target=self._run, name="test-background", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._value = self._work()
        except BaseException as error:
            self._error = error

    @property
    def is_running(self) -> bool:
        return self._thread.is_alive()

    def result(self, timeout_s: float = PATIENCE_S) -> Any:
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            raise AssertionError("still running after %g s" % timeout_s)
        if self._error is not None:
            raise self._error
        return self._value
