# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One thread that owns every control connection and timer of a node.

A callback must not block: disks and data connections have threads of their own, which pass their events
to the reactor with `call`. So state that only the reactor's thread uses needs no lock.
"""

from __future__ import annotations

import collections
import heapq
import itertools
import selectors
import socket
import time
from typing import Callable, Deque, List, Optional, Tuple

Callback = Callable[[], None]
OnEvent = Callable[[bool, bool], None]


class Timer:
    """A scheduled call, which can be cancelled."""

    def __init__(self, callback: Callback) -> None:
        self._callback: Optional[Callback] = callback

    def cancel(self) -> None:
        """Cancel the call. Harmless when the call was already made."""
        self._callback = None

    def fire(self) -> None:
        """Make the call, unless it was made or cancelled before."""
        callback, self._callback = self._callback, None
        if callback is not None:
            callback()


class Reactor:
    """Runs callbacks for ready sockets, timers and other threads, one at a time on the thread of `run`.

    Only `call` and `stop` may be used from other threads.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.now = clock
        self._selector = selectors.DefaultSelector()
        self._timers: List[Tuple[float, int, Timer]] = []
        self._order = itertools.count()
        self._calls: Deque[Callback] = collections.deque()
        self._waker, self._woken = socket.socketpair()
        self._waker.setblocking(False)
        self._woken.setblocking(False)
        self._selector.register(self._woken, selectors.EVENT_READ, self._drain_wakeups)
        self._is_running = True

    def call(self, callback: Callback) -> None:
        """Run `callback` soon on the reactor's thread; may be used from any thread."""
        self._calls.append(callback)
        try:
            self._waker.send(b"\0")
        except OSError:
            pass  # full: the reactor will wake anyway; closed: it has ended

    def after(self, delay_s: float, callback: Callback) -> Timer:
        """Run `callback` once, `delay_s` seconds from now."""
        timer = Timer(callback)
        heapq.heappush(self._timers, (self.now() + delay_s, next(self._order), timer))
        return timer

    def every(self, interval_s: float, callback: Callback) -> None:
        """Run `callback` every `interval_s` seconds until the reactor stops."""

        def again() -> None:
            callback()
            self.after(interval_s, again)

        self.after(interval_s, again)

    def watch(self, sock: socket.socket, on_event: OnEvent, read: bool, write: bool) -> None:
        """Call `on_event(readable, writable)` when `sock` is ready; replaces an earlier watch of it."""
        events = (selectors.EVENT_READ if read else 0) | (selectors.EVENT_WRITE if write else 0)
        known = sock in self._selector.get_map()
        if not events:
            if known:
                self._selector.unregister(sock)
        elif known:
            self._selector.modify(sock, events, on_event)
        else:
            self._selector.register(sock, events, on_event)

    def forget(self, sock: socket.socket) -> None:
        """Stop watching `sock`; call this before the socket is closed."""
        try:
            self._selector.unregister(sock)
        except (KeyError, ValueError):
            pass  # the socket was not watched, or is closed already

    def run(self) -> None:
        """Serve until `stop`; an error raised by a callback ends the loop and is raised here."""
        while self._is_running:
            for key, mask in self._selector.select(self._time_to_wait()):
                key.data(bool(mask & selectors.EVENT_READ), bool(mask & selectors.EVENT_WRITE))
            self._run_calls()
            self._run_timers()

    def stop(self) -> None:
        """End `run` after the current round; may be called from any thread."""
        self._is_running = False
        self.call(lambda: None)

    def close(self) -> None:
        """Close the selector, the wake-up sockets and all sockets still watched; call only after `run` has returned.

        A connection that says goodbye waits for its peer to close, and nobody would close it after this.
        """
        for key in list(self._selector.get_map().values()):
            if key.fileobj is not self._woken and isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
        self._selector.close()
        self._waker.close()
        self._woken.close()

    def _time_to_wait(self) -> Optional[float]:
        if self._calls:
            return 0.0
        if not self._timers:
            return None
        return max(0.0, self._timers[0][0] - self.now())

    def _run_calls(self) -> None:
        for _unused in range(len(self._calls)):
            self._calls.popleft()()

    def _run_timers(self) -> None:
        now = self.now()
        while self._timers and self._timers[0][0] <= now:
            heapq.heappop(self._timers)[2].fire()

    def _drain_wakeups(self, _readable: bool, _writable: bool) -> None:
        try:
            while self._woken.recv(4096):
                pass
        except BlockingIOError:
            pass
