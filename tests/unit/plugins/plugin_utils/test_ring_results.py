# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import dataclasses
import json

import pytest

from ansible_collections.dolly.ring.plugins.plugin_utils import report, ring_results, ring_words

RUN = {"id": "r1", "server": "head", "nodes": ["a", "b"], "expected": ["a", "b"]}
STARTED = {"run_id": "r1", "node": {"name": "a"}, "address": "10.0.0.1", "address_rule": "interface", "port": 9998}
DIGEST = "ab" * 32
GOOD = {"run_id": "r1", "bytes": 7, "synced": True, "verified": True, "changed": True, "position": 1, "msg": "7 bytes",
        "digest": DIGEST}  # fmt: skip
LOG = ["l%d" % number for number in range(30)]
BAD = {"run_id": "r1", "bytes": 3, "synced": False, "changed": True, "msg": "disk full", "log": LOG}
SEEN = {"name": "a", "state": "done", "bytes": 7, "position": 1, "verified": True}
HEARD = ring_results.Heard(
    run=RUN,
    image={"source": {"path": "/i"}},
    ring={"nodes": [{"name": "a"}, {"name": "b"}], "problem": ""},
    stream={"state": "done", "nodes": [SEEN], "msg": "sent", "digest": DIGEST},
    started={"a": STARTED, "b": {**STARTED, "node": {"name": "b"}}},
    collected={"a": GOOD, "b": {**BAD}},
    cleaned={"a": {"run_id": "r1", "clean": True}, "b": {"run_id": "r1", "clean": True}},
    causes={},
)


def told(host="a", **changes):
    return ring_results.result_of(host, dataclasses.replace(HEARD, **changes))


def test_the_nodes_own_word_counts():
    assert told()["state"] == "done" and told()["bytes"] == 7 and told()["address"] == "10.0.0.1"
    assert told(stream={"state": "failed", "msg": "lost sight", "digest": DIGEST})["state"] == "done"


class TestTheDigestOfTheServer:
    """A node that knows the secret of the run can pose as the server to others; its image has another digest."""

    def test_another_one_is_another_image(self):
        result = told(collected={"a": {**GOOD, "digest": "cd" * 32}})
        assert (result["state"], result["verified"], result["changed"]) == ("failed", False, True)
        assert result["reason"] == (
            "It holds another image than the server has sent (digest cdcdcdcd, the server's is abababab), so a host of"
            " this run may have posed as the server: find out which, and clone this one again."
        )

    @pytest.mark.parametrize("digest", [None, ""])
    def test_none_is_no_proof(self, digest):
        stream = {"state": "failed", "msg": "the sender ended without a result", "digest": digest}
        result = told(stream=stream)
        assert (result["state"], result["verified"]) == ("failed", False)
        assert result["reason"] == (
            "It holds an image with the digest abababab, but whether it is the right one nobody can tell, for there is"
            " no digest of the server to compare with (the sender ended without a result): run again, with"
            " dolly_ring_compare only what differs is written."
        )

    def test_a_node_without_one_has_shown_nothing(self):
        assert told(collected={"a": {**GOOD, "digest": ""}})["state"] == "failed"

    def test_keyed_digests_are_compared_too(self):
        """With verify mac there is no other, and it says nothing outside of the run."""
        keyed = {**GOOD, "digest": "", "keyed_digest": DIGEST}
        stream = {"state": "done", "nodes": [], "digest": "", "keyed_digest": DIGEST}
        assert told(collected={"a": keyed}, stream=stream)["state"] == "done"
        assert told(collected={"a": {**keyed, "keyed_digest": "cd" * 32}}, stream=stream)["state"] == "failed"
        assert told(collected={"a": keyed}, stream={**stream, "keyed_digest": ""})["state"] == "failed"

    @pytest.mark.parametrize(
        "changes",
        [
            {"agreed": {"dolly_ring_verify": "none"}},
            {"agreed": {"dolly_ring_protocol": "classic"}},
            {"is_dummy": True},
        ],
        ids=["verify none", "classic", "dummy"],
    )
    def test_runs_without_digests_verify_nothing(self, changes):
        result = told(run={**RUN, **changes}, collected={"a": {**GOOD, "digest": ""}}, stream={"state": "done"})
        assert (result["state"], result["verified"]) == ("done", False)


def test_a_node_that_did_not_flush_is_good_only_where_that_was_asked_for():
    unflushed = {"a": {**GOOD, "synced": False}}
    assert told(collected=unflushed)["state"] == "failed"
    for syncs, state in ((True, "failed"), (False, "done")):
        run = {**RUN, "agreed": {"dolly_ring_sync": syncs}}
        assert told(collected=unflushed, run=run)["state"] == state


def test_a_failed_node_brings_its_last_lines():
    result = told("b")
    assert (result["state"], result["reason"], result["changed"]) == ("failed", "disk full", True)
    assert result["log"] == ["l%d" % n for n in range(10, 30)]


def test_the_first_cause_wins():
    assert told("b", causes={"b": "no dest"})["reason"] == "no dest"
    refused = {"a": {"run_id": "r1", "msg": "mounted", "failed": False}}
    assert told(started=refused)["reason"] == "mounted"
    assert told(started=refused, image={"msg": "gone"})["reason"] == "head: gone"


FULL = {"kind": "TargetError", "fault": "node", "message": "disk full"}
ABORTED = {"kind": "Aborted", "fault": "user", "message": "The run was aborted (b: disk full)"}


def test_who_is_not_at_fault_is_told_where_to_look():
    ring = {"problem": "Nothing was written: 1 of 2; b: it is mounted" * 9, "missing": ["b"]}
    refused = {"run_id": "r1", "msg": "it is mounted"}
    assert told(ring=ring)["reason"] == "not started: see b"
    assert told("b", ring=ring, started={"a": STARTED, "b": refused})["reason"] == "it is mounted"


def test_of_a_run_that_failed_the_culprit_says_why():
    nodes = [{"name": "a", "state": "failed", "error": ABORTED}, {"name": "b", "state": "failed", "error": FULL}]
    stream = {"state": "failed", "msg": "Too few nodes became ready; missing: b (disk full)", "nodes": nodes}
    aborted = {**BAD, "msg": ABORTED["message"], "error": ABORTED, "changed": False}
    collected = {"a": aborted, "b": {**BAD, "error": FULL}}
    assert told(stream=stream, collected=collected)["reason"] == "not started: see b"
    assert told("b", stream=stream, collected=collected)["reason"] == "disk full"
    collected["a"] = {**aborted, "changed": True}
    reason = told(stream=stream, collected=collected)["reason"]
    assert reason == "the run failed, and what its target holds is not a good copy: see b"


def test_a_run_that_failed_by_the_server_is_told_to_all():
    stream = {"state": "failed", "msg": "the source changed", "nodes": [{"name": "a", "state": "failed"}]}
    reason = told(stream=stream, collected={"a": {**BAD, "msg": "it was ended"}})["reason"]
    assert reason == "head: the source changed; this node: it was ended"


def test_a_host_that_ansible_lost_keeps_what_the_server_saw():
    result = told(collected={"a": {"unreachable": True, "msg": "timeout"}})
    assert result["state"] == "unreachable" and result["bytes"] == 7
    assert result["reason"].endswith("its result was collected: timeout; the server last saw it done")


def test_a_host_that_nobody_can_reach_any_more_is_lost():
    seen = {"name": "a", "state": "lost", "bytes": 7, "error": {"message": "a: silent for 5 s"}}
    disk = {"a": {**STARTED, "target": {"kind": "block"}}}
    gone = {"a": {"unreachable": True, "msg": "Task failed: no answer for 15 s:"}}
    result = told(collected=gone, started=disk, stream={"state": "partial", "nodes": [seen]})
    assert (result["state"], result["bytes"], result["changed"]) == ("lost", 7, True)
    assert result["reason"] == (
        "The ring lost it in the middle of the run (a: silent for 5 s), and Ansible cannot reach it either:"
        " no answer for 15 s; its disk is half-written"
    )


def test_a_task_that_was_cut_off_is_no_result():
    run = {**RUN, "agreed": {"dolly_ring_sync": False}}
    assert told(collected={"a": {"msg": "Timed out after 5 second(s).", "timedout": {}}}, run=run)["state"] == "failed"


def test_what_another_run_left_does_not_count():
    assert told(collected={"a": {**GOOD, "run_id": "r0"}})["state"] == "failed"


def test_what_could_not_be_cleaned_up_is_a_failure():
    assert "Could not clean up" in told(cleaned={"a": {"run_id": "r1", "msg": "it hangs"}})["reason"]


def test_check_mode_predicts_and_never_claims_a_change_that_would_be_refused():
    check = {"is_check": True, "collected": {}, "cleaned": {}}
    started = {"a": {**STARTED, "changed": True, "msg": "would overwrite /d"}}
    stream = {"state": "predicted"}
    assert told(started=started, stream=stream, **check)["state"] == "predicted"
    assert told(started=started, stream=stream, **check)["changed"] is True
    wrong = told(started=started, stream={"state": "unknown", "msg": "wrong checksum"}, **check)
    assert (wrong["state"], wrong["changed"], wrong["reason"]) == ("failed", False, "head: wrong checksum")


def test_the_summary_names_hosts_that_never_came():
    heard = dataclasses.replace(HEARD, run={**RUN, "expected": ["a", "b", "c", "d"]}, earlier={"d": "disk full"})
    summary = ring_results.summary_of(heard, {name: ring_results.result_of(name, heard) for name in ("a", "b")})
    assert [node["state"] for node in summary["nodes"]] == ["done", "failed", "unreachable", "failed"]
    assert summary["state"] == "partial" and summary["nodes"][3]["reason"].endswith("before this one: disk full")


def test_a_reason_is_one_printable_line():
    """It is shown by Ansible as it is, whoever gave it."""
    result = told("b", collected={"b": {**BAD, "msg": "bad\x1b]0;title\x07\nTASK [all is well]"}})
    assert result["reason"].isprintable() and "TASK" in result["reason"]


class TestAHostThatLies:
    """Its owner decides what it returns: that spoils its own result, and nobody else's, nor the report."""

    @pytest.mark.parametrize(
        "changes",
        [
            {"times": {"write": "x", "children": {"b": {"send": []}, "nobody": {"send": 1.0}}}},
            {"times": "x"},
            {"healed": "often", "stalled": [], "equal_bytes": {}, "resumed_bytes": "1"},
            {"seconds": float("nan"), "rate_mb_s": "fast", "repaired": -1},
            {"digest": 5, "msg": {}, "covers": []},
            {"notes": "x", "log": 7, "error": "x", "target": [], "position": "first"},
            {"bytes": "7"},
            {"bytes": 2 ** 70},
        ],
    )
    def test_its_fields_are_what_they_should_be(self, changes):
        heard = dataclasses.replace(HEARD, collected={"a": {**GOOD, **changes}, "b": {**GOOD, "position": 2}})
        results = {name: ring_results.result_of(name, heard) for name in ("a", "b")}
        summary = ring_results.summary_of(heard, results)
        assert results["b"]["state"] == "done" and summary["nodes"][1]["state"] == "done"
        for name, blank in ring_results.BLANK.items():
            if blank is not None:
                assert type(results["a"][name]) is type(blank), name
        assert results["a"]["times"] in ({}, {"children": {"b": {}}})
        data = {"summary": summary, "history": {}, "options": {}}
        assert "<html" in report.page(data) and ring_words.table(summary)
        json.dumps(data, allow_nan=False)


DISK = {"path": "/dev/sdb", "kind": "block"}


class TestADiskThatNobodyCanTellOf:
    """Its receiver was killed, or its host is gone: what the module says when it knows nothing is no denial."""

    KILLED = {"run_id": "r1", "changed": False, "msg": "the receiver ended without a result", "log": LOG}
    LOST = {**SEEN, "state": "lost", "bytes": 3, "seconds": 1.0, "error": {"message": "a: it fell silent"}}

    def result(self, collected, **seen):
        stream = {"state": "partial", "nodes": [{**self.LOST, **seen}], "digest": DIGEST}
        return told(collected={"a": collected}, started={"a": {**STARTED, "target": DISK}}, stream=stream)

    @pytest.mark.parametrize("collected", [KILLED, {"unreachable": True, "changed": False, "msg": "no route"}])
    @pytest.mark.parametrize("seen", [{}, {"bytes": 0}, {"state": "failed"}, {"state": "receiving", "bytes": 0}])
    def test_it_was_changed_and_the_reason_says_half_written(self, collected, seen):
        result = self.result(collected, **seen)
        assert result["changed"] and result["half_written"], result
        assert result["reason"].count("half-written") == 1

    def test_the_word_of_the_module_is_enough(self):
        killed = {**self.KILLED, "changed": True, "half_written": True, "msg": "killed. /dev/sdb is half-written: no"}
        result = self.result(killed, bytes=0, seconds=0.0)
        assert result["changed"] and result["half_written"] and result["reason"].count("half-written") == 1

    @pytest.mark.parametrize("seen", [
        {"synced": True},  # it had everything, and was lost while it served others
        {"state": "done"},
    ])
    def test_a_disk_that_is_whole_is_not_half_written(self, seen):
        result = self.result(self.KILLED, **seen)
        assert result["changed"] and not result["half_written"] and "half-written" not in result["reason"]

    def test_a_node_that_never_began_changed_nothing(self):
        result = self.result(self.KILLED, state="excluded", bytes=0, seconds=0.0)
        assert not result["changed"] and not result["half_written"]
