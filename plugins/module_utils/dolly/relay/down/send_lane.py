# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sending end of a lane: a thread that sends pieces of the store to one child."""

from __future__ import annotations

from ...net.lane import Lane
from ...storage.base import Readable
from ...wire.codec import Sealer
from ...wire.messages import DATA, ZERO
from .scheduler import Piece, Scheduler


class SendLane:
    """Sends what one child needs on one lane. `run` returns when the link is over.

    Raises PeerLost (the lane is over), TargetError or SourceError (this node's own storage failed).
    """

    def __init__(self, number: int, lane: Lane, sealer: Sealer, store: Readable, claims: Scheduler) -> None:
        self.number = number
        self.lane = lane
        self._sealer = sealer
        self._store = store
        self._claims = claims

    def run(self) -> None:
        """Send pieces until the link ends."""
        try:
            while True:
                piece = self._claims.claim(self.number, self.lane.watch)
                if piece is None:
                    return
                self._send(piece)
        finally:
            self.lane.watch.stop()

    def _send(self, piece: Piece) -> None:
        length = piece.end - piece.start
        if piece.is_zero:
            self.lane.write(self._sealer.data(ZERO, piece.start, length))
            return
        self.lane.write(self._sealer.data(DATA, piece.start, length), more=True)
        self._store.send(self.lane, piece.start, length)
