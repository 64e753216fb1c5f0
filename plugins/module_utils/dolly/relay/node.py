# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What server and client share: a listener, children, a heartbeat, an orderly exit."""

from __future__ import annotations

import socket
from dataclasses import fields
from typing import Any, Callable, Dict, Optional

from ..errors import Aborted, AuthError, DollyError, from_dict
from ..net.channel import Channel
from ..plan.job import Plan
from ..recovery import healer as heal
from ..status.snapshot import Board, Snapshot
from ..storage.base import Readable
from ..wire.greeting import Hello
from ..wire.handshake import Established
from ..wire.messages import Bye, Need
from ..workers import Crew
from . import log_text
from .accept import Listener
from .context import Context
from .dial import Dialer
from .down.downstream import Downstream
from .image.ledger import Ledger
from .work.writeback import Writeback, is_large

BEAT_S = 0.5
_JOIN_PAUSE_S = 0.02
#: How long a node that has nothing more to do waits for goodbyes and for its own threads to end.
LEAVE_PATIENCE_S = 5.0

Reporter = Callable[["Node"], None]


class Node:
    """The part that server and client share. `run` returns when the node's part in the run is over."""

    def __init__(self, context: Context, sock: socket.socket, report: Reporter) -> None:
        self.context = context
        self.board = Board()
        self.plan: Optional[Plan] = None
        self.rank = 0
        self.ledger: Optional[Ledger] = None
        self.downstream: Optional[Downstream] = None
        self.error: Optional[DollyError] = None
        self._crew = Crew(context.reactor.call)
        self._report = report
        self._listener = Listener(context, sock, self._judge, self._on_established)
        self._leave_by: Optional[float] = None
        self._has_left = False
        #: Whether another node has tried to reach this one, and succeeded.
        self.is_reachable = False
        self.port = self._listener.port

    @property
    def refused(self) -> int:
        """Connections that were closed before the peer had authenticated."""
        return self._listener.refused

    def run(self) -> None:
        """Run the reactor until this node has left. Call once; blocks."""
        reactor = self.context.reactor
        reactor.every(BEAT_S, self._beat)
        try:
            self._begin()
            self._report(self)  # the process that started this node waits for the port in this report
            reactor.run()
        finally:
            self._listener.close()
            self._report(self)
            reactor.close()

    # --- for the two kinds of node ------------------------------------------------------------------

    def _begin(self) -> None:
        """Called once, before the loop."""

    def _on_beat(self, now: float) -> None:
        """Called twice a second."""

    def _current_epoch(self, hello: Hello) -> int:
        """The epoch to answer a parent or a lane with. Raises AuthError where none is expected."""
        raise AuthError("this node takes no parent")

    def _link_established(self, established: Established, channel: Channel) -> None:
        """A parent or one of its lanes has authenticated."""

    def _end_links(self) -> None:
        """Close every connection; threads that use the storage end soon after."""
        if self.downstream is not None:
            self.downstream.abort()
        self.context.attempts.cancel()

    def _is_busy(self) -> bool:
        """Whether a thread may still use the storage."""
        return self._crew.is_busy or (self.downstream is not None and self.downstream.is_sending)

    def _release(self) -> None:
        """Close the storage, which no thread uses any more."""

    def need_changed(self) -> None:
        """A child has sent a new NEED; the window may move on."""
        if self.ledger is not None and self.downstream is not None and self.plan is not None:
            # A pipe cannot be read again, and a child may die: keep what its children lack as well.
            with_grandchildren = not self.plan.infile.is_seekable
            self.ledger.keep(self.downstream.kept(with_grandchildren), self.downstream.kept(False))

    def repair_wanted(self, need: Need) -> None:
        """A child asks again for chunks that failed verification; served as soon as they are verified here."""

    def act_as_child(self, action: heal.Action) -> None:
        """Carry out the healer's decision about a parent. The server has no parent."""

    def storage_failed(self, error: BaseException) -> None:
        """This node's own storage has failed."""
        raise NotImplementedError

    def fail(self, error: BaseException) -> None:
        """This node cannot complete its part in the run."""
        raise NotImplementedError

    def stop(self, error: BaseException) -> None:
        """End whatever this node is doing. May be called from any thread and from a signal handler."""

        def stop() -> None:
            is_early = isinstance(error, Aborted) and not self.has_begun
            self._stop(Aborted(str(error.fields["reason"]), False) if is_early else error)  # type: ignore[attr-defined]

        self.context.reactor.call(stop)

    @property
    def has_begun(self) -> bool:
        """Whether START has arrived; from then on targets may be written."""
        return self.downstream is not None and self.downstream.has_started

    def _tell_parent_gone(self, parent: str, reason: str, goodbye: Optional[Bye]) -> None:
        self.context.log(log_text.parent_gone(parent, reason, goodbye))

    def _stop(self, error: BaseException) -> None:
        self.fail(error)
        self.leave()

    def subtree_changed(self) -> None:
        """The board has news from below, or a link was opened or closed."""
        self.need_changed()
        self._try_to_leave()

    # --- shared -------------------------------------------------------------------------------------

    def set_up(self, plan: Plan, rank: int, ledger: Ledger) -> Downstream:
        """Take the place `rank` in the plan; creates the board and the downstream part."""
        self.plan, self.rank, self.ledger = plan, rank, ledger
        self.context.transport = plan.transport
        self._listener.shape(plan.transport)
        self.board = Board(rank)
        self.downstream = Downstream(self.context, plan, rank, ledger, self.board, self)
        return self.downstream

    def serve(self, store: Readable) -> None:
        """Serve children from `store` from now on."""
        if self.downstream is None or self.ledger is None:
            return
        self.downstream.open(store)
        writeback = Writeback(store, self.ledger, is_large(store.size))
        if writeback.is_needed:
            self._crew.run("settle", writeback.run, self._settled)

    def _settled(self, error: Optional[BaseException]) -> None:
        if error is not None and not self.is_leaving:
            self.storage_failed(error)

    def leave(self) -> None:
        """Leave when goodbyes are said and threads have ended, after LEAVE_PATIENCE_S at the latest."""
        if self._leave_by is None:
            self._leave_by = self.context.reactor.now() + LEAVE_PATIENCE_S
            self.context.reactor.call(self._try_to_leave)

    @property
    def is_working(self) -> bool:
        """Whether this node does work that no snapshot shows."""
        return False

    @property
    def is_leaving(self) -> bool:
        """Whether the node is shutting down, with only goodbyes outstanding."""
        return self._leave_by is not None

    def _has_said_goodbye(self) -> bool:
        return self.downstream is None or self.downstream.is_finished

    def _try_to_leave(self) -> None:
        if self._leave_by is None or self._has_left:
            return
        is_late = self.context.reactor.now() > self._leave_by
        if not is_late and not self._has_said_goodbye():
            return
        self._end_links()
        if self.ledger is not None:
            self.ledger.close()
        is_busy = self._is_busy()
        if (is_busy or self.context.attempts.is_busy) and not is_late:
            self.context.reactor.after(_JOIN_PAUSE_S, self._try_to_leave)
            return
        if not is_busy:  # else a thread hangs in a system call; the end of the process closes the storage
            self._release()
        self._has_left = True
        self.context.reactor.stop()

    def _beat(self) -> None:
        now = self.context.reactor.now()
        if self.downstream is not None:
            self.downstream.beat(now)
        self._on_beat(now)
        self._report(self)
        self._try_to_leave()

    def _judge(self, hello: Hello) -> int:
        if hello.run_id != self.context.run_id:
            raise AuthError("a caller of another run, or with another key (run %s)" % hello.run_id[:64])
        if not self.context.is_called(hello.to):
            raise AuthError("a caller that looks for %s" % hello.to[:64])
        return self._current_epoch(hello) if hello.kind in ("link", "lane") else 0

    def _on_established(self, established: Established, channel: Channel) -> None:
        if established.hello.kind in ("link", "lane"):
            self._link_established(established, channel)
            return
        channel.handle(lambda data: None, lambda reason: None)
        channel.finish()
        if established.hello.kind == "probe":
            self.is_reachable = True
        elif self.plan is not None and self.downstream is not None and not self.is_leaving:
            try:
                rank = self.plan.rank_of(established.hello.sender)
            except (KeyError, ValueError):
                return
            self.downstream.handle(heal.Knocked(rank))

    def knock(
        self,
        rank: int,
        on_failed: Callable[[str], None],
        kind: str = "adopt",
        on_heard: Callable[[], None] = lambda: None,
    ) -> Optional[Dialer]:
        """Connect to another node: `adopt` asks it to dial this one, `probe` only tests the connection."""
        if self.plan is None:
            return None
        node = self.plan.nodes[rank]
        if not node.host or not node.port:
            on_failed("%s has no address" % node.name)
            return None

        def heard(_established: Established, channel: Channel) -> None:
            channel.finish()
            on_heard()

        return Dialer(self.context, node, kind, lambda current: 0, heard, on_failed)

    def ask_for_help(self, rank: int) -> None:
        """Knock at an ancestor; the healer is told when the knock fails."""

        def failed(why: str) -> None:
            name = self.plan.nodes[rank].name if self.plan is not None else "an ancestor"
            self.context.log("%s cannot be asked: %s" % (name, why))
            if self.downstream is not None:
                self.downstream.handle(heal.KnockFailed(rank))

        self.knock(rank, failed)

    def say(self, snapshot: Snapshot) -> None:
        """Put this node's own snapshot on the board."""
        if self.board.merge(snapshot):
            self._report(self)


def as_fields(error: BaseException) -> Dict[str, Any]:
    """An error as a dictionary for the wire. An exception that is not a DollyError is reported as a bug."""
    if isinstance(error, DollyError):
        return error.to_dict()
    return {"kind": type(error).__name__, "message": "Unexpected: %r" % error, "fault": "bug"}


def check_plan(plan: Plan, known: Optional[Plan], rank: int, parent_rank: int) -> None:
    """Raise ValueError if the parent's rank is not lower, or the plan differs from `known`, the first one.

    Everything but the server's address has to agree. A node does what its first plan says. The report
    of a second server with, say, another target path or another `verify` would be wrong.
    """
    if parent_rank >= rank:
        raise ValueError("its sender comes after this node in the ring")
    if known is None:
        return
    differing = [item.name for item in fields(plan) if item.compare and not _agree(item.name, plan, known)]
    if differing:
        raise ValueError(
            "it is not the plan that this node was given before: %s differ; give the server the options and the source"
            " of the first one, or start the nodes again" % ", ".join(differing)
        )


def _agree(name: str, plan: Plan, known: Plan) -> bool:
    if name == "nodes":
        return (plan.nodes[0].name, plan.nodes[1:]) == (known.nodes[0].name, known.nodes[1:])
    return bool(getattr(plan, name) == getattr(known, name))


def as_aborted(error: Optional[Dict[str, Any]], has_begun: bool = True) -> Aborted:
    """The server's reason for ending the run, as this node's own error."""
    known = from_dict(error)
    if isinstance(known, Aborted):
        return known  # keeps its wording, however many nodes passed it on
    return Aborted(known.sentence if error else "the server gave no reason", has_begun)
