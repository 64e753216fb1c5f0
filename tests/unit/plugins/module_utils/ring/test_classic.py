# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules check for a ring of originals."""

from __future__ import annotations

import pytest

pytest.importorskip("ansible", reason="ansible-core is not installed")

from ansible_collections.dolly.ring.plugins.module_utils.dolly.cli import entry
from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import UsageError
from ansible_collections.dolly.ring.plugins.module_utils.ring import classic

NODES = [{"name": "a", "host": "h", "port": 9998}, {"name": "b", "host": "i", "port": 9998}]


def test_every_mode_is_one_that_the_engine_knows():
    assert {mode for roles in classic.MODES.values() for mode in roles.values()} == set(entry._MODES)
    assert set(classic.spec()["protocol"]["choices"]) == set(classic.MODES)


def test_a_secret_is_needed_in_a_native_ring_alone():
    classic.require_native({"protocol": "classic", "secret": None}, ["secret"])
    classic.require_native({"protocol": "native", "secret": "x"}, ["secret"])
    with pytest.raises(UsageError, match="secret is 'missing'"):
        classic.require_native({"protocol": "native", "secret": None}, ["secret"])


@pytest.mark.parametrize("port", [0, 1])
def test_a_port_that_nobody_knows(port):
    classic.check_client({"port": 2})
    with pytest.raises(UsageError, match="beforehand"):
        classic.check_client({"port": port})


@pytest.mark.parametrize("change, reason", [
    ({"min_nodes": 1}, "needs all nodes"),
    ({"bmap": "/a.bmap"}, "all of the image"),
    ({"min_rate": 1}, "slowest node"),
    ({"min_rate": "1k"}, "slowest node"),
    ({"nodes": [NODES[0], dict(NODES[1], port=9999)]}, "same port"),
])  # fmt: skip
def test_what_a_classic_ring_cannot_do(change, reason):
    good = {"min_nodes": 2, "nodes": NODES}
    classic.check_server(good)
    classic.check_server({**good, "min_nodes": 0, "min_rate": "0"})
    with pytest.raises(UsageError, match=reason):
        classic.check_server({**good, **change})
