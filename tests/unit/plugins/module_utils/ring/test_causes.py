# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.dolly.ring.plugins.module_utils.ring import causes

FULL = {"kind": "TargetError", "fault": "node", "message": "disk full."}
LOST = {"kind": "PeerLost", "fault": "peer", "message": "lost its parent"}


def node(name, state="failed", error=None):
    return {"name": name, "state": state, "error": error}


def test_culprits_are_told_before_those_that_they_took_along():
    nodes = [node("a", error=LOST), node("b", error=FULL), node("c", "done"), node("d", "lost", LOST)]
    assert causes.of_nodes(nodes) == {"b": "disk full.", "d": "lost its parent"}
    assert causes.of_nodes(nodes[:1]) == {"a": "lost its parent"}
    assert causes.of_nodes([node("a", "waiting")]) == {"a": "it is waiting, and nobody knows why"}


def test_a_cause_is_told_once_and_of_very_many_the_first():
    assert causes.together({"a": "x.", "b": "y", "c": "x"}) == "a, c: x. b: y."
    told = causes.together({"n%d" % number: "cause %d" % number for number in range(9)})
    assert "n4: cause 4." in told and "n5" not in told and told.endswith("4 more causes are told by the other hosts.")
    assert causes.names(list("abcdefg")) == "a, b, c, d, e and 2 more"
