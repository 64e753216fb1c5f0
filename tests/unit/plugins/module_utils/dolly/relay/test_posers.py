# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attacks by a node that knows the secret of the run, as every node does: what it can do, and to whom."""

from __future__ import annotations

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.run.receiver import result_of as member_result
from ansible_collections.dolly.ring.plugins.module_utils.dolly.run.sender import describe
from ansible_collections.dolly.ring.plugins.module_utils.dolly.run.sender import result_of as root_result
from ansible_collections.dolly.ring.plugins.module_utils.dolly.run.sshring import outweighed
from ansible_collections.dolly.ring.tests.unit.plugins.module_utils.dolly.relay.relay_doubles import (
    IMAGE,
    make_image,
    slow,
    until,
)

LEVELS = pytest.mark.parametrize("verify", ["readback", "mac"])


def digest_of(result):
    return result["digest"] or result["keyed_digest"]


@LEVELS
def test_a_node_that_was_fed_by_a_poser_is_not_done(ring, verify):
    """It cannot tell the two servers apart, for both have the secret. The digest of the right one can."""
    server = root_result(ring(count=1, verify=verify).join().root.node)
    fed = ring(make_image(len(IMAGE), seed=99), count=1, verify=verify).join()
    own = member_result(fed.members[1].node)
    assert (own["state"], own["changed"], own["verified"]) == ("done", True, True)
    unseen = {**server["nodes"][0], "state": "lost"}
    assert outweighed(unseen, own, digest_of(server))["state"] == "failed"
    assert outweighed(unseen, own, digest_of(root_result(fed.root.node)))["state"] == "done"


@LEVELS
def test_the_server_believes_no_node_with_another_image(ring, verify):
    bench = ring(verify=verify, targets={3: slow(0)})
    word, change = bench.members[2].node._word, bench.members[2].node._word.change
    word.change = lambda **changes: change(**{**changes, **({"digest": "ab" * 32} if "digest" in changes else {})})
    until(lambda: bench.targets[3].store is not None and bench.targets[3].store.reached.is_set())
    bench.targets[3].store.released.set()
    bench.join()
    result = root_result(bench.root.node)
    assert (result["state"], bench.states) == ("partial", ["done", "failed", "done"])
    node = result["nodes"][1]
    assert (node["verified"], node["error"]["kind"]) == (False, "WrongImage")
    assert "n2 holds another image than the server's (digest abab" in node["error"]["message"]


@LEVELS
def test_the_digest_can_be_had_from_a_server_that_dies_before_its_result(ring, verify):
    bench = ring(count=1, verify=verify).join()
    status, own = describe(bench.root.node), member_result(bench.members[1].node)
    assert digest_of(status) == digest_of(own) == digest_of(root_result(bench.root.node)) != ""
    assert (own["digest"] == "") == (verify == "mac")


def test_without_digests_there_is_nothing_to_compare(ring):
    bench = ring(count=1, verify="none").join()
    result = root_result(bench.root.node)
    assert (result["state"], result["digest"], result["keyed_digest"]) == ("done", None, None)
    assert result["nodes"][0]["verified"] is member_result(bench.members[1].node)["verified"] is False
