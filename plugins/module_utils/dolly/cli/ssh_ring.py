# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The receivers of a run that were started over ssh, all of them together."""

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
#: What a server says of a node that it lost sight of; the node's own word outweighs that.
_UNSEEN = ("lost", "unreachable")


class SshRing:
    """Starts them, reads along while the run goes on, and leaves nothing behind. To be used with `with`."""

    def __init__(self, login: str, options: Sequence[str], log: Callable[[str], None]) -> None:
        self._user = login.rstrip("@")
        self._options = options
        self._log = log
        self._machines: List[Machine] = []
        #: Why those did not start that the run goes on without, by host.
        self.failed: Dict[str, DollyError] = {}

    def __enter__(self) -> SshRing:
        return self

    def __exit__(self, *_details: Any) -> None:
        self._each(lambda machine: machine.close())

    def start(self, nodes: Sequence[Dict[str, Any]], min_nodes: int, key: bytes) -> List[Dict[str, Any]]:
        """Start a receiver on every node; the nodes that have one, with its port.

        `key` is one line of text. Raises UsageError for names that ssh may take for something else, Refused without any
        ssh here, NotEnoughNodes with the reasons when fewer than `min_nodes` (0: all) do.
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
        """Read what the receivers say, so that none of them waits for that."""
        for machine in self._machines:
            machine.poll()

    def collect(
        self, result: Dict[str, Any], asked: Sequence[Dict[str, Any]], has_digests: bool
    ) -> List[Dict[str, Any]]:
        """The rows of all nodes that were asked for, in that order, each receiver's own result in `own`.

        `result`: of the server. `has_digests`: whether the image of a node can be, and is, compared with the server's.
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
        """Do it on all at once; who failed, and why."""
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
    """What became of a node: the server's word, outweighed by the node's `own` where that knows better.

    `expected`: the digest of the server's image, empty where that is not known; None in a run without digests.
    """
    if not own or (own.get("state") == "done" and row["state"] not in (*_UNSEEN, "done")):
        return row
    if own.get("state") != "done":
        # Another node may have told the server so.
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
