# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run of the ring whose nodes are watched from outside: what each holds, and for how long it held no more.

What a node holds is the blocks that its target takes, looked at every 20 ms. A stall is a span in which they do not
grow, up to the node's last byte.
"""

from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Callable, Dict, List, Sequence, Tuple

from ansible_collections.dolly.ring.tests.integration.ring.images import allocated, digest
from ansible_collections.dolly.ring.tests.integration.ring.networks import call
from ansible_collections.dolly.ring.tests.integration.ring.rack import Rack

_INTERVAL_S = 0.02
_LONGEST_S = 120.0


class Run:
    """Node 0 is the server, 1 to `nodes` are a chain behind it. Starts at once."""

    def __init__(self, rack: Rack, image: Path, nodes: int) -> None:
        self.rack = rack
        self.last = nodes
        self.size = image.stat().st_size
        self.fault_at = 0.0
        #: What a cell has counted on the way.
        self.seen: Dict[str, int] = {}
        #: For each node the times at which it had grown, and what it held then.
        self.grown: Dict[int, List[Tuple[float, int]]] = {index: [] for index in range(1, nodes + 1)}
        self._sent_before = self._counted()
        rack.next_run()
        rack.start_clients(nodes)
        rack.start_server(image)

    def look(self) -> None:
        """Note what each node holds now."""
        now = time.monotonic()
        for index, grown in self.grown.items():
            held = max(allocated(self.rack.partial(index)), allocated(self.rack.target(index)))
            if held > self.held(index):
                grown.append((now, held))

    def watch(self, condition: Callable[[], bool], longest_s: float = _LONGEST_S) -> bool:
        """Look until the condition holds; whether it came to that."""
        give_up_at = time.monotonic() + longest_s
        while not condition():
            if time.monotonic() > give_up_at or self.rack.server.code is not None:
                return condition()
            self.look()
            time.sleep(_INTERVAL_S)
        self.look()
        return True

    def disturb(self, part: float, fault: Callable[[], None]) -> None:
        """Do it as soon as the last node holds that part of the image."""
        if not self.watch(lambda: self.held(self.last) >= part * self.size):
            raise RuntimeError("the run never got to %d %%:\n%s" % (part * 100, self.rack.report()))
        self.fault_at = time.monotonic()
        fault()

    def held(self, index: int) -> int:
        """Bytes."""
        return self.grown[index][-1][1] if self.grown[index] else 0

    def held_at(self, index: int, when: float) -> int:
        """Bytes, at a time of the past."""
        return max((held for at, held in self.grown[index] if at <= when), default=0)

    def last_byte_after(self, index: int) -> float:
        """Seconds from the first byte of the first node to the last byte of this one."""
        if self.held(index) < self.size:
            return float("inf")
        return self.grown[index][-1][0] - self.grown[1][0][0]

    def longest_stall(self, indices: Sequence[int], is_before: bool = False) -> Tuple[float, int]:
        """Seconds, and of which node: of the stalls that ended after the fault, or of those that ended before."""
        found = (0.0, 0)
        for index in indices:
            times = [at for at, _held in self.grown[index]]
            for begun_at, ended_at in zip(times, times[1:]):
                if (ended_at <= self.fault_at) == is_before:
                    found = max(found, (ended_at - begun_at, index))
        return found

    def sent(self) -> int:
        """Bytes that left the server's interface in this run, headers and all."""
        return self._counted() - self._sent_before

    def foster_parents(self, orphan: int) -> List[int]:
        """Which nodes adopted this one, by their logs."""
        clients = {0: self.rack.server, **self.rack.clients}
        action = "taking over %s: " % self.rack.address(orphan)
        return sorted(index for index, one in clients.items() for _line in re.findall(re.escape(action), one.log))

    def check(self, image: Path, survivors: Sequence[int]) -> None:
        """All of them say that they are done and verified, and have the image."""
        self.watch(lambda: False)  # until the server has ended
        if self.rack.server.code is None:
            raise RuntimeError("the server did not end:\n" + self.rack.report())
        rows, expected = self.rack.rows(), digest(image)
        with ThreadPoolExecutor(2) as pool:
            digests = dict(zip(survivors, pool.map(digest, map(self.rack.target, survivors))))
        for index in survivors:
            if rows[index].state != "done" or not rows[index].verified or digests[index] != expected:
                raise RuntimeError("node %d has no good copy:\n%s" % (index, self.rack.report()))

    def _counted(self) -> int:
        return int(call(*self.rack.network.command(0, ["cat", "/sys/class/net/eth0/statistics/tx_bytes"])))
