# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the play says about failures holds for a host that Ansible cannot reach, and its reason is not lost."""

from __future__ import annotations

import pytest

GONE = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1}
NAMES = ("n1", "n2", "n3")


def role_play(**keywords):
    return {"hosts": "rack3", "roles": [{"role": "dolly.ring.dolly_ring"}], **keywords}


def check_that_one_was_out_of_reach(lab, outcome, gone, state):
    """*state*: of the others, which with --check are told what would happen to them."""
    others = set(NAMES) - {gone}
    assert "No first item" not in outcome.output, outcome.output
    assert outcome.failed() == (others if state == "failed" else set())
    assert {host: stats["unreachable"] for host, stats in outcome.stats().items() if stats["unreachable"]} == {gone: 1}
    assert "Ansible lost this host before its receiver was started" in outcome.lost()[gone]
    assert {outcome.results()[name]["state"] for name in others} == {state}
    assert outcome.results()[gone]["state"] == "unreachable"
    told = "not started: see " + gone if state == "failed" else "2 of 3 hosts can take part"
    assert all(told in outcome.results()[name]["reason"] for name in others)
    assert "missing: %s. %s: Failed to connect" % (gone, gone) in outcome.summary()["msg"]
    assert lab.copies() == set() and lab.left_over() == []


@pytest.mark.parametrize("gone, keywords, options, code", [
    ("n2", {"any_errors_fatal": True}, (), 4),
    ("n1", {"any_errors_fatal": True}, (), 4),
    ("n1", {"any_errors_fatal": True}, ("--check",), 4),
    ("n2", {"max_fail_percentage": 20}, (), 4),
])
def test_one_host_out_of_reach_ends_the_play_with_its_reason(lab, gone, keywords, options, code):
    lab.write_inventory({"rack3": {name: GONE if name == gone else {} for name in NAMES}})
    afterwards = [{"name": "Afterwards", "ansible.builtin.debug": {}}]
    outcome = lab.play(role_play(tasks=afterwards, **keywords), arguments=options, code=code)
    check_that_one_was_out_of_reach(lab, outcome, gone, "predicted" if options else "failed")
    assert not outcome.task("Afterwards")


def test_a_rescue_of_the_user_gets_every_host_but_the_one_out_of_reach(lab):
    lab.write_inventory({"rack3": {name: GONE if name == "n1" else {} for name in NAMES}})
    block = {
        "block": [{"ansible.builtin.include_role": {"name": "dolly.ring.dolly_ring"}}],
        "rescue": [{"name": "Rescued", "ansible.builtin.debug": {"msg": "{{ dolly_ring_result.reason }}"}}],
        "any_errors_fatal": True,
    }
    outcome = lab.play({"hosts": "rack3", "tasks": [block]}, code=4)
    told = outcome.task("Rescued")
    assert set(told) == {"n2", "n3"} and all("see n1" in result["msg"] for result in told.values())
    assert "Ansible lost this host before its receiver was started" in outcome.lost()["n1"]
    assert lab.copies() == set() and lab.left_over() == []


def test_somebody_says_what_became_of_all_when_none_can_be_reached_any_more(lab):
    """The network of the control node breaks down while the image is sent over another one."""
    gone = "{{ 'ssh' if (dolly_ring__started | default({})).node is defined else 'local' }}"
    places = {"ansible_host": "127.0.0.1", "ansible_port": 1, "dolly_ring_report": "report.html"}
    lab.write_inventory({"rack3": {name: {} for name in NAMES}}, ansible_connection=gone, **places)
    outcome = lab.clone("-l", "rack3", code=None)
    assert outcome.code != 0
    assert all(stats["failures"] + stats["unreachable"] == 1 for stats in outcome.stats().values()), outcome.stats()
    assert {node["state"] for node in outcome.summary()["nodes"]} == {"unreachable"}
    assert (lab.folder / "report.html").is_file()


def test_a_limit_on_the_time_of_each_task_breaks_off_no_run(lab):
    measured = ("-e", "dolly_ring_dummy_seconds=10")
    outcome = lab.clone("-l", "rack3", *measured, ANSIBLE_TASK_TIMEOUT="8")
    assert {node["state"] for node in outcome.summary()["nodes"]} == {"done"} and lab.left_over() == []
