# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where nodes live: network namespaces on one bridge, or addresses of the loopback interface."""

from __future__ import annotations

import os
import subprocess
from types import TracebackType
from typing import List, Optional, Type

PORT = 9900
_PREFIX = "dolly-bench-"
_TIMEOUT_S = 30.0


def _run(*command: str) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=_TIMEOUT_S, stdin=subprocess.DEVNULL, check=False
    )
    if done.returncode:
        raise RuntimeError("%s: %s" % (" ".join(command), done.stderr.strip()))
    return done.stdout


class Loopback:
    """Ranks 0 to `nodes` on 127.0.0.0/8, each with a port of its own. Needs no root."""

    title = "loopback"
    can_shape = False

    def __init__(self, nodes: int) -> None:
        self.nodes = nodes

    def __enter__(self) -> Loopback:
        return self

    def __exit__(self, *_ignored: object) -> None:
        pass

    def address(self, rank: int) -> str:
        return "127.0.0.%d" % (rank + 1)

    def prefix(self, rank: int) -> List[str]:
        """What to put before a command that is to run as that rank."""
        return []

    def shape(self, mbit: int) -> None:
        """Nothing can be limited here."""


class Namespaces:
    """Ranks 0 to `nodes`, each in a namespace of its own, and one more that holds the bridge. Needs root."""

    title = "network namespaces on a bridge"
    can_shape = True

    def __init__(self, nodes: int) -> None:
        self.nodes = nodes
        self._made: List[str] = []
        self._shaped = 0

    def __enter__(self) -> Namespaces:
        sweep()
        try:
            self._make()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self._remove()

    def address(self, rank: int) -> str:
        return "10.99.0.%d" % (rank + 1)

    def prefix(self, rank: int) -> List[str]:
        """What to put before a command that is to run as that rank."""
        return ["ip", "netns", "exec", self._name(str(rank))]

    def shape(self, mbit: int) -> None:
        """Limit both ends of every link to `mbit`; 0 takes the limit away."""
        if mbit == self._shaped:
            return
        for rank in range(self.nodes + 1):
            for name, device in ((self._name(str(rank)), "eth0"), (self._name("bridge"), "port%d" % rank)):
                command = ["tc", "-n", name, "qdisc", "replace" if mbit else "delete", "dev", device, "root"]
                if mbit:
                    # A burst has to hold what segmentation offload makes one packet of: 64 KiB.
                    command += ["tbf", "rate", "%dmbit" % mbit, "burst", "256kb", "latency", "50ms"]
                _run(*command)
        self._shaped = mbit

    def _name(self, what: str) -> str:
        return "%s%d-%s" % (_PREFIX, os.getpid(), what)

    def _make(self) -> None:
        bridge = self._add("bridge")
        _run("ip", "-n", bridge, "link", "add", "bridge0", "type", "bridge")
        _run("ip", "-n", bridge, "link", "set", "bridge0", "up")
        for rank in range(self.nodes + 1):
            name, port = self._add(str(rank)), "port%d" % rank
            _run(
                "ip", "-n", bridge, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", name
            )
            _run("ip", "-n", bridge, "link", "set", port, "master", "bridge0", "up")
            _run("ip", "-n", name, "address", "add", self.address(rank) + "/24", "dev", "eth0")
            _run("ip", "-n", name, "link", "set", "eth0", "up")
            _run("ip", "-n", name, "link", "set", "lo", "up")

    def _add(self, what: str) -> str:
        name = self._name(what)
        _run("ip", "netns", "add", name)
        self._made.append(name)
        return name

    def _remove(self) -> None:
        while self._made:
            subprocess.run(["ip", "netns", "delete", self._made.pop()], check=False, timeout=_TIMEOUT_S)


def sweep() -> None:
    """Remove the namespaces of a benchmark that was killed."""
    for line in _run("ip", "netns", "list").splitlines():
        name = line.split()[0] if line.strip() else ""
        owner = name[len(_PREFIX) :].partition("-")[0] if name.startswith(_PREFIX) else ""
        if owner.isdigit() and not os.path.exists("/proc/" + owner):
            subprocess.run(["ip", "netns", "delete", name], check=False, timeout=_TIMEOUT_S)
