# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much of the image a node of a classic ring has; shared by its receiving and sending threads."""

from __future__ import annotations

import threading
import time
from typing import Callable, Optional

from ..errors import DollyError


class Flow:
    """How many bytes from the start of the image are here, how many there will be, and the first failure.

    `moved_at`: when anything last happened, in seconds of `clock`; the owner decides how long is too long.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.held = 0
        self.total: Optional[int] = None
        self.error: Optional[DollyError] = None
        self.moved_at = clock()
        self._clock = clock
        self._changed = threading.Condition()

    def touch(self) -> None:
        """Note that something happened."""
        self.moved_at = self._clock()

    @property
    def idle_s(self) -> float:
        """Seconds since anything happened."""
        return self._clock() - self.moved_at

    def add(self, count: int) -> None:
        """Add `count` bytes that have come."""
        with self._changed:
            self.held += count
            self.touch()
            self._changed.notify_all()

    def end(self, total: int) -> None:
        """Set the length of the image in bytes."""
        with self._changed:
            self.total = total
            self.touch()
            self._changed.notify_all()

    def fail(self, error: DollyError) -> None:
        """End the run for this node; the first error is kept."""
        with self._changed:
            if self.error is None:
                self.error = error
            self._changed.notify_all()

    def check(self) -> None:
        """Raise the error, if there is one."""
        if self.error is not None:
            raise self.error

    def wait_beyond(self, offset: int) -> int:
        """Wait until more than `offset` bytes are here or no more will come. Returns how many are here.

        Raises the error of the flow. The owner bounds the wait: it fails the flow if nothing happens.
        """
        with self._changed:
            while self.held <= offset and self.error is None and self.held != self.total:
                self._changed.wait()
            self.check()
            return self.held

    @property
    def is_whole(self) -> bool:
        """Whether all of the image is here."""
        return self.total is not None and self.held >= self.total
