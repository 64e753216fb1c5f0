# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the log of a node says of its neighbours, to a person."""

from __future__ import annotations

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.recovery import healer as heal
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay import log_text
from ansible_collections.dolly.ring.plugins.module_utils.dolly.wire.messages import Bye

GONE = heal.ChildGone(2, "unreachable", "no way there", (3,))
CASES = [
    (heal.SetUp((1, 2)), [heal.DialChild(1, False), heal.DialChild(2, False)], ["connecting to n1, n2"]),
    (GONE, [heal.DeclareChild(2, "unreachable", "no way there"), heal.DialChild(3, True)],
     ["n2 cannot be reached: no way there", "taking over n3: its parent n2 is gone"]),
    (heal.ChildGone(2, "lost", "silent"), [heal.DeclareChild(2, "lost", "silent")], ["n2 is lost: silent"]),
    (heal.Knocked(3), [heal.DropChild(3), heal.DialChild(3, True)], ["taking over n3: it asked for a parent"]),
    (heal.ChildFellBehind(2, "2 MB/s"), [heal.DemoteChild(2), heal.DialChild(3, True)],
     ["n2 has no children any more, because it holds them up: 2 MB/s", "taking over n3: its parent n2 is too slow"]),
    (heal.Ticked(), [heal.KnockAt(0)], ["asking n0 to become the parent of this node"]),
    (heal.MadeLeaf(), [heal.DropChild(3)], ["n3 is left to another parent"]),
    (heal.Ticked(), [heal.GiveUp("in time")], []),
]  # fmt: skip


@pytest.mark.parametrize("event, actions, lines", CASES, ids=str)
def test_what_a_node_does(event, actions, lines):
    assert log_text.actions(event, actions, lambda rank: "n%d" % rank) == lines


def test_how_a_child_ended_is_told_once():
    assert log_text.child_gone("n1", "finished", "it is done") == "n1 is done"
    # A child that is given up before it is linked has ended, too, but has said nothing of itself.
    assert log_text.child_gone("n1", "finished", "failed") == ""
    assert log_text.child_gone("n1", "failed", "no room") == "n1 failed: no room"
    assert log_text.child_gone("n1", "lost", "silent") == "" == log_text.child_gone("n1", "unreachable", "no way")


def test_success_is_no_loss():
    assert log_text.parent_gone("n1", "", Bye("finished")) == "the parent n1 has heard that this node is done"
    assert "lost the parent n1: silent" == log_text.parent_gone("n1", "silent", None)
    assert "lost" not in log_text.parent_gone("n1", "", Bye("aborted"))
    assert log_text.parent_gone("n1", "", Bye("ejected")).endswith("it gave this node up")
    assert log_text.goodbye_of("news") == "it said goodbye: news"
