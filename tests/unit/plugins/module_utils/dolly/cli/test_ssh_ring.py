# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose word counts of a node that was started over ssh. Real ones: tests/integration/ring/test_ring_ssh.py."""

from __future__ import annotations

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.cli.ssh_ring import outweighed

DIGEST, OTHER = "ab" * 32, "cd" * 32
OWN = {"state": "done", "bytes": 7, "seconds": 1.0, "rate": 7, "digest": DIGEST, "synced": True, "verified": True}
ROW = {"name": "a", "state": "done", "bytes": 7, "verified": True, "error": None}
LOST = {"name": "a", "state": "lost", "bytes": 3, "verified": False, "error": {"message": "a: silent"}}


@pytest.mark.parametrize("row", [ROW, LOST])
@pytest.mark.parametrize("expected, state", [(DIGEST, "done"), (OTHER, "failed"), ("", "failed"), (None, "done")])
def test_a_node_is_done_with_the_image_of_the_server_alone(row, expected, state):
    told = outweighed(row, OWN, expected)
    assert (told["state"], told["verified"]) == (state, state == "done")
    assert (told["error"] or {}).get("kind") == (None if state == "done" else "WrongImage")


def test_a_keyed_digest_does_as_well():
    keyed = {**OWN, "digest": "", "keyed_digest": DIGEST}
    assert outweighed(LOST, keyed, DIGEST)["state"] == "done"
    assert outweighed(LOST, keyed, OTHER)["state"] == "failed"


def test_a_node_that_failed_is_not_done_whoever_says_so():
    own = {"state": "failed", "error": {"message": "no room"}}
    told = outweighed(ROW, own, DIGEST)
    assert (told["state"], told["verified"], told["error"]) == ("failed", False, {"message": "no room"})
    assert outweighed(LOST, own, DIGEST) == LOST and outweighed(ROW, None, DIGEST) == ROW


def test_a_node_that_the_server_knows_to_have_failed_stays_so():
    failed = {**LOST, "state": "failed"}
    assert outweighed(failed, OWN, DIGEST) == failed
