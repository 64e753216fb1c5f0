# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers that do not know the size in advance: of a pipe, and of a dummy run that is limited by time."""

from __future__ import annotations

import socket
from dataclasses import replace
from typing import Any, Optional

from ..plan.job import MAX_SIZE, Plan
from ..ranges import RangeSet
from ..storage.stream import Stream
from ..storage.window import Ring, window_length
from ..wire.messages import Need
from .context import Context
from .image.ledger import Ledger
from .node import Reporter
from .server import Policy, Server
from .work.stream_reader import StreamReader, WindowSource


class Unsized(Server):
    """A server that announces the size at the end."""

    @property
    def source_size(self) -> int:
        """Bytes of the image; 0 while that is unknown."""
        return self.ledger.size if self.ledger is not None else 0

    def _let_go(self, ledger: Ledger, verifies: bool) -> None:
        """Nothing is released yet: holes are not known."""

    def _confirm(self) -> None:
        """Nothing to do: the end of the image says it, for a compressed file after a last check."""

    def _end_image(self, size: int) -> None:
        if self.downstream is not None:
            self.downstream.end(size)


class StreamServer(Unsized):
    """A server whose source can be read only once."""

    def __init__(
        self, context: Context, sock: socket.socket, report: Reporter, plan: Plan, stream: Stream, policy: Policy
    ) -> None:
        ring = Ring(window_length(plan.image.chunk_size))
        source: Any = WindowSource(ring, stream)
        # The checksum cannot be compared before the last byte: the stream reader does that.
        super().__init__(context, sock, report, plan, source, replace(policy, checksum=""))
        ledger = self.ledger
        if ledger is None:
            raise RuntimeError("a server without a ledger")
        ledger.open_window(ring.length)
        call = context.reactor.call
        self._intake = StreamReader(
            stream,
            ring,
            ledger,
            self._publish,
            lambda size: call(lambda: self._end_image(size)),
            policy.checksum,
            context.profile.working(),
        )

    @property
    def sha256(self) -> Optional[str]:
        """The plain SHA-256 of the stream in hex, where it was asked for and is known."""
        return self._intake.sha256

    def repair_wanted(self, need: Need) -> None:
        """Nothing to do: the window has the bytes that were digested, and the source cannot be read again."""

    def _stream(self, plan: Plan) -> None:
        self.need_changed()
        self._digest(lambda: self._intake.run(self._policy.wants_sha256), self._digested)

    @property
    def _is_digesting(self) -> bool:
        """Always False: no node is done before the source ends, and without nodes nobody needs the rest."""
        return False

    @property
    def _is_source_slow(self) -> bool:
        """The source may be slow, as a flush may be; the ring is not at fault."""
        return self._intake.is_waiting


class TimedRoot(Unsized):
    """A dummy run without a size: the image is what was sent when the time is over."""

    def _let_go(self, ledger: Ledger, verifies: bool) -> None:
        ledger.hold(RangeSet.span(0, MAX_SIZE), RangeSet())

    def _stream(self, plan: Plan) -> None:
        self.context.reactor.after(plan.infile.dummy_seconds or 0.0, self._time_is_over)

    def _time_is_over(self) -> None:
        if self.ledger is None or self.downstream is None or self.is_leaving:
            return
        with self.ledger.changed:  # nothing is claimed between these two steps
            size = self.downstream.highest
            self.ledger.held.discard(size, MAX_SIZE)
            self.ledger.end(size)
        self._end_image(size)
