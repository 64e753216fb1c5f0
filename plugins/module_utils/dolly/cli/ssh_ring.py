# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""All receivers of a run that were started over ssh."""

from __future__ import annotations

import concurrent.futures
import os
import tempfile
from typing import Any, Callable, Dict, List, Optional, Sequence

from ..errors import DollyError, NotEnoughNodes, WrongImage
from ..run.archive import write_engine
from .ssh import Machine, reasons
from .ssh_transport import check_names, make_transport

_AT_ONCE = 16
#: States in which the server has lost sight of a node; the node's own result then takes precedence.
_UNSEEN = ("lost", "unreachable")


class SshRing:
    """Starts receivers, reads their output during the run, and cleans up. To be used with `with`."""

    def __init__(self, login: str, options: Sequence[str], log: Callable[[str], None]) -> None:
        self._user = login.rstrip("@")
        self._options = options
        self._log = log
        self._machines: List[Machine] = []
        #: Why clients did not start, by host; the run goes on without them.
        self.failed: Dict[str, DollyError] = {}

    def __enter__(self) -> SshRing:
        return self

    def __exit__(self, *_details: Any) -> None:
        self._each(lambda machine: machine.close())

    def start(self, nodes: Sequence[Dict[str, Any]], min_nodes: int, key: bytes) -> List[Dict[str, Any]]:
        """Start a receiver on every node. Returns the nodes on which a receiver started, with its port.

        `key` is one line of text. Raises UsageError for names that ssh could misread, Refused if there is no
        ssh on this machine, and NotEnoughNodes with the reasons if fewer than `min_nodes` (0: all) receivers
        start.
        """
        hosts = [str(node["host"]) for node in nodes]
        check_names(self._user, hosts)
        self._machines = [Machine(host, make_transport(host, self._user), self._options, self._log) for host in hosts]
        self._log("starting %d clients over ssh" % len(hosts))
        handle, engine = tempfile.mkstemp(suffix=".pyz")
        os.close(handle)
        try:
            write_engine(engine)
            with open(engine, "rb") as file:
                packed = file.read()
        finally:
            os.unlink(engine)
        failed = self._each(lambda machine: machine.start(packed, key))
        started = {machine.name: machine.port for machine in self._machines if machine.name not in failed}
        needed = min_nodes or len(nodes)
        if len(started) < needed or not started:
            raise NotEnoughNodes(len(started), max(needed, 1), reasons(failed))
        for reason in reasons(failed):
            self._log("going on without a node: %s" % reason)
        self.failed = failed
        return [dict(node, port=started[node["host"]]) for node in nodes if node["host"] in started]

    def poll(self) -> None:
        """Read the output of the receivers, so that none of them blocks on a full pipe."""
        for machine in self._machines:
            machine.poll()

    def collect(
        self, result: Dict[str, Any], asked: Sequence[Dict[str, Any]], has_digests: bool
    ) -> List[Dict[str, Any]]:
        """Return the rows of all `asked` nodes, in that order, each with the receiver's own result in `own`.

        `result`: the server's. `has_digests`: whether digests of nodes are compared with the server's.
        """
        found: Dict[str, Any] = {}

        def finish(machine: Machine) -> None:
            found[machine.name] = machine.finish()

        self._each(finish)
        by_name = {row["name"]: row for row in result["nodes"]}
        expected = _digest_of(result) if has_digests else None
        return [self._row(by_name, node, found.get(node["host"]), expected) for node in asked]

    def _row(
        self, by_name: Dict[str, Any], node: Dict[str, Any], own: Optional[Dict[str, Any]], expected: Optional[str]
    ) -> Dict[str, Any]:
        row = by_name.get(node["name"])
        if row is None:
            error = self.failed[node["host"]].to_dict()
            return {"name": node["name"], "position": None, "state": "unreachable", "error": error, "own": None}
        return dict(outweighed(row, own, expected), own=own)

    def _each(self, work: Callable[[Machine], None]) -> Dict[str, DollyError]:
        """Call `work` for all machines in parallel. Returns the errors by name of the machine."""
        failed: Dict[str, DollyError] = {}
        with concurrent.futures.ThreadPoolExecutor(_AT_ONCE) as pool:
            waits = {pool.submit(work, machine): machine for machine in self._machines}
            for wait in concurrent.futures.as_completed(waits):
                error = wait.exception()
                if isinstance(error, DollyError):
                    failed[waits[wait].name] = error
                elif error is not None:
                    raise error
        return failed


def outweighed(row: Dict[str, Any], own: Optional[Dict[str, Any]], expected: Optional[str]) -> Dict[str, Any]:
    """Combine the server's row of a node with the node's `own` result where the node knows better.

    `expected`: the digest of the server's image, empty if unknown; None in a run without digests.
    """
    if not own or (own.get("state") == "done" and row["state"] not in (*_UNSEEN, "done")):
        return row
    if own.get("state") != "done":
        # Another node may have reported to the server that this node is done.
        is_told = row["state"] == "done"
        return dict(row, state="failed", verified=False, error=own.get("error")) if is_told else row
    if expected is not None and (_digest_of(own) != expected or not expected):
        error = WrongImage(row["name"], _digest_of(own), expected)
        return dict(row, state="failed", verified=False, error=error.to_dict())
    if row["state"] not in _UNSEEN:
        return row
    told = ("state", "bytes", "seconds", "rate", "digest", "synced", "verified")
    return dict(row, error=None, **{name: own[name] for name in told if name in own})


def _digest_of(result: Dict[str, Any]) -> str:
    return str(result.get("digest") or result.get("keyed_digest") or "")
