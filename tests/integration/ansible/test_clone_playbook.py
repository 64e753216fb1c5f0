# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook and the role, as a user runs them."""

from __future__ import annotations

import json
import re

RACK3 = ["n1", "n2", "n3", "n4"]


def test_clone_goes_to_the_limit_in_inventory_order_and_says_what_became_of_each(lab):
    outcome = lab.clone("-l", "rack3")

    assert lab.copies() == set(RACK3)
    assert not lab.target("m1").exists()
    assert lab.left_over() == []
    results = outcome.results()
    assert [results[name]["position"] for name in RACK3] == [1, 2, 3, 4]
    size = lab.image.stat().st_size
    for result in results.values():
        assert result["state"] == "done" and result["changed"] is True
        assert result["verified"] is True and result["synced"] is True
        assert result["bytes"] == size and result["seconds"] > 0 and result["rate_mb_s"] > 0
        assert result["times"]
        assert (result["address"], result["address_rule"]) == ("127.0.0.1", "address")
    assert len({result["digest"] for result in results.values()}) == 1
    summary = outcome.summary()
    assert summary["state"] == "done" and summary["bytes"] == size
    assert [node["name"] for node in summary["nodes"]] == RACK3
    assert "digest " + summary["digest"] in outcome.output
    assert set(summary["times"]["children"]) == {"n1"} and isinstance(summary["limited_by"], str)
    assert {host: stats["changed"] for host, stats in outcome.stats().items()} == dict.fromkeys(RACK3, 1)


def test_second_run_with_one_fork_replaces_an_older_longer_file(lab):
    lab.write_image(5 << 20, seed=2)
    lab.clone("-l", "rack3", "--forks", "1", "-e", "dolly_ring_fanout=2")
    older = lab.copies()
    lab.write_image(3 << 20, seed=3)
    outcome = lab.clone("-l", "rack3", "--forks", "1", "-e", "dolly_ring_fanout=2")

    assert older == lab.copies() == set(RACK3)
    assert all(result["changed"] for result in outcome.results().values())
    assert lab.left_over() == []


def test_playbook_runs_by_its_path_and_takes_dolly_ring_hosts(lab):
    lab.run(str(lab.root / "playbooks" / "clone.yml"), "-e", "dolly_ring_hosts=rack4")
    assert lab.copies() == {"m1", "m2"}


def test_without_a_limit_nothing_is_touched_and_the_count_is_named(lab):
    outcome = lab.clone(code=2)

    assert "would have overwritten 6 hosts" in outcome.output
    assert list(lab.targets.iterdir()) == []


def test_dolly_ring_hosts_in_the_inventory_does_not_open_the_door(lab):
    lab.write_inventory({"rack3": {"n1": {}, "n2": {}}, "rack4": {"m1": {}}}, dolly_ring_hosts="rack3")
    outcome = lab.clone(code=2)

    assert "1 hosts besides" in outcome.output
    assert list(lab.targets.iterdir()) == []


def test_check_mode_writes_nothing_and_predicts_a_change(lab):
    lab.target("n1").write_bytes(b"precious")
    (lab.folder / "after.yml").write_text("- name: Find the clone\n  ansible.builtin.fail:\n    msg: there is none\n")
    outcome = lab.clone("-l", "rack3", "--check", "-e", "dolly_ring_after=%s/after.yml" % lab.folder)

    assert [path.name for path in lab.targets.iterdir()] == ["n1.img"]
    assert lab.target("n1").read_bytes() == b"precious"
    assert not lab.runs.exists()
    results = outcome.results()
    assert all(result["state"] == "predicted" and result["changed"] for result in results.values())
    assert "would overwrite %s" % lab.target("n1") in results["n1"]["reason"]
    assert all(stats["changed"] == 1 for stats in outcome.stats().values())


def test_check_mode_refuses_what_a_run_would_refuse(lab):
    wrong = "sha256:" + "0" * 64
    outcome = lab.clone("-l", "rack3", "--check", "-e", "dolly_ring_checksum=" + wrong, code=2)

    assert outcome.failed() == set(RACK3)
    assert wrong in outcome.summary()["msg"] and wrong in outcome.reasons()["n4"]
    assert not any(result["changed"] for result in outcome.results().values())


def hosts_with_one_bad_target(lab):
    bad = {"dolly_ring_dest": str(lab.folder / "no-such-folder" / "n2.img")}
    lab.write_inventory({"rack3": {"n1": {}, "n2": bad, "n3": {}}})


def test_all_hosts_are_needed_unless_told_otherwise(lab):
    hosts_with_one_bad_target(lab)
    outcome = lab.clone("-l", "rack3", code=2)

    assert outcome.failed() == {"n1", "n2", "n3"}
    reasons = outcome.reasons()
    assert "no-such-folder" in reasons["n2"]
    assert reasons["n1"] == reasons["n3"] == "not started: see n2"
    told = outcome.summary()["msg"]
    assert "2 of 3 hosts can take part and 3 are needed; missing: n2. n2: Refused " in told and "no-such-folder" in told
    assert list(lab.targets.iterdir()) == []
    assert lab.left_over() == []


def test_a_host_that_cannot_take_part_fails_alone_and_the_others_get_the_image(lab):
    hosts_with_one_bad_target(lab)
    outcome = lab.clone("-l", "rack3", "-e", "dolly_ring_min_nodes=2", code=2)

    assert outcome.failed() == {"n2"}
    assert lab.copies() == {"n1", "n3"}
    results = outcome.results()
    assert results["n2"]["state"] == "failed" and "no-such-folder" in results["n2"]["reason"]
    assert results["n1"]["verified"] and results["n3"]["verified"]
    assert results["n3"]["position"] == 2
    named = {node["name"]: node["state"] for node in outcome.summary()["nodes"]}
    assert named == {"n1": "done", "n2": "failed", "n3": "done"}


def test_the_first_host_may_be_the_one_that_fails(lab):
    bad = {"dolly_ring_dest": "relative.img"}
    lab.write_inventory({"rack3": {"n1": bad, "n2": {}}})
    outcome = lab.clone("-l", "rack3", "-e", "dolly_ring_min_nodes=1", code=2)

    assert outcome.failed() == {"n1"} and lab.copies() == {"n2"}
    assert "absolute path" in outcome.reasons()["n1"]


def test_an_unreachable_host_is_named_and_the_others_get_the_image(lab):
    gone = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1}
    lab.write_inventory({"rack3": {"n1": gone, "n2": {}, "n3": {}}})
    outcome = lab.clone("-l", "rack3", "-e", "dolly_ring_min_nodes=1", code=4)

    assert lab.copies() == {"n2", "n3"} and not outcome.failed()
    assert "Ansible lost this host before its receiver was started" in outcome.lost()["n1"]
    assert outcome.results()["n1"]["state"] == "unreachable"
    named = {node["name"]: node["state"] for node in outcome.summary()["nodes"]}
    assert named == {"n1": "unreachable", "n2": "done", "n3": "done"}


def test_missing_dest_and_source_are_named(lab):
    lab.write_inventory({"rack3": {"n1": {}, "n2": {"dolly_ring_dest": ""}}})
    outcome = lab.clone("-l", "rack3", code=2)
    assert "dolly_ring_dest is not set" in outcome.reasons()["n2"]

    outcome = lab.clone("-l", "rack3", "-e", "dolly_ring_source=", code=2)
    assert "dolly_ring_source is not set" in outcome.reasons()["n1"]
    assert list(lab.targets.iterdir()) == []


def test_a_wrong_checksum_refuses_the_run(lab):
    wrong = "sha256:" + "0" * 64
    outcome = lab.clone("-l", "rack3", "-e", "dolly_ring_checksum=" + wrong, code=2)

    assert outcome.failed() == set(RACK3)
    assert lab.copies() == set()
    assert outcome.summary()["state"] == "failed"
    assert lab.left_over() == []


def test_hosts_of_one_ring_must_agree(lab):
    lab.write_inventory({"rack3": {"n1": {}, "n2": {"dolly_ring_source": "/other.img"}}})
    outcome = lab.clone("-l", "rack3", code=2)

    assert "different values of dolly_ring_source," in outcome.reasons()["n1"]
    assert "n2 has dolly_ring_source=/other.img." in outcome.reasons()["n2"]


def test_the_server_may_be_a_host_of_the_play_without_the_variables_of_a_node(lab):
    head = {"head": {"dolly_ring_source": "", "dolly_ring_dest": ""}}
    nodes = {name: {"dolly_ring_server": "head"} for name in ("n1", "n2")}
    lab.write_inventory({"rack3": {**head, **nodes}})
    outcome = lab.clone("-l", "rack3")

    assert lab.copies() == {"n1", "n2"}
    assert outcome.results()["head"]["state"] == "server"
    assert outcome.results()["n1"]["position"] == 1


def role_play(**keywords):
    return {"hosts": "rack3", "roles": [{"role": "dolly.ring.dolly_ring"}], **keywords}


def test_the_role_twice_in_one_play_of_a_user(lab):
    task = {"ansible.builtin.include_role": {"name": "dolly.ring.dolly_ring"}}
    second = {**task, "vars": {"dolly_ring_dest": str(lab.targets) + "/{{ inventory_hostname }}-b.img"}}
    outcome = lab.play({"hosts": "rack4", "tasks": [task, second]})

    assert lab.copies() == {"m1", "m2", "m1-b", "m2-b"}
    assert outcome.summary()["state"] == "done"


def leave_behind(lab, name):
    """What a run leaves that was killed when everything was verified: an unfinished file, and its journal."""
    partial = lab.targets / (".%s.img.dolly-partial" % name)
    partial.write_bytes(lab.image.read_bytes())
    size = partial.stat().st_size
    shape = {"size": size, "chunk_size": 4 << 20, "chunks": [[0, -(-size // (4 << 20))]]}
    journal = {"dolly-journal": 1, "target": "file %d" % partial.stat().st_ino, **shape}
    (lab.targets / (".%s.img.dolly-journal" % name)).write_text(json.dumps(journal))


def test_what_a_broken_run_left_is_kept_purged_or_gone_on_from(lab):
    def left():
        return sorted(path.name for path in lab.targets.iterdir())

    for name in ("m1", "m2"):
        leave_behind(lab, name)
    before = left()
    lab.clone("-l", "rack4", "-e", "dolly_ring_checksum=sha256:" + "0" * 64, code=2)
    assert left() == before

    outcome = lab.clone("-l", "m1")
    assert lab.copies() == {"m1"} and left() == [".m2.img.dolly-journal", ".m2.img.dolly-partial", "m1.img"]
    result, size = outcome.results()["m1"], lab.image.stat().st_size
    assert (result["resumed_bytes"], result["received_bytes"]) == (size, 0)
    assert result["verified"] and result["synced"] and result["changed"]

    (lab.targets / "m1.img").unlink()
    wrong = "dolly_ring_checksum=sha256:" + "0" * 64
    lab.clone("-l", "m2", "-e", wrong, "-e", "dolly_ring_purge=true", code=2)
    assert left() == []


def test_serial_and_free_are_refused(lab):
    outcome = lab.play(role_play(serial=2), code=2)
    assert "remove 'serial'" in outcome.reasons()["n1"]

    outcome = lab.play(role_play(strategy="free"), code=None)
    assert outcome.code != 0
    assert "bypasses the host loop, which is currently not supported in the free strategy" in outcome.output
    assert list(lab.targets.iterdir()) == []


def test_the_ring_has_the_order_of_the_play(lab):
    outcome = lab.play({**role_play(order="reverse_inventory"), "hosts": "rack4"})
    assert [node["name"] for node in outcome.summary()["nodes"]] == ["m2", "m1"]


def test_the_secret_is_not_in_the_output(lab):
    secret = "5ec2e75ec2e7" * 6
    outcome = lab.clone("-l", "rack4", "-vvv", "-e", json.dumps({"dolly_ring__secret": secret}))
    assert lab.copies() == {"m1", "m2"}
    assert secret not in outcome.output + json.dumps(outcome.events)

    outcome = lab.clone("-l", "rack4", "-vvv")
    told = set(re.findall(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])", outcome.output))
    assert told == {outcome.summary()["digest"]}


def test_how_it_travels_and_what_is_noted(lab):
    log = lab.folder / "statistics"
    told = {
        "dolly_ring_sync": False,
        "dolly_ring_segsize": 536,
        "dolly_ring_socket_buffer": 65536,
        "dolly_ring_block_size": 65536,
        "dolly_ring_connect_tries": 20,
        "dolly_ring_min_rate": 1000,
        "dolly_ring_extra_addresses": ["127.0.0.2"],
        "dolly_ring_statistics_log": str(log),
    }
    outcome = lab.clone("-l", "rack3", "-e", json.dumps(told))
    assert lab.copies() == set(RACK3)
    assert {result["synced"] for result in outcome.results().values()} == {False}
    assert {result["verified"] for result in outcome.results().values()} == {True}
    header, line = log.read_text().splitlines()
    assert header.startswith("Trans. data [MB]") and line.split()[1:3] == ["536", "4"]


def test_verifying_by_mac(lab):
    outcome = lab.clone("-l", "rack3", "-e", "dolly_ring_verify=mac")
    assert lab.copies() == set(RACK3)
    assert {(result["verified"], result["digest"]) for result in outcome.results().values()} == {(True, "")}
    assert outcome.summary()["digest"] == "" and outcome.output.count("  by MAC") == len(RACK3)
