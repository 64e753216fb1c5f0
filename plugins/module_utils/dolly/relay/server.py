# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The server: it has the image, decides who takes part, digests what it sends, and reports the outcome."""

from __future__ import annotations

import hmac
import socket
from dataclasses import dataclass
from typing import Any, Callable, Dict, FrozenSet, List, Optional, Set

from ..errors import ChecksumMismatch, DollyError, NotEnoughNodes, TargetHung, TimedOut, from_dict, said_of
from ..plan.blockmap import Checker
from ..plan.job import Plan
from ..ranges import RangeSet
from ..recovery import healer as heal
from ..recovery.rejoin import Rejoin
from ..status import bottleneck
from ..status.snapshot import OPINIONS, OWN_STATES, Snapshot
from ..storage.source import Source
from ..wire.messages import Need, Start
from ..workers import Worker
from .context import Context
from .down.abort_notice import AbortNotice
from .down.confirmations import Confirmations
from .down.downstream import SETTLED
from .image.digest_check import ImageCheck
from .image.ledger import Ledger
from .node import Node, Reporter, as_fields
from .standstill import LastResort
from .work.digester import Digester

#: States of a node that has said whether it can take part, or of which another node has said so.
_READY_OR_NOT = frozenset((*OWN_STATES, *OPINIONS)) - {"waiting"}


@dataclass(frozen=True)
class Policy:
    """What the run asks for: `min_nodes` (0: all); `checksum`, the expected SHA-256 of the whole image in hex.

    `wants_sha256`: compute that SHA-256. `checker` compares the image with its block map, if it has one.
    """

    min_nodes: int = 0
    checksum: str = ""
    wants_sha256: bool = False
    checker: Optional[Checker] = None


class Server(Node):
    """Rank 0. `run` returns when every member is settled or the run has failed."""

    def __init__(
        self, context: Context, sock: socket.socket, report: Reporter, plan: Plan, source: Source, policy: Policy
    ) -> None:
        super().__init__(context, sock, report)
        self.state = "waiting"
        self.seconds = 0.0
        self._source = source
        self._policy = policy
        ledger = Ledger(plan.image, False, hashing=context.hashing(plan))
        self._let_go(ledger, plan.verify != "none")
        self.image_check = ImageCheck(ledger.manifest, plan.verify != "none")
        downstream = self.set_up(plan, 0, ledger)
        self._last_resort = LastResort(context, plan, downstream)
        self._confirmations = Confirmations(plan, source, downstream)
        self._ranks = range(1, len(plan.nodes))
        self._names = frozenset(node.name for node in plan.nodes)
        self._members: FrozenSet[int] = frozenset()
        self._is_checked = not policy.checksum
        self._objection: Optional[BaseException] = None
        self._is_barrier_over = False
        self._digester = Digester(source, ledger, self._publish, context.profile.working(), policy.checker)
        self._digesting: Optional[Worker] = None
        self._started_at = 0.0
        self._rejoin = Rejoin()
        self._abort_notice: Optional[AbortNotice] = None

    def _let_go(self, ledger: Ledger, verifies: bool) -> None:
        """Tell the ledger what may be sent from the beginning."""
        if verifies:
            # The digester releases everything, chunk by chunk. Holes sent ahead of the data between them
            # would leave each child with as many gaps as there are extents.
            ledger.know_zeros(_holes(self._source))
        else:
            ledger.hold_all(_holes(self._source))

    # --- before the start ---------------------------------------------------------------------------

    def _begin(self) -> None:
        if self.plan is None or self.downstream is None:
            return
        self.downstream.handle(heal.SetUp(tuple(self.plan.children(0))))
        self.context.reactor.after(self.context.timeouts.barrier, self._end_barrier)
        if not self._is_checked:
            self._digest(lambda: self._digester.digest_all(True), self._checksum_known)
        self._decide()

    def _end_barrier(self) -> None:
        self._is_barrier_over = True
        self._decide()

    def _checksum_known(self, error: Optional[BaseException]) -> None:
        self._digesting = None
        if self.is_leaving:
            return
        expected = self._policy.checksum
        if error is None and not hmac.compare_digest(self.sha256 or "", expected):
            error = ChecksumMismatch(self._source.path, expected, self.sha256 or "nothing")
        self._objection = error
        self._is_checked = True
        self._decide()

    def _decide(self) -> None:
        """Start when every node is ready or has failed, or at the time limit if enough are ready."""
        if self.state != "waiting" or self.is_leaving or not self._is_checked:
            return
        if not self._is_barrier_over and self.board.count(_READY_OR_NOT) < len(self._ranks):
            return  # the usual case, decided without a look at every node
        ready = [rank for rank in self._ranks if self._state_of(rank) == "ready"]
        waiting = [rank for rank in self._ranks if self._state_of(rank) == "waiting"]
        if waiting and not self._is_barrier_over:
            return
        if self._objection is not None:
            # Not earlier: a node that is not linked yet would not hear of it, and would wait in vain.
            self.fail(self._objection)
            return
        needed = self._policy.min_nodes or len(self._ranks)
        if len(ready) < needed or not ready:
            self.fail(NotEnoughNodes(len(ready), max(needed, 1), self._why_not(set(self._ranks) - set(ready))))
            return
        self._start(ready)

    def _word_of(self, rank: int) -> Optional[Snapshot]:
        return self.image_check.judge(self.board.get(rank))

    def _state_of(self, rank: int) -> str:
        snapshot = self._word_of(rank)
        return snapshot.state if snapshot is not None else "waiting"

    def _why_not(self, ranks: Set[int]) -> List[str]:
        reasons = []
        for rank in sorted(ranks):
            snapshot = self.board.get(rank)
            error = (snapshot.error or {}) if snapshot is not None else {}
            name = self.plan.nodes[rank].name if self.plan is not None else str(rank)
            reasons.append(said_of(name, str(error.get("message", "not ready in time"))))
        return reasons

    def _start(self, ready: List[int]) -> None:
        if self.plan is None or self.downstream is None:
            return
        self._members = frozenset(ready)
        self.state = "streaming"
        self._started_at = self.context.reactor.now()
        self.context.profile.start()
        for rank in self._ranks:
            if rank not in self._members and self._state_of(rank) == "waiting":
                limit = self.context.timeouts.barrier
                late = TimedOut("waiting for %s to get ready" % self.plan.nodes[rank].name, limit, "barrier_timeout")
                self.board.declare(rank, self.plan.nodes[rank].name, "excluded", late.to_dict())
        self.context.log("start with %d of %d nodes" % (len(ready), len(self._ranks)))
        self.downstream.start(Start(tuple(ready)))
        self.serve(self._source)
        self._stream(self.plan)

    def _stream(self, plan: Plan) -> None:
        """START is sent: prepare what the nodes are about to request."""
        if plan.verify != "none" or self._policy.wants_sha256:
            wants_sha256 = self._policy.wants_sha256
            self._digest(lambda: self._digester.digest_all(wants_sha256), self._digested)

    # --- digests ------------------------------------------------------------------------------------

    @property
    def sha256(self) -> Optional[str]:
        """The plain SHA-256 of the image in hex, where it was asked for and is known."""
        return self._digester.sha256

    def _digest(self, work: Callable[[], None], on_end: Callable[[Optional[BaseException]], None]) -> None:
        self._digesting = Worker("digest", work, lambda error: self.context.reactor.call(lambda: on_end(error)))
        self._digesting.start()

    def _publish(self, first: int, digests: bytes) -> None:
        self.context.reactor.call(lambda: self._pass_on(first, digests))

    def _pass_on(self, first: int, digests: bytes) -> None:
        if self.downstream is not None:
            self.downstream.manifest(first, digests)

    def _digested(self, error: Optional[BaseException]) -> None:
        self._digesting = None
        if error is None:
            self._confirmations.tell(self._source.size)
        elif not self.is_leaving:
            self.fail(error)
        self._recheck()
        self._confirm()
        self._end_if_settled()

    def _confirm(self) -> None:
        if self.state == "streaming" and self._digesting is None and self._confirmations.are_due:
            self._digest(self._confirmations.look, self._digested)

    def need_changed(self) -> None:
        """A child has sent a new NEED; it may now have everything."""
        super().need_changed()
        self._confirm()

    @property
    def _is_digesting(self) -> bool:
        """Whether the run must not end yet, because the source is still being read."""
        return self._digesting is not None

    @property
    def _is_source_slow(self) -> bool:
        """Whether all nodes wait for the source."""
        return False

    def repair_wanted(self, need: Need) -> None:
        """Children got chunks that failed verification: digest these chunks again before they are sent again.

        If the digest has changed, the source was written to while it was read.
        """
        self._digester.doubt(need.repair)
        self._recheck()

    def _recheck(self) -> None:
        if self._digester.has_doubts and self._digesting is None and not self.is_leaving:
            self._digest(self._digester.recheck, self._digested)

    # --- to the end ---------------------------------------------------------------------------------

    def subtree_changed(self) -> None:
        """News from below: all nodes may be ready, or the run may be over."""
        super().subtree_changed()
        self._decide()
        self._end_if_settled()

    def _end_if_settled(self) -> None:
        if self.state != "streaming" or self.is_leaving or self._is_digesting:
            return
        if self.board.count(SETTLED) < len(self._ranks):
            return
        if all(self._state_of(rank) in SETTLED for rank in self._ranks):
            self._end("done" if self.done_count == len(self._ranks) else "partial")

    @property
    def is_working(self) -> bool:
        """Whether the source is being digested."""
        return self._digesting is not None

    @property
    def done_count(self) -> int:
        """Number of nodes that hold the whole image, verified and synced where asked for."""
        return sum(self._state_of(rank) == "done" for rank in self._ranks)

    def _end(self, state: str) -> None:
        self.seconds = self.context.reactor.now() - self._started_at if self._started_at else 0.0
        if state == "partial" and not self.done_count:
            state = "failed"
        self.state = state
        self.leave()

    def fail(self, error: BaseException) -> None:
        """End the run as a whole, and tell every node why."""
        if self.state not in ("waiting", "streaming"):
            return
        self.context.log("the run is over, and every node is told why")
        fields = as_fields(error)
        self.error = error if isinstance(error, DollyError) else from_dict(fields)
        if self.downstream is not None:
            if self.state == "waiting":
                self.downstream.start(Start((), fields))
                self._tell_unlinked(fields)
            self.downstream.bye("aborted", fields)
        self._end("failed")

    def _tell_unlinked(self, fields: Dict[str, Any]) -> None:
        """Notify nodes that never reported: they may have no parent to notify them of the end."""
        if self.plan is not None and self.ledger is not None and self._abort_notice is None:
            ranks = [rank for rank in self._ranks if self.board.get(rank) is None]
            self._abort_notice = AbortNotice(self.context, self.plan, self.ledger, ranks, fields, self._try_to_leave)

    def _has_said_goodbye(self) -> bool:
        return super()._has_said_goodbye() and (self._abort_notice is None or self._abort_notice.is_over)

    def _end_links(self) -> None:
        super()._end_links()
        if self._abort_notice is not None:
            self._abort_notice.abort()

    @property
    def source_size(self) -> int:
        """Bytes of the image that are cloned."""
        covered = self.plan.image.covered if self.plan is not None else None
        return self._source.size if covered is None else covered

    @property
    def sent(self) -> int:
        """Bytes that left the server."""
        return self.downstream.sent if self.downstream is not None else 0

    def storage_failed(self, error: BaseException) -> None:
        """The source cannot be read. A source that hangs may come back: the heartbeat decides."""
        if isinstance(error, TargetHung):
            self._last_resort.source_hangs(self.context.reactor.now())
        else:
            self.fail(error)

    def _look_for_returned_nodes(self, snapshots: List[Snapshot], now: float) -> None:
        """Redial nodes that were unreachable and answer now; they join as leaves, without their children."""
        absent = {one.rank: one.rank in self._members for one in snapshots if self._is_absent(one)}
        for rank in self._rejoin.look(absent, now):
            self.knock(rank, lambda why: None, "probe", lambda rank=rank: self._is_back(rank))  # type: ignore[misc]

    def _is_absent(self, word: Snapshot) -> bool:
        is_refused = word.state == "failed" and word.rank not in self._members  # it may have been started again
        return is_refused or word.observed_by is not None

    def _is_back(self, rank: int) -> None:
        word = self.board.get(rank)
        if self.downstream is not None and not self.is_leaving and word is not None and self._is_absent(word):
            self.downstream.handle(heal.Knocked(rank))

    def _on_beat(self, now: float) -> None:
        """Nothing may hang: the run ends if no node makes progress."""
        if self._abort_notice is not None:
            self._abort_notice.beat(now)
        snapshots = self.board.all()
        if self.state != "streaming" or self.is_leaving:
            return
        self._look_for_returned_nodes(snapshots, now)
        read = self._digester.answers if self._is_digesting else None
        error = self._last_resort.beat(snapshots, read, self._is_source_slow, now)
        if error is not None:
            self.fail(error)

    def _is_busy(self) -> bool:
        return self._digesting is not None or super()._is_busy()

    def _release(self) -> None:
        self._source.close()

    def nodes(self) -> List[Dict[str, Any]]:
        """One entry per client, in ring order, with what is known of it."""
        found = []
        for rank in self._ranks:
            name = self.plan.nodes[rank].name if self.plan is not None else str(rank)
            entry = _entry(rank, name, self._word_of(rank))
            entry["times"] = self._times_of(rank)
            entry.update(self.image_check.manifest.told_root(entry.get("digest", "")))
            entry["verified"] = entry["state"] == "done" and self.plan is not None and self.plan.verify != "none"
            found.append(entry)
        return found

    def times(self) -> Dict[str, Any]:
        """Where the server's time went, in seconds since START."""
        return self.context.profile.times(self.seconds, True)

    def limited_by(self) -> str:
        """Which disk or link limited the run; empty where that cannot be told."""
        stations = {0: bottleneck.Station(self.context.name, None, True, self.seconds, self.times())}
        for snapshot in self.board.all():
            is_done, times = snapshot.state == "done", self._times_of(snapshot.rank)
            station = bottleneck.Station(snapshot.name, snapshot.parent, is_done, snapshot.seconds, times)
            stations[snapshot.rank] = station
        return bottleneck.limited_by(stations)

    def _times_of(self, rank: int) -> Dict[str, Any]:
        snapshot = self.board.get(rank)
        if snapshot is None or self.plan is None:
            return {}
        return bottleneck.tidy(snapshot.detail.get("times"), self._names)


def _entry(rank: int, name: str, snapshot: Optional[Snapshot]) -> Dict[str, Any]:
    entry: Dict[str, Any] = {"name": name, "position": rank, "state": "waiting", "error": None}
    if snapshot is not None:
        entry.update(
            state=snapshot.state,
            bytes=snapshot.held,
            verified_bytes=snapshot.verified,
            seconds=snapshot.seconds,
            rate=round(snapshot.held / snapshot.seconds) if snapshot.seconds else 0,
            digest=snapshot.digest,
            synced=snapshot.synced,
            repaired=snapshot.repaired,
            received_bytes=snapshot.received,
            sent_bytes=snapshot.sent,
            resumed_bytes=snapshot.resumed,
            changed=snapshot.changed,
            demoted=snapshot.demoted,
            late=snapshot.late,
            healed=snapshot.healed,
            stalled=snapshot.stalled,
            error=snapshot.error,
        )
    return entry


def _holes(source: Source) -> RangeSet:
    return RangeSet.span(0, source.size) - source.data_ranges() if source.size else RangeSet()
