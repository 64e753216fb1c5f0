# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role with dolly_ring_protocol: classic, between nodes of this collection."""

from __future__ import annotations

import pytest

from ansible_collections.dolly.ring.tests.integration.ring.networks import Loopback


@pytest.fixture
def classic_lab(lab):
    """Hosts with an address each, all on the same two ports: that is how originals find each other."""
    network = Loopback()
    lab.write_inventory(
        {"rack3": {"n%d" % number: {"dolly_ring_address": network.address(number)} for number in (1, 2, 3)}},
        dolly_ring_port=network.port,
        dolly_ring_server_port=0,
        dolly_ring_protocol="classic",
        dolly_ring_bind="{{ dolly_ring_address }}",
    )
    return lab


def test_a_classic_ring(classic_lab):
    log = classic_lab.folder / "statistics"
    outcome = classic_lab.clone("-l", "rack3", "-e", "dolly_ring_statistics_log=%s" % log)
    assert classic_lab.copies() == {"n1", "n2", "n3"}
    assert log.read_text().splitlines()[1].split()[2] == "3"  # clients
    assert classic_lab.left_over() == []
    results = outcome.results()
    assert {name: results[name]["position"] for name in ("n1", "n2", "n3")} == {"n1": 1, "n2": 2, "n3": 3}
    for name in ("n1", "n2", "n3"):
        assert results[name]["state"] == "done" and results[name]["changed"] and results[name]["synced"]
        assert results[name]["verified"] is False
    nodes = outcome.task("Stream the image through the ring")["n1"]["nodes"]
    assert [(node["name"], node["state"], node["verified"]) for node in nodes] == [
        ("n1", "done", False), ("n2", "done", False), ("n3", "done", False)
    ]  # fmt: skip


def test_what_is_checked_before(classic_lab):
    outcome = classic_lab.clone("-l", "rack3", "-e", "dolly_ring_checksum=sha256:" + "0" * 64, code=2)
    assert outcome.failed() == {"n1", "n2", "n3"}
    assert "not the image that was expected" in outcome.output
    assert classic_lab.copies() == set() and classic_lab.left_over() == []
