# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A thread with an owner, a name and an end that its owner hears of."""

from __future__ import annotations

import threading
from typing import Callable, Optional


class Crew:
    """The workers of one owner. `call` brings a function to the owner's thread."""

    def __init__(self, call: Callable[[Callable[[], None]], None]) -> None:
        self._call = call
        self._working = 0

    @property
    def is_busy(self) -> bool:
        """Whether any of them has not come back."""
        return self._working > 0

    def run(self, name: str, work: Callable[[], None], on_end: Callable[[Optional[BaseException]], None]) -> None:
        """Have something done on a thread of its own; until `on_end` is called on the owner's it counts as busy."""

        def ended(error: Optional[BaseException]) -> None:
            self._working -= 1
            on_end(error)

        self._working += 1
        Worker(name, work, lambda error: self._call(lambda: ended(error))).start()


class Worker:
    """Runs `work` once; `on_end(error)` is then called on that thread, with None when all went well.

    Daemonic, because a thread that is stuck in an uninterruptible call must not keep the process from
    ending; whoever owns it still joins it wherever its end matters.
    """

    def __init__(
        self, name: str, work: Callable[[], None], on_end: Callable[[Optional[BaseException]], None]
    ) -> None:
        self._work = work
        self._on_end = on_end
        self._thread = threading.Thread(target=self._run, name="dolly-" + name, daemon=True)

    def start(self) -> None:
        """Begin; once."""
        self._thread.start()

    def join(self, timeout_s: float) -> bool:
        """Wait for the end; whether it came within `timeout_s`."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        error: Optional[BaseException] = None
        try:
            self._work()
        except BaseException as caught:  # whatever it was, its owner decides what it means
            error = caught
        self._on_end(error)
