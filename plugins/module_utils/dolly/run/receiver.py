# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A receiver: checks its target once more, waits for the ring, takes the image, and reports its result."""

from __future__ import annotations

import dataclasses
import os
import socket
from typing import Any, Callable, Dict, Optional

from ..errors import Refused, UsageError
from ..net import sockets
from ..plan.job import Plan
from ..plan.streams import server_compresses
from ..relay.client import Client
from ..relay.context import Context
from ..relay.node import Reporter
from ..storage.base import Target
from ..storage.block import BlockTarget
from ..storage.facts import SourceFacts, TargetFacts, TargetPolicy
from ..storage.gpt import Table
from ..storage.registry import OutputOpener
from ..storage.target import check_same, check_target
from .rundir import RunDir
from .serve import StatusFile, make_context, run_to_end, serve, stop_on_signals, timeouts_of


def main(path: str) -> int:
    """Run the receiver that a run directory describes."""
    return serve(path, _receive)


def _receive(rundir: RunDir, config: Dict[str, Any], secret: bytes) -> Dict[str, Any]:
    context = make_context(str(config["run_id"]), str(config["name"]), secret, timeouts_of(config))
    policy = TargetPolicy(**(config.get("policy") or {}))
    resumes = config.get("resume") is not False
    choose = TargetChooser(
        str(config["target"]),
        policy,
        resumes,
        str(config.get("state_dir") or ""),
        measures=config.get("dummy"),
        seen=TargetFacts.from_dict(config["seen"]) if config.get("seen") else None,
    )
    status = StatusFile(rundir, describe)
    port, last_port = (int(config.get(name) or 0) for name in ("port", "last_port"))
    member = make_member(context, str(config.get("bind") or ""), port, status, choose, last_port)
    stop_on_signals(member)
    context.log("listening on port %d" % member.port)
    return run_to_end(member.run, lambda: result_of(member, choose))


class TargetChooser:
    """Chooses the target once the plan is known, and refuses a bad one before anything is written.

    `path`: where to write; if empty, the server names the path, as a server with the run's secret may.
    `resumes`: continue an interrupted run, and keep a journal for a later one (for devices in `state_dir`).
    `stdout`: the descriptor that "-" stands for; a background process has none. `measures`: whether this node
    only measures the network; a server with another purpose is refused; None accepts either. `seen`: what an
    earlier check found at `path`; a target that has taken its place is refused.
    """

    def __init__(
        self,
        path: str,
        policy: TargetPolicy,
        resumes: bool = True,
        state_dir: str = "",
        stdout: Optional[int] = None,
        measures: Optional[bool] = None,
        seen: Optional[TargetFacts] = None,
    ) -> None:
        self.facts: Dict[str, Any] = {}
        self._measures = measures
        self._path = path
        self._policy = policy
        self._resumes = resumes
        self._state_dir = state_dir
        self._stdout = stdout
        self._seen = seen

    def __call__(self, plan: Plan) -> Target:
        """Inspect the target and open it. Raises Refused, UsageError."""
        self._compare_purpose(plan)
        source = SourceFacts.from_dict(plan.source) if plan.source else None
        if source is not None and server_compresses(plan.infile, plan.outfile):
            source = dataclasses.replace(source, gpt=())  # what is written is an archive, without a table

        def check(facts: TargetFacts, size: Optional[int]) -> None:
            self.facts = facts.to_dict()
            check_same(facts, self._seen)
            needed = size if plan.image.covered is None or size is None else plan.image.covered
            if needed is not None and source is not None:
                needed = min(needed, source.allocated)
            check_target(facts, size, needed, source, self._policy)

        opener = OutputOpener(check, self._stdout, self._resumes, self._state_dir)
        target = opener.open(plan, self._path or plan.output)
        self.facts = target.facts.to_dict()
        if isinstance(target, BlockTarget):
            target.moves_gpt = self._policy.move_gpt
            target.tables = [Table(*table) for table in source.gpt] if source is not None else ()
        elif self._policy.move_gpt and self.facts.get("kind") == "block":
            raise UsageError("move_gpt", True, "false with a compressed source, which is not read back as a disk")
        return target

    def _compare_purpose(self, plan: Plan) -> None:
        """Raise Refused if this node measures the network and an image comes, or the other way round."""
        if self._measures is None or self._measures == (plan.infile.kind == "dummy"):
            return
        if self._measures:
            found, allow = "this node measures the network (dummy), and the server sends an image", "a dummy server"
        else:
            found, allow = "the server measures the network, and this node was told to write", "dummy on this node"
        raise Refused("the run", found, allow)


def make_member(
    context: Context,
    bind: str,
    port: int,
    report: Reporter,
    choose: Callable[[Plan], Target],
    last_port: int = 0,
    sock: Optional[socket.socket] = None,
) -> Client:
    """Create a member that listens on `port`, on the first free port up to `last_port`, or on `sock`.

    Raises UsageError if no port can be bound.
    """
    if sock is None:
        sock = sockets.listen_within(bind, port, max(port, last_port))
    return Client(context, sock, report, choose)


def describe(member: Client) -> Dict[str, Any]:
    """Return the status of a receiver, for its status file."""
    word = member.word
    return {"state": word.state, "port": member.port, "pid": os.getpid(), "node": word.to_dict()}


def result_of(member: Client, choose: Optional[TargetChooser] = None) -> Dict[str, Any]:
    """Return the result of this node: `done` only if every byte is there, verified and synced as asked."""
    word = member.word
    is_done = word.state == "done"
    verifies = member.plan is not None and member.plan.verify != "none"
    compares = member.plan is not None and member.plan.compare
    facts = choose.facts if choose is not None else {}
    writes = facts.get("kind") != "dummy"
    # `held` goes down again for a bad chunk, and does not count a write that failed half-way.
    is_overwritten = word.held > word.resumed or (member.store is not None and member.store.is_written)
    changed = word.changed or (not is_done and writes and is_overwritten)
    return {
        "state": "done" if is_done else "failed",
        "changed": changed,
        "half_written": changed and not (is_done or member.is_whole) and facts.get("kind") == "block",
        "bytes": word.held,
        "seconds": word.seconds,
        "rate": round(word.held / word.seconds) if word.seconds else 0,
        "covers": member.plan.image.coverage if member.plan is not None else "",
        **(member.ledger.manifest.told_root(word.digest) if member.ledger is not None else {"digest": ""}),
        "position": word.rank,
        "verified": is_done and verifies,
        "synced": word.synced,
        "repaired": word.repaired,
        "late": word.late,
        "demoted": word.demoted,
        "healed": word.healed,
        "stalled": word.stalled,
        "times": word.detail.get("times", {}),
        "received_bytes": word.received,
        "sent_bytes": member.ledger.sent if member.ledger is not None else 0,
        "resumed_bytes": 0 if compares else word.resumed,
        "equal_bytes": word.resumed if compares else 0,
        "error": word.error if not is_done else None,
        "target": facts,
        "notes": list(member.store.notes) if member.store is not None else [],
        "refused_connections": member.refused,
    }
