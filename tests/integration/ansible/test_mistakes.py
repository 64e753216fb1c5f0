# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user mistypes is found before anything is started, and said in a sentence."""

from __future__ import annotations

import re

import pytest

ROLE = {"hosts": "rack3", "roles": [{"role": "dolly.ring.dolly_ring"}]}


@pytest.mark.parametrize("variables, sentence", [
    ({"dolly_ring_expect_serail": "S1"}, "dolly_ring_expect_serail is set for n1, but there is no such option"),
    ({"dolly_ring_on_failure": "gone.yml"}, "dolly_ring_on_failure of n1 is gone.yml, but there is no file /"),
])
def test_a_name_that_leads_nowhere_refuses_the_play(lab, variables, sentence):
    lab.write_inventory({"rack3": {"n1": {}, "n2": {}}}, **variables)
    outcome = lab.play(ROLE, code=2)
    assert outcome.failed() == {"n1", "n2"}
    assert all(sentence in reason for reason in outcome.reasons().values()), outcome.reasons()
    assert not lab.copies() and not list(lab.targets.iterdir())


@pytest.mark.parametrize("option, told", [
    ("dolly_ring_log_dir", "dolly_ring_log_dir of n1 is in-the-way/logs"),
    ("dolly_ring_report", "dolly_ring_report of n1 is in-the-way/logs"),
])
def test_what_cannot_be_written_on_the_control_node_is_found_before_anything_starts(lab, option, told):
    (lab.folder / "in-the-way").touch()
    lab.write_inventory({"rack3": {"n1": {}, "n2": {}}}, **{option: "in-the-way/logs"})
    outcome = lab.play(ROLE, code=2)
    assert outcome.failed() == {"n1", "n2"}
    assert all(reason.startswith(told) for reason in outcome.reasons().values()), outcome.reasons()
    assert "in-the-way is no folder" in outcome.reasons()["n2"]
    assert "start the receiver" not in outcome.output and not list(lab.targets.iterdir())


@pytest.mark.parametrize("text", ["- name: [", "a: b", "- no.such.module: {}", "- name: two\n  debug:\n  command: x\n"])
def test_a_hook_that_cannot_be_read_is_found_before_anything_starts(lab, text):
    (lab.folder / "told.yml").write_text(text)
    lab.write_inventory({"rack3": {"n1": {}, "n2": {}}}, dolly_ring_on_failure="told.yml")
    outcome = lab.play(ROLE, code=2)
    assert outcome.failed() == {"n1", "n2"}
    told = "dolly_ring_on_failure of n1 is told.yml, but %s " % (lab.folder / "told.yml")
    assert all(reason.startswith(told) for reason in outcome.reasons().values()), outcome.reasons()
    assert "start the receiver" not in outcome.output and not list(lab.targets.iterdir())


def test_relative_means_the_directory_of_the_command_also_for_the_playbook_of_the_collection(lab):
    (lab.folder / "tasks").mkdir()
    hook = "- name: Hook\n  ansible.builtin.debug:\n    msg: here\n"
    (lab.folder / "tasks" / "before.yml").write_text(hook)
    given = {"before": "tasks/before.yml", "log_dir": "told/logs", "report": "told/report.html"}
    lab.write_inventory({"rack3": {"n1": {}}}, **{"dolly_ring_" + name: path for name, path in given.items()})
    outcome = lab.clone("-l", "rack3")
    assert outcome.task("Hook")["n1"]["msg"] == "here"
    assert (lab.folder / "told" / "report.html").is_file()
    assert {path.name for path in (lab.folder / "told" / "logs").rglob("*.log")} == {"n1.log", "localhost.log"}


@pytest.mark.parametrize("arguments, told", [
    (("-e", "dolly_ring_hosts=rakc3"), "no host of the inventory is called rakc3. Did you mean rack3?"),
    (("-e", "dolly_ring_hosts=rakc3", "-l", "n1"), "no host of the inventory is called rakc3. Did you mean rack3?"),
    (("-e", "dolly_ring_hosts=rack3", "-l", "m1"), "the limit m1 leaves none of its 4 hosts"),
])
def test_mistyped_hosts_end_the_command_with_what_there_is(lab, arguments, told):
    outcome = lab.clone(*arguments, code=None)
    assert outcome.code != 0 and not list(lab.targets.iterdir())
    assert "dolly_ring_hosts is %s, but " % arguments[1].partition("=")[2] in outcome.output
    assert told in outcome.output and "groups: all, rack3, rack4" in outcome.output


@pytest.mark.parametrize("variables, sentence", [
    ({"dolly_ring_fanout": -1}, "dolly_ring_fanout of n1 is -1, but must be 1 to 65535"),
    ({"dolly_ring_min_nodes": 3}, "dolly_ring_min_nodes is 3, but the play has 2 hosts"),
    ({"dolly_ring_chunk_size": 1}, "dolly_ring_chunk_size of n1 is 1, but must be 0 or 4 KiB to 1 GiB"),
    ({"dolly_ring_dest_split": "8X"}, "dolly_ring_dest_split of n1 is '8X', but must be 0 or 1 B or more"),
    ({"dolly_ring_dead_after": -1}, "dolly_ring_dead_after of n1 is -1, but must be seconds, more than 0"),
])
def test_a_number_that_cannot_be_starts_no_receiver(lab, variables, sentence):
    lab.write_inventory({"rack3": {"n1": {}, "n2": {}}}, **variables)
    outcome = lab.play(ROLE, code=2)
    assert outcome.failed() == {"n1", "n2"}
    assert all(sentence in reason for reason in outcome.reasons().values()), outcome.reasons()
    assert "start the receiver" not in outcome.output and not list(lab.targets.iterdir())


def test_every_size_may_be_written_with_a_unit(lab):
    sizes = {"chunk_size": "64k", "block_size": "8k", "socket_buffer": "1M", "min_rate": "1k", "segsize": "1k"}
    lab.write_inventory({"rack3": {"n1": {}, "n2": {}}}, **{"dolly_ring_" + name: text for name, text in sizes.items()})
    lab.play(ROLE)
    assert lab.copies() == {"n1", "n2"}


def test_two_images_for_one_place_by_two_names_fail_that_host_alone(lab):
    (lab.targets / "alias").symlink_to(lab.targets / "n1.img")
    first = {"name": "a", "source": str(lab.image), "dest": str(lab.targets) + "/{{ inventory_hostname }}.img"}
    lab.write_inventory(
        {"rack3": {"n1": {"other": "alias"}, "n2": {}}},
        dolly_ring_images=[first, dict(first, name="b", dest=str(lab.targets) + "/{{ other | default('more') }}")],
        dolly_ring_min_nodes=1,
    )
    outcome = lab.play(ROLE, code=2)
    assert outcome.failed() == {"n1"} and lab.copies() == {"n2"}
    assert "go to the same place on this host, by two names" in outcome.reasons()["n1"]


def test_two_names_for_one_machine_and_one_target_are_found_before_anything_is_written(lab):
    one = {"dolly_ring_dest": str(lab.targets / "shared.img")}
    lab.write_inventory({"rack3": {"n1": one, "n2": one, "n3": {}}})
    outcome = lab.play(ROLE, code=2)
    assert not list(lab.targets.iterdir()), lab.left_over()
    reasons = outcome.reasons()
    assert set(reasons) == outcome.failed() == {"n1", "n2", "n3"}
    second = reasons["n3"].rpartition("not started: see ")[2]
    first = {"n1": "n2", "n2": "n1"}[second]
    told = first + r" of this run is to write to it \(process [0-9]+.*\): both are names of one machine"
    assert re.search(told, reasons[second]) and reasons[first] == reasons["n3"], reasons
    summary = outcome.summary()["msg"]
    assert re.search(told, summary) and "missing: %s. %s: Refused" % (second, second) in summary
    assert not lab.left_over()


def test_one_of_two_names_for_one_machine_is_enough_where_not_all_are_needed(lab):
    one = {"dolly_ring_dest": str(lab.targets / "shared.img")}
    lab.write_inventory({"rack3": {"n1": one, "n2": one, "n3": {}}}, dolly_ring_min_nodes=2)
    outcome = lab.play(ROLE, code=2)
    assert len(outcome.failed()) == 1 and outcome.failed() < {"n1", "n2"}, outcome.reasons()
    assert lab.copies() == {"shared", "n3"} and not lab.left_over()


def test_home_is_that_of_the_user(lab):
    lab.write_inventory({"rack3": {"n1": {}}}, dolly_ring_log_dir="~/logs", dolly_ring_report="~/report.html")
    lab.clone("-l", "rack3", HOME=str(lab.folder / "home"))
    assert (lab.folder / "home" / "report.html").is_file() and not (lab.folder / "~").exists()
    assert {path.name for path in (lab.folder / "home" / "logs").rglob("*.log")} == {"n1.log", "localhost.log"}


def test_hosts_may_be_called_like_what_a_dictionary_can_do(lab):
    lab.write_inventory({"rack3": {"update": {}, "items": {}, "n%1": {}, "n\u00fc 1": {}}})
    lab.clone("-l", "rack3")
    assert lab.copies() == {"update", "items", "n%1", "n\u00fc 1"} and lab.left_over() == []


@pytest.mark.parametrize("play", [
    {"roles": [{"role": "dolly.ring.dolly_ring", "run_once": True}]},
    {"tasks": [{"ansible.builtin.import_role": {"name": "dolly.ring.dolly_ring"}, "run_once": True}]},
    {"tasks": [{"run_once": True, "block": [{"ansible.builtin.include_role": {"name": "dolly.ring.dolly_ring"}}]}]},
])
def test_a_role_that_runs_once_would_leave_out_all_hosts_but_one(lab, play):
    outcome = lab.play({"hosts": "rack3", **play}, arguments=["-e", "dolly_ring_min_nodes=1"], code=2)
    assert all("run_once is set for the role" in reason for reason in outcome.reasons().values())
    assert not list(lab.targets.iterdir())


def test_hosts_that_do_not_come_are_not_said_to_be_lost(lab):
    task = {"ansible.builtin.include_role": {"name": "dolly.ring.dolly_ring"}, "when": "inventory_hostname != 'n3'"}
    outcome = lab.play({"hosts": "rack3", "tasks": [task]}, code=2)
    assert outcome.failed() == {"n1", "n2", "n4"} and lab.copies() == set() and lab.left_over() == []
    assert "missing: n3. n3: did not come here with the others: apply the role to" in outcome.summary()["msg"]
    assert outcome.results()["n3"]["state"] == "failed" and "did not come here" in outcome.results()["n3"]["reason"]


@pytest.mark.parametrize("mistake, sentence", [
    ({"dolly_ring_min_nodes": 9}, "dolly_ring_min_nodes is 9, but"),
    ({"dolly_ring_fanout": "{{ 1 if inventory_hostname == 'n1' else 2 }}"}, "different values of dolly_ring_fanout"),
    ({"dolly_ring_verify": "never"}, "value of dolly_ring_verify must be one of"),
])
def test_what_is_known_after_a_refused_run_is_not_that_of_the_run_before(lab, mistake, sentence):
    role = {"ansible.builtin.include_role": {"name": "dolly.ring.dolly_ring", "rolespec_validate": False}}
    told = "{{ dolly_ring_result.state }}: {{ dolly_ring_result.reason }} {{ dolly_ring_summary.state }}"
    rescue = [{"name": "Rescued", "ansible.builtin.debug": {"msg": told}}]
    outcome = lab.play({"hosts": "rack3", "tasks": [role, {"block": [{**role, "vars": mistake}], "rescue": rescue}]})
    said = {host: result["msg"] for host, result in outcome.task("Rescued").items()}
    assert set(said) == lab.copies() == {"n1", "n2", "n3", "n4"}
    assert all(text.startswith("failed: ") and sentence in text and text.endswith(" failed") for text in said.values())


def test_hosts_may_be_named_as_a_list(lab):
    outcome = lab.clone("-e", '{"dolly_ring_hosts": ["rack3", "!n1", "!n2"]}', "--check")
    assert {node["name"] for node in outcome.summary()["nodes"]} == {"n3", "n4"}
