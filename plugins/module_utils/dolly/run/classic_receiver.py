# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A receiver in a ring of originals: writes only where its own user said, and says that nothing was verified."""

from __future__ import annotations

import os
from typing import Any, Dict, Mapping

from ..errors import Refused, UsageError
from ..plan.classic import ClassicText
from ..relay.classic_client import ClassicClient
from ..storage.base import Target
from ..storage.facts import TargetPolicy
from ..storage.target import check_target, inspect_target, open_target
from .classic_process import StatusFile, find_self, hop_options, own_names, stop_on_signals
from .rundir import RunDir
from .serve import log, serve


def main(path: str) -> int:
    """Run the receiver that a run directory describes."""
    return serve(path, _receive)


def _receive(rundir: RunDir, config: Dict[str, Any], _secret: bytes) -> Dict[str, Any]:
    choose = TargetChooser(str(config.get("target") or ""), TargetPolicy(**(config.get("policy") or {})))
    client = make_client(config, choose, StatusFile(rundir, describe), log)
    stop_on_signals(client)
    client.run()
    return result_of(client, choose)


class TargetChooser:
    """Opens the target, having looked at it. `path` empty: where the sender says, which anybody may be.

    Looks at once, too, so that what would be refused is refused before anybody waits. Raises Refused, UsageError.
    """

    def __init__(self, path: str, policy: TargetPolicy, trusts_sender: bool = False) -> None:
        self.facts: Dict[str, Any] = {}
        if not path and not trusts_sender:
            expected = "the file or disk to write to, for the sender's word is nobody's (or --trust-sender-path)"
            raise UsageError("-O", path, expected)
        self._path = os.path.abspath(path) if path else ""
        self._policy = policy
        if self._path:
            self._look(self._path)

    def __call__(self, text: ClassicText) -> Target:
        """Open it for the image that a dollytab announces."""
        for what, is_asked in (("decompressed", text.is_compressed_in), ("split", text.split_out > 0)):
            if is_asked:
                raise Refused("the dollytab", "its image is to be %s, which a classic receiver cannot do yet" % what)
        path = self._path or os.path.abspath(text.outfile)
        self._look(path)
        target = open_target(path)
        target.prepare()
        return target

    def _look(self, path: str) -> None:
        facts = inspect_target(path)
        self.facts = facts.to_dict()
        check_target(facts, None, policy=self._policy)


def make_client(config: Mapping[str, Any], choose: TargetChooser, report: Any, write_log: Any) -> ClassicClient:
    """A client that listens. Raises UsageError when a port cannot be had."""
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
    """The status of a receiver, for its status file."""
    return {
        "state": client.state,
        "port": client.data_port,
        "pid": os.getpid(),
        "node": {"name": client.name, "held": client.flow.held, "total": client.flow.total},
    }


def result_of(client: ClassicClient, choose: TargetChooser) -> Dict[str, Any]:
    """How it went on this node. What was received is what was sent, as far as TCP tells: nothing was verified."""
    held = client.flow.held
    return {
        "state": "done" if client.is_whole else "failed",
        "changed": held > 0 or client.is_whole,
        "bytes": held,
        "seconds": round(client.seconds, 3),
        "rate": round(held / client.seconds) if client.seconds else 0,
        "digest": "",
        "position": client.index + 1 if client.index >= 0 else None,
        "verified": False,
        "synced": client.is_whole,
        "repaired": 0,
        "error": client.error.to_dict() if client.error is not None else None,
        "target": choose.facts,
        "notes": list(client.store.notes) if client.store is not None else [],
        "refused_connections": 0,
        "lost_children": list(client.lost),
    }
