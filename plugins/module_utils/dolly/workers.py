# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Threads that have an owner and a name, and report their end to the owner."""

from __future__ import annotations

import threading
from typing import Callable, Optional


class Crew:
    """The workers of one owner. `call` runs a function on the owner's thread."""

    def __init__(self, call: Callable[[Callable[[], None]], None]) -> None:
        self._call = call
        self._working = 0

    @property
    def is_busy(self) -> bool:
        """Whether any worker has not ended."""
        return self._working > 0

    def run(self, name: str, work: Callable[[], None], on_end: Callable[[Optional[BaseException]], None]) -> None:
        """Run `work` on a new thread, then `on_end` on the owner's thread; until then the crew is busy."""

        def ended(error: Optional[BaseException]) -> None:
            self._working -= 1
            on_end(error)

        self._working += 1
        Worker(name, work, lambda error: self._call(lambda: ended(error))).start()


class Worker:
    """Runs `work` once on a thread, then calls `on_end(error)` on that thread; `error` is None on success.

    The thread is a daemon, because a thread stuck in an uninterruptible call must not keep the process from
    ending; the owner still joins it wherever its end matters.
    """

    def __init__(
        self, name: str, work: Callable[[], None], on_end: Callable[[Optional[BaseException]], None]
    ) -> None:
        self._work = work
        self._on_end = on_end
        self._thread = threading.Thread(target=self._run, name="dolly-" + name, daemon=True)

    def start(self) -> None:
        """Start the thread; call only once."""
        self._thread.start()

    def join(self, timeout_s: float) -> bool:
        """Wait at most `timeout_s` seconds for the end; return whether the thread has ended."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        error: Optional[BaseException] = None
        try:
            self._work()
        except BaseException as caught:  # the owner decides what any error means
            error = caught
        self._on_end(error)
