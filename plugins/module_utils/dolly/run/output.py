# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes to terminals, logs and status files on separate threads, because any such write may never return.

A terminal that was stopped with Ctrl-S, a pipe without a reader or a disk that hangs blocks a thread of this
module, but never the reactor, whose heartbeats keep the ring together. Outside of `in_background`, output is
written at once, on the caller's thread.
"""

from __future__ import annotations

import collections
import contextlib
import os
import signal
import threading
import time
from typing import Any, Callable, Deque, Dict, Hashable, Iterator, Optional, TextIO, Tuple

#: How many lines may wait for one stream while the run goes on.
CAPACITY = 4096
#: How long to wait at the end for a terminal that takes nothing. A pipe or a file has no limit, as usual.
TERMINAL_PATIENCE_S = 60.0
_POLL_S = 0.2

#: Errors of a stream that is full, closed, or never existed. They do not end a run.
_STREAM_ERRORS = (OSError, ValueError, AttributeError)

Work = Callable[[], None]


class Writer:
    """A queue and its thread, for one destination.

    `put` may be called on any thread and never blocks while the thread runs. A line that finds the queue full
    is dropped and counted; as soon as there is room, the thread passes the number to `tell_dropped`.
    """

    def __init__(
        self,
        name: str,
        tell_dropped: Callable[[int], None],
        patience_s: Optional[float] = None,
        capacity: int = CAPACITY,
    ) -> None:
        self._name = name
        self._tell_dropped = tell_dropped
        self._patience_s = patience_s
        self._capacity = capacity
        self._changed = threading.Condition()
        self._queue: Deque[Tuple[Hashable, Work]] = collections.deque()
        self._latest: Dict[Hashable, Work] = {}
        self._dropped = 0
        self._written = 0
        self.is_running = False
        self._is_writing = False
        #: Whether `finish` gave up with output unwritten: touching the stream again would block.
        self.is_stuck = False

    def start(self) -> None:
        """Write on a thread from now on. If no thread can be started, keep writing on the caller's thread."""
        thread = threading.Thread(target=self._run, name="dolly-" + self._name, daemon=True)
        self.is_running = True
        try:
            thread.start()
        except RuntimeError:  # the thread limit of this user: a run that may wait is better than none
            self.is_running = False

    def put(self, work: Work, is_needed: bool = False) -> None:
        """Queue `work`, also into a full queue if `is_needed`; without a thread, run it. Ignores errors."""
        with self._changed:
            if self.is_stuck:
                return
            if self.is_running:
                self._enqueue(None, work, is_needed)
                return
        with contextlib.suppress(*_STREAM_ERRORS):
            work()

    def put_latest(self, key: Hashable, work: Work) -> None:
        """Queue `work` in place of work that still waits under the same key. Without a thread, run it now."""
        with self._changed:
            if self.is_stuck:
                return
            if self.is_running:
                is_waiting = key in self._latest
                self._latest[key] = work
                if not is_waiting:
                    self._enqueue(key, work, True)
                return
        with contextlib.suppress(*_STREAM_ERRORS):
            work()

    def finish(self, is_given_up: Callable[[], bool], patience_s: Optional[float] = None) -> bool:
        """Wait until everything is written, then end the thread. Returns whether everything was written.

        Gives up when nothing was written for the stream's patience (or `patience_s`), or on `is_given_up`.
        """
        limit = self._patience_s if patience_s is None else patience_s
        with self._changed:
            if not self.is_running:
                return not self.is_stuck
            seen, since = self._written, time.monotonic()
            while self._queue or self._is_writing or self._dropped:
                self._changed.wait(_POLL_S)
                now = time.monotonic()
                if self._written != seen:
                    seen, since = self._written, now
                if is_given_up() or (limit is not None and now - since > limit):
                    self.is_stuck = True
                    break
            self.is_running = False
            self._changed.notify_all()
            return not self.is_stuck

    def _enqueue(self, key: Hashable, work: Work, is_needed: bool) -> None:
        """Append to the queue. The caller holds the lock."""
        if len(self._queue) >= self._capacity and not is_needed:
            self._dropped += 1
            return
        self._queue_dropped()
        self._queue.append((key, work))
        self._changed.notify_all()

    def _queue_dropped(self) -> None:
        """Queue a notice of dropped lines at the place of the gap. The caller holds the lock."""
        if self._dropped:
            count, self._dropped = self._dropped, 0
            self._queue.append((None, lambda: self._tell_dropped(count)))

    def _run(self) -> None:
        while True:
            work = self._next()
            if work is None:
                return
            with contextlib.suppress(Exception):  # whatever failed, the lines after it must still be written
                work()
            with self._changed:
                self._is_writing = False
                self._written += 1
                self._changed.notify_all()

    def _next(self) -> Optional[Work]:
        """Return what to write next, and wait for it if necessary. Returns None at the end."""
        with self._changed:
            while True:
                if not self._queue:
                    self._queue_dropped()
                if self._queue and not self.is_stuck:
                    break
                if not self.is_running:
                    return None
                self._changed.wait()
            key, work = self._queue.popleft()
            self._is_writing = True
            return work if key is None else self._latest.pop(key, work)


class _Outputs:
    """The writers of this process, one per open file, so that lines for one terminal stay in order."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.writers: Dict[Hashable, Writer] = {}
        self.is_in_background = False

    def writer(self, key: Hashable, make: Callable[[], Writer]) -> Writer:
        with self.lock:
            found = self.writers.get(key)
            if found is None:
                found = make()
                if self.is_in_background:
                    self.writers[key] = found
                    found.start()
            return found


_outputs = _Outputs()


def write(text: str, stream: Optional[TextIO]) -> None:
    """Write at once; may block. Does nothing if the stream was closed from the start. Raises OSError."""
    if stream is None:
        return
    try:
        stream.write(text)
    except UnicodeEncodeError:  # the locale cannot encode these letters
        stream.write(text.encode("ascii", "backslashreplace").decode("ascii"))
    stream.flush()


def writer_of(stream: Optional[TextIO]) -> Writer:
    """Return the writer for a text stream. Standard output and error share a writer if they are one file."""

    def make() -> Writer:
        patience_s = TERMINAL_PATIENCE_S if _is_terminal(stream) else None
        return Writer("output", lambda count: _tell_dropped(stream, count), patience_s)

    return _outputs.writer(_place(stream), make)


def status_writer() -> Writer:
    """Return the writer for status files, each of which has a key of its own."""
    return _outputs.writer("status", lambda: Writer("status", lambda count: None))


def is_stuck() -> bool:
    """Whether a stream accepted nothing until its patience ran out: flushing it would block."""
    return any(writer.is_stuck for writer in _outputs.writers.values())


def finish(patience_s: Optional[float] = None) -> None:
    """Wait until everything is written. From then on, output is written at once, on the caller's thread.

    A signal to end, such as Ctrl-C, ends the wait. `patience_s` also limits streams that are no terminals.
    """
    with _ended_by_signal() as is_given_up:
        while True:
            with _outputs.lock:
                waiting = [one for one in _outputs.writers.values() if one.is_running]
                if not waiting:
                    _outputs.is_in_background = False
                    break
            for writer in waiting:
                writer.finish(is_given_up, patience_s)
    with _outputs.lock:
        for key in [key for key, writer in _outputs.writers.items() if not writer.is_stuck]:
            del _outputs.writers[key]


@contextlib.contextmanager
def in_background(patience_s: Optional[float] = None) -> Iterator[None]:
    """Write on threads inside this context; on leaving it, call `finish`."""
    with _outputs.lock:
        _outputs.is_in_background = True
    try:
        yield
    finally:
        finish(patience_s)


@contextlib.contextmanager
def _ended_by_signal() -> Iterator[Callable[[], bool]]:
    """Yield a function that tells whether a signal to end has arrived in this context."""
    told = []
    kept: Dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for number in map(int, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)):
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                kept[number] = signal.signal(number, lambda number, _frame: told.append(number))
    try:
        yield lambda: bool(told)
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


def _tell_dropped(stream: Optional[TextIO], count: int) -> None:
    write("dolly: %d lines are missing here: they came while nothing could be written\n" % count, stream)


def _is_terminal(stream: Optional[TextIO]) -> bool:
    try:
        return stream is not None and stream.isatty()
    except (OSError, ValueError):
        return False


def _place(stream: Optional[TextIO]) -> Hashable:
    """Return a key that is the same for all streams to one file, pipe or terminal, by any descriptor."""
    try:
        found = os.fstat(stream.fileno())  # type: ignore[union-attr]
    except (OSError, ValueError, AttributeError):  # closed, or no file
        return id(stream)
    return found.st_dev, found.st_ino, found.st_rdev
