# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node that receives the image: from waiting for a parent to the state `done`."""

from __future__ import annotations

import math
import socket
from typing import Any, Callable, Dict, Optional

from ..errors import (
    Aborted,
    AuthError,
    BytesGone,
    DollyError,
    PeerLost,
    ProtocolError,
    TableNotMoved,
    TimedOut,
    from_dict,
)  # fmt: skip
from ..net.channel import Channel
from ..plan import topology
from ..plan.job import Plan
from ..recovery import healer as heal
from ..recovery.stalled_child import OWN_FLUSH, OWN_TARGET, StallWatch
from ..status.snapshot import Snapshot
from ..storage.base import Store, Target
from ..wire.greeting import Hello
from ..wire.handshake import Established
from ..wire.messages import Bye, Manifest, Need, Setup, Start
from .context import Context
from .down.downstream import sight_of
from .finalizer import Finalizer
from .image.ledger import Ledger
from .lessons import Lessons
from .node import Node, Reporter, as_aborted, as_fields, check_plan
from .own_status import OwnStatus
from .repairs import Repairs, unreadable
from .up.status_uplink import StatusUplink
from .up.upstream import Upstream
from .work.finisher import Finisher
from .work.opening import Opening


class Client(Node):
    """Receives, passes on, verifies and reports. Runs on the reactor; lanes and disk work have threads."""

    def __init__(
        self,
        context: Context,
        sock: socket.socket,
        report: Reporter,
        choose_target: Callable[[Plan], Target],
    ) -> None:
        super().__init__(context, sock, report)
        self.store: Optional[Store] = None
        self._word = OwnStatus(context.name or "this node", context.profile)
        self._choose_target = choose_target
        self._opening: Optional[Opening] = None
        self._upstream = Upstream(context, self)
        self._lessons: Optional[Lessons] = None
        self._start: Optional[Start] = None
        self._is_run_over = False
        self._status_uplink = StatusUplink(context, self._upstream)
        self._part_by = 0.0
        self._finisher: Optional[Finisher] = None
        self._finalizer: Optional[Finalizer] = None
        self._flushes = StallWatch(math.inf, context.timeouts.flush)
        self._repairs: Optional[Repairs] = None

    @property
    def word(self) -> Snapshot:
        """The newest snapshot that this node has made of itself."""
        return self._word.snapshot

    @property
    def is_whole(self) -> bool:
        """Whether every byte of the image is in place, whatever happened to this node after that."""
        is_lost = self.error is not None and not isinstance(self.error, TableNotMoved)
        return self._finisher is not None and self._finisher.is_published and not is_lost

    # --- connections --------------------------------------------------------------------------------

    def _begin(self) -> None:
        limit = self.context.timeouts.join
        self.context.reactor.after(limit, lambda: self._nobody_came(limit))

    def _nobody_came(self, limit: float) -> None:
        if self.plan is None:
            whom = "the server, or for the node before this one%s," % self._listener.turned_away
            self.fail(TimedOut("waiting for " + whom, limit, "join_timeout"))

    def _current_epoch(self, hello: Hello) -> int:
        if self.is_leaving:
            raise AuthError("this node is about to end")
        return self._upstream.epoch

    def _link_established(self, established: Established, channel: Channel) -> None:
        if established.hello.kind == "lane":
            self._upstream.accept_lane(established, channel)
        elif self._upstream.accept_link(established, channel):
            self.context.name = established.hello.to
            self._word.change(name=self.context.name)
            self._upstream.begin(established.leftover)

    # --- messages from the parent -------------------------------------------------------------------

    def upstream_setup(self, parent: str, message: Setup) -> None:
        """Take the plan; the first plan also tells this node its rank."""
        try:
            parsed = Plan.from_dict(message.plan)
            rank = parsed.rank_of(self.context.name)
            parent_rank = parsed.rank_of(parent)
            check_plan(parsed, self.plan, rank, parent_rank)
            self._word.outbid(message.known, self.plan is None)
        except (ValueError, KeyError) as error:
            self.fail(ProtocolError(parent, "a plan that makes no sense: %s" % error))
            return
        self._status_uplink.forget()
        self._interrupt()
        healed = self.word.healed + (self.plan is not None)
        if self.plan is None:
            self._take_place(parsed, rank, message.is_late)
        self._say(parent=parent_rank, epoch=self._upstream.epoch, healed=healed)
        self._part()
        if self.downstream is not None:
            self.downstream.handle(heal.ParentFound(parent_rank))

    def _take_place(self, plan: Plan, rank: int, is_late: bool) -> None:
        self.context.timeouts = plan.timeouts  # one set of limits for the whole ring: the server's
        self._flushes = StallWatch(math.inf, plan.timeouts.flush)
        self._word.change(rank=rank, total=plan.image.covered)
        ledger = Ledger(plan.image, plan.verify != "none", self.context.reactor.now, self.context.hashing(plan))
        downstream = self.set_up(plan, rank, ledger)
        self._lessons = Lessons(ledger, downstream, self.context.log)
        if is_late:  # its children have other parents by now
            self._word.change(late=True)
            downstream.handle(heal.MadeLeaf())
        else:
            downstream.handle(heal.SetUp(tuple(topology.children(rank, plan.fanout, len(plan.nodes)))))
        self._opening = Opening(self._choose_target, plan, ledger)
        self._crew.run("prepare", self._opening.prepare, self._prepared)
        if self.word.parent is None and plan.parent(rank) == 0:
            self.knock(0, lambda why: self.context.log("the server cannot be dialled from here: %s" % why), "probe")

    def _prepared(self, error: Optional[BaseException]) -> None:
        if error is not None:
            self.fail(error)
        elif self.word.state == "waiting":
            self._say(state="ready")
            self._try_to_start()

    def upstream_start(self, message: Start) -> None:
        """START: begin, or abort."""
        if message.abort is not None:
            self._called_off(message.abort)
            return
        self._start = message
        if self.downstream is not None:
            self.downstream.start(message)
        if self.store is None and not self.word.is_terminal:
            self._say(blocked_on=OWN_TARGET)  # until it is open
        self._try_to_start()
        self.ask()

    def _try_to_start(self) -> None:
        opening = self._opening
        if self._start is None or self.word.state != "ready" or opening is None:
            return
        self._word.start(self.context.reactor.now())
        self._say(state="receiving")
        self._crew.run("begin", opening.begin, lambda error: self._begun(error, opening.store))

    def _begun(self, error: Optional[BaseException], store: Optional[Store]) -> None:
        self.store = store  # not before: nothing may be asked for until the finisher has claimed what is there
        if error is not None or self.store is None or self.ledger is None or self.downstream is None:
            self.fail(error or Aborted("the target was not opened"))
            return
        if self.word.is_terminal or self.plan is None:
            return
        self.serve(self.store)
        verifies, watch = self.plan.verify != "none", self.context.profile.working()
        self._repairs = Repairs(self.context, self.store, self.ledger, self._upstream, self._crew, self)
        self._finisher = Finisher(self.store, self.ledger, verifies, self.plan.sync, self._repairs.report_bad, watch)
        self._finisher.keep_journal(self.context, self.fail)
        self._crew.run("finish", self._finisher.run, self._finished)
        if self._finisher.drain is not None:
            self._crew.run("drain", self._finisher.drain.run, self._work_ended)
        if self.store.window is not None or not self.plan.infile.is_seekable:
            self.ledger.watch(lambda: self.context.reactor.call(self.ask))
        self.ledger.on_full = lambda: self.context.reactor.call(self.ask)
        self.need_changed()
        self.ask()

    def upstream_manifest(self, parent: str, message: Manifest) -> bool:
        """Store digests and pass them on. False when they cannot be right."""
        return self._lessons is None or self._lessons.manifest(parent, message)

    def upstream_end(self, parent: str, size: int) -> bool:
        """Store the size of the image and pass it on. False when it cannot be right."""
        if self._lessons is not None and not self._lessons.end(parent, size):
            return False
        self._say(total=size)
        return True

    def upstream_demotes(self) -> None:
        """The parent demotes this node, which is too slow to have children."""
        self._say(demoted=True)
        if self.downstream is not None:
            self.downstream.handle(heal.MadeLeaf())

    def upstream_lacks(self, parent: str, offset: int) -> bool:
        """The parent's window has dropped wanted bytes: look further up; fail if the parent is the server."""
        if self.word.parent == 0:
            self.fail(BytesGone(parent, offset))
        return self.word.parent != 0

    def upstream_gone(self, parent: str, reason: str, goodbye: Optional[Bye]) -> None:
        """The parent is gone: wait for adoption, unless the run is over."""
        self._tell_parent_gone(parent, reason, goodbye)
        self._interrupt()
        if goodbye is not None and goodbye.reason == "aborted":
            self._called_off(goodbye.error)
        if goodbye is not None and goodbye.reason == "finished":
            self.leave()  # it has heard our last word
        if goodbye is not None and goodbye.reason == "ejected":
            # Whoever took it in next would wait as long again, and the run with it.
            self.fail(from_dict(goodbye.error))
        if self.is_leaving or self.downstream is None:
            self.context.reactor.call(self._try_to_leave)
            return
        patience_s = self.context.timeouts.orphan
        if goodbye is not None and goodbye.reason == "orphaned":
            # All nodes below look for an ancestor at the same time, or a long chain would end node after node.
            patience_s = min(patience_s, heal.ORPHANED_PATIENCE_S)
            self.downstream.orphan()
        self.downstream.handle(heal.ParentGone(self.word.parent or 0, patience_s))

    def _interrupt(self) -> None:
        if self.ledger is not None:
            with self.ledger.changed:
                self.ledger.pulse.interrupt()

    # --- asking, finishing, failing -----------------------------------------------------------------

    def ask(self) -> None:
        """Tell the parent what is missing."""
        if self.ledger is not None and self.store is not None and not self.word.is_terminal:
            self._upstream.ask(self.store, self.ledger)

    def repair_wanted(self, need: Need) -> None:
        """A child asks again for chunks that failed verification; they may be verified here."""
        is_image = self._finalizer is None or not self._finalizer.has_begun
        if self._repairs is not None and is_image:  # a moved partition table is not disk damage
            self._repairs.wanted(need)

    def _work_ended(self, error: Optional[BaseException]) -> None:
        if error is not None:
            self.fail(error)

    def _finished(self, error: Optional[BaseException]) -> None:
        downstream = self.downstream
        if self.word.is_terminal or self.ledger is None or self._finisher is None or downstream is None:
            return
        if error is not None:
            self.fail(error)
        elif self._finisher.is_published and self.store is not None:
            self._update()
            if self.store.needs_finalizing:
                self._finalizer = Finalizer(
                    self.context, self._crew, self.store, downstream,
                    lambda: self._repairs is not None and self._repairs.is_looking,
                    lambda: self._say(blocked_on=OWN_FLUSH), self._finalized,
                )  # fmt: skip
            state, digest = "serving" if self._finalizer else "done", self.ledger.manifest.run_root()
            self._say(state=state, digest=digest, blocked_on="", **self._finisher.outcome)
            downstream.handle(heal.Settled(heal.ADOPTION_PATIENCE_S + heal.UNHEARD * self.context.timeouts.dead_after))
            self.ask()  # the parent hears that nothing is missing
            self._leave_if_idle()

    def _finalized(self, error: Optional[BaseException]) -> None:
        if error is not None:
            self.fail(error)
        elif self.store is not None:
            self._say(state="done", blocked_on="", changed=not self.store.is_untouched)
        self._leave_if_idle()
        if self._finalizer is not None and self._finalizer.is_hurried and not self._upstream.has_parent:
            self.leave()

    def _called_off(self, error: Optional[Dict[str, Any]]) -> None:
        """The server ends the run for everybody, or goes on without this node."""
        if not (error or {}).get("is_left_out"):
            self._is_run_over = True
        self.fail(as_aborted(error, self.has_begun))
        if self.word.state == "done" and self.downstream is not None:
            self.downstream.bye("aborted", error)
            self.leave()

    def fail(self, error: BaseException) -> None:
        """This node cannot get the image. Its children look for another parent, or are given one."""
        if self._finalizer is not None and self._finalizer.is_pending:
            self._finalizer.hurry("aborted" if self._is_run_over else "failed", as_fields(error))
        elif self.word.state != "done":
            self.retract(error)

    def retract(self, error: BaseException) -> None:
        """This node does not have the image, even if it has reported `done`."""
        if self._finalizer is not None:
            self._finalizer.cancel()
        if self.word.state == "failed":
            return
        self.context.log("failed: %s" % error)
        fields = as_fields(error)
        self.error = error if isinstance(error, DollyError) else from_dict(fields)
        self._update()
        self._say(state="failed", error=fields, blocked_on="")
        # The run is over for the children too only if the server has ended it.
        reason = "aborted" if self._is_run_over else "failed"
        if isinstance(error, PeerLost):
            reason = "orphaned"
        if self.downstream is not None:
            self.downstream.bye(reason, fields)
        if self.ledger is not None:
            self.ledger.close()
        has_parent = self._upstream.has_parent
        patience_s = heal.PART_PATIENCE_S if has_parent else heal.ADOPTION_PATIENCE_S + heal.PART_PATIENCE_S
        self._part_by = self.context.reactor.now() + patience_s
        self._part()

    def _stop(self, error: BaseException) -> None:
        if self.word.is_terminal:
            self.leave()
        else:
            self.fail(error)

    def _part(self) -> None:
        """Say goodbye as failed, after the children's goodbyes, to the parent of that moment.

        A node that fails without a parent waits for adoption, so that its reason is reported.
        """
        if self.word.state != "failed" or self.is_leaving:
            return
        self._status_uplink.tell(self.board)
        is_late = self.context.reactor.now() > self._part_by or self._is_run_over or self.plan is None
        if not is_late and self.downstream is not None and not self.downstream.is_finished:
            return
        if self._upstream.is_heard or is_late:
            self._upstream.bye("failed", self.word.error)
            self.leave()

    def storage_failed(self, error: BaseException) -> None:
        """The target cannot be written or read back."""
        if not self.word.is_served or self.downstream is None or self.store is None:
            self.fail(error)
        elif not self.downstream.is_ending:  # what was read back, and flushed, is good all the same
            self.store.notes.append(unreadable(error))
            self.downstream.give_away(as_fields(error))
            if self._finalizer is not None and self._finalizer.is_pending:  # a thread may hang in the read for good
                self._finalizer.hurry("failed", as_fields(error))

    def act_as_child(self, action: heal.Action) -> None:
        """Look for a parent, or give up."""
        if isinstance(action, heal.KnockAt):
            self.ask_for_help(action.rank)
        elif isinstance(action, heal.GiveUp):
            self._stop(PeerLost("the node before this one", action.reason + " (orphan_timeout)"))

    # --- status -------------------------------------------------------------------------------------

    def subtree_changed(self) -> None:
        """Pass news up, and leave when nothing is left to do."""
        super().subtree_changed()
        self._status_uplink.tell_soon(self.board)
        self._leave_if_idle()
        self._part()

    def _leave_if_idle(self) -> None:
        downstream = self.downstream
        if self._finalizer is not None:
            self._finalizer.look()
        if self.word.state != "done" or downstream is None or not downstream.is_finished or self.is_leaving:
            return
        if self._upstream.is_heard and not self._upstream.has_said_bye:
            self._word.close_account(self.context.reactor.now())
            self._spread()
            # It leaves when the parent has answered. One that falls silent now may have told nobody that this node
            # is done: then another one has to.
            self._upstream.bye("finished")

    def _has_said_goodbye(self) -> bool:
        return super()._has_said_goodbye() and not self._upstream.has_parent

    def _end_links(self) -> None:
        super()._end_links()
        self._upstream.end()

    def _is_busy(self) -> bool:
        return self._upstream.is_receiving or super()._is_busy()

    def _release(self) -> None:
        if self.store is None:
            if self._opening is not None:
                self._opening.release()
        elif self.word.state == "done":
            self.store.close()
        else:
            self.store.abort()

    def _on_beat(self, now: float) -> None:
        if self.downstream is not None:
            self.downstream.handle(heal.Ticked())
        self._update()
        self._watch_flush(now)
        self._status_uplink.tell(self.board)
        self.ask()
        self._leave_if_idle()
        self._part()
        self._upstream.beat(now)

    def _update(self) -> None:
        """Update the figures of this node's own snapshot."""
        if self.ledger is None or self.word.is_served or self.store is None:
            return
        now, is_waiting = self.context.reactor.now(), self._upstream.is_waiting
        if self._word.measure(now, self.ledger, is_waiting, self._finisher):
            self._spread()
        if self.word.state == "flushing" and self.downstream is not None:
            self.downstream.handle(heal.Whole())

    def _watch_flush(self, now: float) -> None:
        """A flush that hangs ends here: a node that has all bytes may have nobody left who would give it up."""
        for verdict in self._flushes.look(self.rank, sight_of(self.word), now):
            self.fail(verdict.error)

    def _say(self, **changes: Any) -> None:
        if self._word.change(**changes):
            self._spread()

    def _spread(self) -> None:
        if self.plan is not None:
            self.say(self.word)
        self._status_uplink.tell(self.board)
