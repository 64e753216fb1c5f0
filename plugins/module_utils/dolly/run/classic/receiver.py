# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A receiver in a ring of originals: writes only where its own user said, and reports nothing as verified."""

from __future__ import annotations

import os
from typing import Any, Dict, Mapping, Optional

from ...classic.client import ClassicClient
from ...classic.config_text import ClassicText
from ...errors import Refused, TableNotMoved, UsageError
from ...plan.job import Image, NodeSpec, Plan, Timeouts, default_chunk_size
from ...plan.streams import Infile, Outfile
from ...storage.base import Target
from ...storage.facts import TargetFacts, TargetPolicy
from ...storage.registry import STANDARD, OutputOpener
from ...storage.target import check_same, check_target, inspect_target
from ..own_names import own_names
from ..rundir import RunDir
from ..serve import StatusFile, log, serve, stop_on_signals
from .process import find_self, hop_options

_CODECS = {".xz": "xz", ".bz2": "bzip2", ".zst": "zstd"}


def main(path: str) -> int:
    """Run the receiver that a run directory describes."""
    return serve(path, _receive)


def _receive(rundir: RunDir, config: Dict[str, Any], _secret: bytes) -> Dict[str, Any]:
    seen = TargetFacts.from_dict(config["seen"]) if config.get("seen") else None
    choose = TargetChooser(str(config.get("target") or ""), TargetPolicy(**(config.get("policy") or {})), seen=seen)
    client = make_client(config, choose, StatusFile(rundir, describe), log)
    stop_on_signals(client)
    client.run()
    return result_of(client, choose)


class TargetChooser:
    """Checks and opens the target. Raises Refused, UsageError.

    `path`: where to write; if empty, the sender names the path, which needs `trusts_sender`, as no sender
    proves who it is; "-" is `stdout`, a descriptor. `measures`: this node only measures the network; a run of
    the other kind is refused, or this node would report success without an image. The constructor inspects
    the target too, so that a bad one is refused before anybody waits. It must still be the target that was
    `seen` before.
    """

    def __init__(
        self,
        path: str,
        policy: TargetPolicy,
        trusts_sender: bool = False,
        stdout: Optional[int] = None,
        measures: bool = False,
        seen: Optional[TargetFacts] = None,
    ) -> None:
        self.facts: Dict[str, Any] = {}
        if not path and not trusts_sender and not measures:
            expected = "the file or disk to write to, for the sender's word is nobody's (or --trust-sender-path)"
            raise UsageError("-O", path, expected)
        self._path = path
        self._policy = policy
        self._stdout = stdout
        self._measures = measures
        self._seen = seen
        if path and path != STANDARD:
            facts = inspect_target(os.path.abspath(path))
            self._check(facts, None)
            self.facts = facts.to_dict()

    def __call__(self, text: ClassicText) -> Target:
        """Open the target for the image that a dollytab announces. Raises Refused."""
        if (text.dummy is not None) != self._measures:
            found = "it measures the network (dummy)" if text.dummy is not None else "it sends an image"
            allow = "--dummy on this node" if text.dummy is not None else "this node without --dummy, and with -O"
            raise Refused("the run of this server", found, allow)
        opener = OutputOpener(self._check, self._stdout, resumes=False)
        target = opener.open(_plan_of(text), self._path or text.outfile)
        self.facts = target.facts.to_dict()
        target.prepare()
        return target

    def _check(self, facts: TargetFacts, size: Optional[int]) -> None:
        if size is not None:
            raise AssertionError("nobody knows the size before the end")
        check_same(facts, self._seen)
        check_target(facts, None, policy=self._policy)
        self._seen = facts


def _plan_of(text: ClassicText) -> Plan:
    """Translate a dollytab into a plan that has only the fields by which a target is chosen."""
    codec = next((codec for suffix, codec in _CODECS.items() if text.infile.endswith(suffix)), "gzip")
    kind = "compressed" if text.is_compressed_in else "plain" if text.dummy is None else "dummy"
    # With both, the server has compressed the archive once more: decompressing once gives what is stored.
    if text.is_compressed_out:
        codec = "gzip"
    return Plan(
        run_id="classic",
        nodes=(NodeSpec("server", "", 0),),
        fanout=1,
        image=Image(None, default_chunk_size(None)),
        verify="none",
        sync=True,
        timeouts=Timeouts(),
        infile=Infile(kind, codec=codec if text.is_compressed_in else ""),
        outfile=Outfile(split_size=text.split_out),
    )


def make_client(config: Mapping[str, Any], choose: TargetChooser, report: Any, write_log: Any) -> ClassicClient:
    """Create a client that listens. Raises UsageError if a port cannot be bound."""
    names = own_names()
    return ClassicClient(
        str(config.get("bind") or ""),
        hop_options(config),
        choose,
        lambda text, dialled: find_self(text, dialled, names),
        write_log,
        report,
    )


def describe(client: ClassicClient) -> Dict[str, Any]:
    """Return the status of a receiver, for its status file."""
    return {
        "state": client.state,
        "port": client.data_port,
        "pid": os.getpid(),
        "node": {"name": client.name, "held": client.flow.held, "total": client.flow.total},
    }


def result_of(client: ClassicClient, choose: TargetChooser) -> Dict[str, Any]:
    """Return the result of this node. Nothing was verified: only TCP protects the bytes on their way."""
    held = client.flow.held
    is_written = held > 0 or (client.store is not None and client.store.is_written)
    is_good = client.is_whole or isinstance(client.error, TableNotMoved)
    return {
        "state": "done" if client.is_whole else "failed",
        "changed": is_written or client.is_whole,
        "half_written": is_written and not is_good and choose.facts.get("kind") == "block",
        "bytes": held,
        "seconds": round(client.seconds, 3),
        "rate": round(held / client.seconds) if client.seconds else 0,
        "digest": "",
        "position": client.index + 1 if client.index >= 0 else None,
        "verified": False,
        "synced": client.is_whole and client.syncs and (client.store is None or client.store.is_lasting),
        "repaired": 0,
        "error": client.error.to_dict() if client.error is not None else None,
        "target": choose.facts,
        "notes": list(client.store.notes) if client.store is not None else [],
        "refused_connections": 0,
        "lost_children": list(client.lost),
    }
