# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The server of a classic ring: builds the ring, sends the image, waits for the answers."""

from __future__ import annotations

import threading
import time
from typing import Any, Callable, Dict, List, Optional

from ..errors import DollyError, NotEnoughNodes
from ..storage.base import Readable, Store
from ..storage.registry import Opened
from . import config_text as plan
from . import protocol
from .child import Child, HopOptions
from .client import make_children
from .flow import Flow
from .spool import PIECE, Spool

_TICK_S = 0.02
#: How far a timed run is ahead of the slowest child: more than any network transfers in a tick.
_AHEAD = 16 * 1024 * 1024
_POUR_S = 0.005
_OVER = ("done", "partial", "failed")


class ClassicServer:
    """One run. `run` returns when it is over, good or bad; then look at `error` and `nodes`.

    ``text`` is what is sent, ``ring`` the same parsed. The server closes the source.
    """

    def __init__(
        self,
        text: bytes,
        ring: plan.ClassicText,
        source: Opened,
        options: HopOptions,
        log: Callable[[str], None],
        report: Callable[[ClassicServer], None],
    ) -> None:
        self.flow = Flow()
        self.state = "waiting"
        self.ring = ring
        self._source = source
        self.error: Optional[DollyError] = None
        self.seconds = 0.0
        self._text = text
        self._options = options
        self._log = log
        self._report = report
        self._counter = protocol.ReadyCounter()
        self._count_lock = threading.Lock()
        self._ready_hosts: List[str] = []
        self._children: List[Child] = []
        self._spool: Optional[Spool] = None

    @property
    def data_port(self) -> int:
        """The port on which the clients listen for data; the server itself does not listen."""
        return self._options.data_port

    @property
    def children(self) -> int:
        """The number of hosts that the server itself sends to."""
        return len(self._children)

    @property
    def size(self) -> int:
        """Bytes of the image, as far as known."""
        return self.flow.total if self.flow.total is not None else self._source.size or 0

    @property
    def progress(self) -> int:
        """Bytes that the slowest child has been sent."""
        return min((child.sent for child in self._children if child.error is None), default=0)

    @property
    def ready(self) -> int:
        """How many hosts have reported that they are ready."""
        return self._counter.count

    def stop(self, error: DollyError) -> None:
        """End the run; from any thread."""
        self.flow.fail(error)

    def run(self) -> None:
        """Carry out the run; blocks until it is over."""
        self._report(self)
        try:
            self._children = make_children(self.ring, -1, self._options, self.flow, self._hear)
            for child in self._children:
                child.dial(lambda: self._text)
            for child in self._children:
                child.send_text(self._text)
            for child in self._children:
                child.listen()
            self._await_ready()
            self._send()
            self._check_source()
            bad = [child for child in self._children if child.answer != self.flow.total]
            self.state = "done" if not bad else "partial" if len(bad) < len(self._children) else "failed"
            if bad and self.state == "failed":
                self.error = bad[0].error
        except DollyError as error:
            self.error = error
            self.state = "failed"
        finally:
            self._clean_up()

    def nodes(self) -> List[Dict[str, Any]]:
        """The outcome for each host, as far as known: a child's answer stands for all hosts below it."""
        rows: List[Dict[str, Any]] = []
        top = {index: child for child in self._children for index in self._below(child)}
        for index, name in enumerate(self.ring.hosts):
            child = top.get(index)
            is_done = child is not None and child.answer is not None and child.answer == self.flow.total
            is_over = self.state in _OVER
            rows.append(
                {
                    "name": name,
                    "state": "done" if is_done else "failed" if is_over else "receiving",
                    "bytes": self.size if is_done else 0,
                    "held": child.sent if child is not None else 0,
                    "total": self.size or None,
                    "seconds": round(self.seconds, 3),
                    "rate": round(self.size / self.seconds) if is_done and self.seconds else 0,
                    "verified": False,
                    "repaired": 0,
                    "position": index + 1,
                    "error": None if is_done or not is_over else self._reason(index, child),
                }
            )
        return rows

    def _below(self, child: Child) -> List[int]:
        return self.ring.subtree(self.ring.hosts.index(child.name))

    def _reason(self, index: int, child: Optional[Child]) -> Dict[str, Any]:
        if child is not None and child.answer is not None:
            text = "%s answered that it has %d bytes of %d." % (child.name, child.answer, self.size)
            return DollyError(text).to_dict()
        if self.error is not None:
            return self.error.to_dict()
        if child is not None and child.error is not None:
            return child.error.to_dict()
        return DollyError("Nothing was heard of it.").to_dict()

    def _hear(self, line: bytes) -> None:
        with self._count_lock:
            for what, name in protocol.hosts_in(line):
                self._log("%s: %s" % (name, what))
                if what == "ready":
                    self._ready_hosts.append(name)
            self._counter.feed(line)

    def _await_ready(self) -> None:
        wanted = len(self.ring.hosts)
        while self.ready < wanted:
            self.flow.check()
            lost = next((child.error for child in self._children if child.error is not None), None)
            if lost is not None or self.flow.idle_s > self._options.setup_s:
                if lost is not None:
                    self._log(lost.sentence)
                raise NotEnoughNodes(self.ready, wanted, self._missing()) from lost
            time.sleep(_TICK_S)
            self._report(self)

    def _missing(self) -> List[str]:
        known = {self.ring.find(name) for name in self._ready_hosts}
        return [host for index, host in enumerate(self.ring.hosts) if index not in known]

    def _send(self) -> None:
        self.state = "running"
        began_at = time.monotonic()
        store: Readable | Store
        if self._source.stream is None:
            if self._source.source is None:
                raise AssertionError("no source yet")
            store = self._source.source
            if self._source.size is not None:
                self.flow.add(store.size)
                self.flow.end(store.size)
        else:
            store = self._spool = Spool(self._source.stream)
        for child in self._children:
            child.feed(store)
        if self._spool is not None:
            self._fill(self._spool)
        elif self._source.size is None:
            self._pour(began_at + (self._source.infile.dummy_seconds or 0.0))
        while not all(child.has_settled for child in self._children):
            self.flow.check()
            is_sent = all(child.is_told or child.error is not None for child in self._children)
            limit = self._options.flush_s if is_sent else self._options.stall_s
            if self.flow.idle_s > limit:
                self._give_up(limit)
            time.sleep(_TICK_S)
            self._report(self)
        self.seconds = time.monotonic() - began_at

    def _fill(self, spool: Spool) -> None:
        """Read a source that can be read only once, no further ahead than the slowest child allows."""
        while self.flow.total is None:
            self.flow.check()
            room = self._room(spool.length)
            if room <= 0:
                time.sleep(_TICK_S)
                continue
            count = spool.fill(self.flow.held, min(room, PIECE), self._is_wanted)
            self.flow.add(count)
            if not count:
                self.flow.check()
                self.flow.end(self.flow.held)
            self._report(self)

    def _pour(self, ends_at: float) -> None:
        """A timed run: release as much as the children take until the time is over."""
        while time.monotonic() < ends_at:
            self.flow.check()
            room = self._room(_AHEAD)
            if room > 0:
                self.flow.add(room)
            self._report(self)
            time.sleep(_POUR_S)
        self.flow.end(self.flow.held)

    def _room(self, length: int) -> int:
        """Bytes of `length` that the slowest child leaves free. Raises an error if no child is left."""
        alive = [child for child in self._children if child.error is None]
        if not alive:
            raise self._children[0].error or DollyError("Nobody takes the image any more.")
        slowest = min(alive, key=lambda child: child.sent)
        room = length - (self.flow.held - slowest.sent)
        if room <= 0 and self.flow.idle_s > self._options.stall_s:
            self._drop(slowest, self._options.stall_s)
        return room

    def _is_wanted(self) -> bool:
        self.flow.touch()  # a slow source is no fault of the children
        return self.flow.error is None

    def _check_source(self) -> None:
        source = self._source.source or getattr(self._source.stream, "source", None)
        if source is not None and hasattr(source, "check_unchanged"):
            source.check_unchanged()

    def _give_up(self, limit: float) -> None:
        """Give up children that have not answered within the limit."""
        for child in self._children:
            if not child.has_settled:
                self._drop(child, limit)

    def _drop(self, child: Child, limit: float) -> None:
        sentence = "%s did not move for %g s: it is stuck, or one below it is." % (child.name, limit)
        child.fail(DollyError(sentence))

    def _clean_up(self) -> None:
        self.flow.fail(DollyError("The run is over."))
        for child in self._children:
            child.abort()
        for child in self._children:
            child.close()
        self._source.close()
