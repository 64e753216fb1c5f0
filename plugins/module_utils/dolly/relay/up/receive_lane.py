# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The receiving end of a lane: a thread that takes pieces from the parent into the store."""

from __future__ import annotations

from ...buffers import make_buffer
from ...errors import ProtocolError
from ...net.lane import Lane
from ...recovery.slow_lane import LaneSight
from ...storage.base import Store
from ...wire.codec import HEADER_LENGTH, LaneOpener, PieceHeader
from ...wire.messages import ZERO
from ..image.arrivals import Watched
from ..image.ledger import Ledger
from ..image.resume import claim_again

_SCRATCH = 64 * 1024
#: Zeros are stored and counted in steps of this size: where they have to be written, progress is to be seen.
_ZERO_STEP = 64 * 1024 * 1024


class ReceiveLane:
    """Stores what comes on one lane. `run` returns when the parent ended the lane in good order.

    Raises PeerLost or ProtocolError (the lane is over), TargetError (the node has failed).
    """

    def __init__(self, lane: Lane, opener: LaneOpener, store: Store, ledger: Ledger) -> None:
        self.lane = lane
        self.received = 0
        self._taken = 0
        self._is_amid = False
        self._opener = opener
        self._store = store
        self._ledger = ledger

    def run(self) -> None:
        """Receive pieces until the lane ends."""
        try:
            while True:
                header = self.lane.read(HEADER_LENGTH)
                if not header:
                    return
                self._take(self._opener.open(header))
        finally:
            self.lane.watch.stop(is_in_vain=True)

    @property
    def sight(self) -> LaneSight:
        """Bytes of the image that came, and whether the lane is in the middle of a piece."""
        return LaneSight(self._taken, int(self._is_amid))

    def _take(self, piece: PieceHeader) -> None:
        self._is_amid = True
        end = piece.offset + piece.length
        if end > self._ledger.limit:
            raise ProtocolError(self.lane.peer, "a piece that ends at %d, beyond the image or what was asked for" % end)
        mapped = self._ledger.image.mapped
        if mapped is not None and not mapped.covers(piece.offset, end):
            raise ProtocolError(self.lane.peer, "a piece at %d that the block map leaves out" % piece.offset)
        step = _ZERO_STEP if piece.kind == ZERO else piece.length
        for start in range(piece.offset, end, step):
            self._store_new(piece.kind, start, min(end, start + step))
        self._is_amid = False
        with self._ledger.changed:
            self.received += 1

    def _store_new(self, kind: int, start: int, end: int) -> None:
        """Store a range, except for chunks that are whole: a piece can come twice when a lane has died."""
        taken = self._ledger.begin_write(start, end)
        try:
            if taken and self._store.begin_changes():
                claim_again(self._ledger)
            for begin, stop in taken:
                self._pass_over(kind, begin - start)
                self._store_runs(kind, begin, stop)
                start = stop
            self._pass_over(kind, end - start)
        finally:
            self._ledger.end_write(taken)

    def _store_runs(self, kind: int, start: int, stop: int) -> None:
        """In a window, the place of a byte that was held before may belong to a later byte by now."""
        for run_start, run_stop, is_held in self._ledger.runs(start, stop):
            if is_held:
                self._pass_over(kind, run_stop - run_start)
            else:
                self._store_part(kind, run_start, run_stop)

    def _store_part(self, kind: int, start: int, stop: int) -> None:
        is_mending = self._ledger.rejected.overlaps(start, stop)
        if kind == ZERO and not is_mending:
            self.lane.watch.turn_to("write")
            self._store.zero(start, stop - start)
            self._ledger.add(start, stop, is_zero=True)
            return
        while start < stop:
            self.lane.watch.turn_to("write")  # until the store turns to the lane
            # Zeros that failed verification are written as data: some devices only claim to zero.
            lane = Watched(self.lane, self._ledger.arrivals, start, kind == ZERO) if is_mending else self.lane
            count = self._store.receive(lane, start, stop - start)
            self._ledger.add(start, start + count, is_zero=kind == ZERO)
            self._taken += 0 if kind == ZERO else count
            start += count

    def _pass_over(self, kind: int, length: int) -> None:
        """Discard bytes that are not wanted; a ZERO piece brings none."""
        if kind == ZERO or not length:
            return
        with self._ledger.changed:
            self._ledger.received += length
        scratch = make_buffer(_SCRATCH)
        while length:
            count = self.lane.to_view(scratch[: min(length, _SCRATCH)])
            length -= count
            self._taken += count
