# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the parent tells about the image: stored in the ledger, and passed on to the children."""

from __future__ import annotations

from typing import Callable

from ..errors import DollyError
from ..wire.messages import Manifest
from .down.downstream import Downstream
from .image.ledger import Ledger


class Lessons:
    """Each method returns False for a message that cannot be right; its sender is not to be trusted then."""

    def __init__(self, ledger: Ledger, downstream: Downstream, log: Callable[[str], None]) -> None:
        self._ledger = ledger
        self._downstream = downstream
        self._log = log
        ledger.await_end()

    def manifest(self, parent: str, message: Manifest) -> bool:
        """Digests of chunks."""
        if not self._learns(parent, lambda: self._ledger.learn(message.first, message.digests)):
            return False
        self._downstream.manifest(message.first, message.digests)
        return True

    def end(self, parent: str, size: int) -> bool:
        """The size of the image. In a run without digests it also says that the source has not changed."""
        if not self._learns(parent, lambda: self._ledger.end(size)):
            return False
        self._downstream.end(size)
        return True

    def _learns(self, parent: str, learn: Callable[[], None]) -> bool:
        try:
            learn()
        except (DollyError, ValueError) as error:
            self._log("refused what %s sent: %s" % (parent, error))
            return False
        return True
