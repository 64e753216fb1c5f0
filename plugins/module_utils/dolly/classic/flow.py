# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far the image has come on a node of a classic ring; shared by the threads that take it and pass it on."""

from __future__ import annotations

import threading
import time
from typing import Callable, Optional

from ..errors import DollyError


class Flow:
    """Bytes from the start of the image that are here, how many there will be, and the first failure.

    `moved_at` is when anything last happened, in seconds of `clock`; the owner decides how long is too long.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.held = 0
        self.total: Optional[int] = None
        self.error: Optional[DollyError] = None
        self.moved_at = clock()
        self._clock = clock
        self._changed = threading.Condition()

    def touch(self) -> None:
        """Something happened."""
        self.moved_at = self._clock()

    @property
    def idle_s(self) -> float:
        """For how long nothing has happened."""
        return self._clock() - self.moved_at

    def add(self, count: int) -> None:
        """So many bytes more are here."""
        with self._changed:
            self.held += count
            self.touch()
            self._changed.notify_all()

    def end(self, total: int) -> None:
        """The image has so many bytes."""
        with self._changed:
            self.total = total
            self.touch()
            self._changed.notify_all()

    def fail(self, error: DollyError) -> None:
        """The run is over for this node; the first reason stays."""
        with self._changed:
            if self.error is None:
                self.error = error
            self._changed.notify_all()

    def check(self) -> None:
        """Raise what has failed."""
        if self.error is not None:
            raise self.error

    def wait_beyond(self, offset: int) -> int:
        """Wait until there are more than `offset` bytes or no more will come; the bytes that are here.

        Raises what has failed. Bounded by the owner, who fails the flow when nothing happens for too long.
        """
        with self._changed:
            while self.held <= offset and self.error is None and self.held != self.total:
                self._changed.wait()
            self.check()
            return self.held

    @property
    def is_whole(self) -> bool:
        """Whether all of it is here."""
        return self.total is not None and self.held >= self.total
