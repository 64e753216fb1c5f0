# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run prints without -v: it fits on a screen, and has nothing in it that nobody has asked for."""

from __future__ import annotations

import collections

from tests.integration.ansible.real_hosts import NAMES

SIX = NAMES[:6]
SCREEN = 50
ON_A_HOST = 3
ON_THE_CONTROL_NODE = 10


def test_six_hosts_fit_on_one_screen(rack):
    rack.use(*SIX)
    outcome = rack.clone("-l", "rack3")

    lines = outcome.output.strip().splitlines()
    assert len(lines) <= SCREEN, outcome.output
    assert max(len(line) for line in lines if not line.startswith(("included: ", "TASK", "n"))) <= 80
    assert "skipping" not in outcome.output and "Clone /srv/node.img from store to 6 hosts" in outcome.output
    assert {stats["skipped"] for stats in outcome.stats().values()} == {0}
    assert {stats["changed"] for stats in outcome.stats().values()} == {1}

    of_host = collections.Counter(event["host"] for event in outcome.events if event["status"] == "ok")
    shared = of_host[SIX[0]] - of_host[SIX[1]]
    assert max(of_host[name] for name in SIX[1:]) <= ON_A_HOST and shared <= ON_THE_CONTROL_NODE
