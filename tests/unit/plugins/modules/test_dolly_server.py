# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the module decides from what a run directory says. Real runs: tests/integration/ansible."""

from __future__ import annotations

import pytest

pytest.importorskip("ansible", reason="ansible-core is not installed")

from ansible_collections.dolly.ring.plugins.modules import dolly_server
from ansible_collections.dolly.ring.tests.unit.plugins.module_utils.server_options import params_for
from ansible_collections.dolly.ring.tests.unit.plugins.modules.run_doubles import Clock, Folder


def wait(folder, timeout_s=0.0):
    clock = Clock()
    try:
        return dolly_server.await_result(folder, timeout_s, clock=clock, sleep=clock.sleep), clock.now_s
    except dolly_server.engine_process.TaskFailed as failure:
        return failure, clock.now_s


def test_polling_slows_down_and_ends_with_the_result():
    script = [{"is_running": True}] * 100 + [{"is_running": False, "result": {"state": "done"}}]
    result, waited_s = wait(Folder(*script))
    assert result == {"state": "done"}
    assert 90 < waited_s < 100 * dolly_server.POLL_LAST_S


def test_a_sender_that_died_is_told_with_what_it_had_done():
    status = {"nodes": [{"name": "n1", "state": "receiving", "rate": 2000000}]}
    failure, dummy = wait(Folder({"is_running": True}, {"status": status}))
    assert "without a result" in str(failure)
    assert failure.returned["state"] == "unknown" and failure.returned["log"] == ["the last words"]
    assert failure.returned["nodes"] == [{"name": "n1", "state": "receiving", "rate_mb_s": 2.0}]


def test_a_timeout_says_that_the_sender_runs_on():
    failure, waited_s = wait(Folder({"is_running": True}), timeout_s=5.0)
    assert "runs on" in str(failure) and 5 <= waited_s < 7


def result(state, *nodes, **more):
    return {"state": state, "bytes": 10, "seconds": 2.0, "rate": 5, "nodes": list(nodes), "error": None, **more}


def finish(outcome):
    return dolly_server.finish(params_for(), Folder({"result": outcome}), False)


def test_a_partial_run_is_a_success_whose_nodes_tell():
    nodes = [{"name": "n1", "state": "done", "bytes": 10}, {"name": "n2", "state": "lost", "error": {"message": "x"}}]
    returned = finish(result("partial", *nodes))
    assert returned["changed"] is True and returned["msg"] == "sent 10 bytes to 1 of 2 nodes in 2.0 s"
    assert [node["state"] for node in returned["nodes"]] == ["done", "lost"]


def test_a_server_that_nobody_can_reach_is_told():
    assert "no node could reach the server" in finish(result("done", server_reachable=False))["msg"]


def test_what_limited_the_run_is_told():
    told = {"limited_by": "n1 target write (8.0 of 9.0 s)", "times": {"read": 1.5}}
    returned = finish(result("done", {"name": "n1", "state": "done", "times": {"write": 8.0}}, **told))
    assert returned["limited_by"] == told["limited_by"] and returned["times"] == {"read": 1.5}
    assert returned["nodes"][0]["times"] == {"write": 8.0}
    assert returned["msg"] == "sent 10 bytes to 1 of 1 nodes in 2.0 s, limited by n1 target write (8.0 of 9.0 s)"


def test_a_run_that_nothing_held_up_says_nothing_of_it():
    returned = finish(result("done", limited_by=""))
    assert returned["limited_by"] == "" and returned["times"] == {} and "limited" not in returned["msg"]


def test_a_run_that_no_node_came_through_names_them_as_its_reason():
    """As where a compressed image is larger than the disk of its only node: the server itself has met no error."""
    full = {"kind": "TargetError", "fault": "node", "message": "no space left"}
    nodes = [{"name": "n1", "state": "failed", "error": full}, {"name": "n2", "state": "failed", "error": full}]
    with pytest.raises(dolly_server.engine_process.TaskFailed) as caught:
        finish(result("failed", *nodes))
    assert str(caught.value) == "no node holds the image. n1, n2: no space left."


def test_a_failed_run_is_a_failure_with_its_nodes():
    error = {"kind": "SourceChanged", "message": "the source changed"}
    with pytest.raises(dolly_server.engine_process.TaskFailed, match="the source changed") as caught:
        finish(result("failed", {"name": "n1", "state": "failed"}, error=error))
    assert caught.value.returned["nodes"][0]["name"] == "n1"
    assert caught.value.returned["error"] == error and caught.value.returned["changed"] is False
