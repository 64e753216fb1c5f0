# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""-a: what counts as moving, before the first byte and after it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import UsageError
from ansible_collections.dolly.ring.plugins.module_utils.dolly.run.watchdog import Watchdog

LIMIT_S = 5.0


class Bench:
    """A node with one snapshot on its board, and a clock that is set by hand."""

    def __init__(self):
        self.now = 100.0
        self.snapshot = SimpleNamespace(rank=1, state="unheard", held=0, verified=0)
        self.stopped = []
        reactor = SimpleNamespace(now=lambda: self.now)
        self.node = SimpleNamespace(
            is_leaving=False,
            is_working=False,
            context=SimpleNamespace(reactor=reactor),
            board=SimpleNamespace(all=lambda: [self.snapshot]),
            stop=self.stopped.append,
        )
        self.watchdog = Watchdog(lambda node: None, LIMIT_S)
        self.watchdog(self.node)

    def after(self, seconds, **changes):
        vars(self.snapshot).update(changes)
        self.now += seconds
        self.watchdog(self.node)
        return len(self.stopped)


@pytest.mark.parametrize("state, held, verified", [
    ("waiting", 0, 0), ("ready", 0, 0), ("receiving", 4096, 0), ("verifying", 9000, 4096), ("flushing", 9000, 9000),
])
def test_it_ends_a_node_at_every_stage(state, held, verified):
    bench = Bench()
    assert bench.after(LIMIT_S - 1, state=state, held=held, verified=verified) == 0
    assert bench.after(LIMIT_S) == 0  # not longer than the limit
    assert bench.after(0.1) == 1
    assert "-a" in str(bench.stopped[0].fields) and bench.after(2 * LIMIT_S) == 1


@pytest.mark.parametrize("change", [{"held": 1}, {"verified": 1}, {"state": "receiving"}])
def test_whatever_moves_starts_the_time_again(change):
    bench = Bench()
    assert bench.after(LIMIT_S, **change) == 0
    assert bench.after(LIMIT_S) == 0
    assert bench.after(0.1) == 1


def test_a_node_that_works_on_its_own_disk_is_left_to_it():
    bench = Bench()
    bench.node.is_working = True
    assert bench.after(10 * LIMIT_S) == 0
    bench.node.is_working = False
    assert bench.after(LIMIT_S) == 0
    assert bench.after(0.1) == 1


@pytest.mark.parametrize("limit_s", [0, -1, float("nan"), float("inf")])
def test_what_is_no_limit(limit_s):
    with pytest.raises(UsageError, match="-a"):
        Watchdog(lambda node: None, limit_s)
