# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A file descriptor that threads share: it is closed when its last user has finished."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from typing import List


class Descriptor:
    """A file descriptor that several threads use and any of them may close.

    The number is closed only when the last user has finished: if another file got the same number meanwhile,
    a late write would overwrite that file.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._replaced: List[int] = []
        self._users = 0
        self._is_closed = False
        self._lock = threading.Lock()

    def __enter__(self) -> int:
        """Return the number, valid inside the `with`. Raises OSError ECANCELED after `close`."""
        with self._lock:
            if self._is_closed:
                raise OSError(errno.ECANCELED, os.strerror(errno.ECANCELED))
            self._users += 1
            return self._fd

    def __exit__(self, *_details: object) -> None:
        with self._lock:
            self._users -= 1
            self._close_if_idle()

    def replace(self, fd: int) -> None:
        """Own `fd` and give it to all later users; present users keep the old one until they finish.

        At no time does a user find the descriptor closed. After `close` the new one is closed too.
        """
        with self._lock:
            self._replaced.append(self._fd)
            self._fd = fd
            self._close_if_idle()

    def close(self) -> None:
        """Admit no new users, and close when the present ones have finished. May be called twice."""
        with self._lock:
            self._is_closed = True
            self._close_if_idle()

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._is_closed

    def _close_if_idle(self) -> None:
        if self._users:  # it is not recorded which descriptor each user has
            return
        if self._is_closed:
            self._replaced.append(self._fd)
            self._fd = -1
        while self._replaced:
            fd = self._replaced.pop()
            if fd >= 0:
                # Data to be kept has been through fsync already; Linux frees the number in any case.
                with contextlib.suppress(OSError):
                    os.close(fd)
