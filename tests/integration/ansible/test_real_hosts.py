# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role over ssh: a rack of real sshd hosts, a user who becomes another one, a control node outside the ring."""

from __future__ import annotations

import os
import re
import signal

from ansible_collections.dolly.ring.tests.integration.ring.processes import until
from tests.integration.ansible.conftest import RUN_LIMIT_S
from tests.integration.ansible.real_hosts import NAMES, PORT, STORE, USERS

MIB = 1 << 20
THREE = NAMES[:3]


def test_the_whole_rack(rack):
    cache = rack.folder / "cache"
    outcome = rack.clone(
        "-l", "rack3", "--forks", "8", "-vvv",
        ANSIBLE_CACHE_PLUGIN="jsonfile", ANSIBLE_CACHE_PLUGIN_CONNECTION=str(cache),
    )  # fmt: skip

    assert rack.copies() == set(NAMES)
    assert rack.left_over() == []
    results = outcome.results()
    assert [results[name]["position"] for name in NAMES] == list(range(1, 9))
    assert {results[name]["address_rule"] for name in NAMES} == {"interface"}
    assert {name: results[name]["address"] for name in NAMES} == {name: rack.hosts.data_address(name) for name in NAMES}
    assert all(results[name]["verified"] and results[name]["synced"] for name in NAMES)
    assert outcome.summary()["server"] == STORE and outcome.summary()["server_reachable"] is True
    # No terminal, no control characters; and what looks like a key is the digest.
    assert {sign for sign in outcome.output if not sign.isprintable()} == {"\n"}
    cached = "".join(path.read_text("utf-8") for path in cache.rglob("*") if path.is_file())
    told = set(re.findall(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])", outcome.output + cached))
    assert told == {outcome.summary()["digest"]}


def clone_as_nobody_special(rack, *options):
    """No pipelining: modules go over as files, which one user writes and another one has to read."""
    before = {name: rack.hosts.sent_data(name) for name in (*THREE, STORE)}
    outcome = rack.clone("-l", "rack3", *options, ANSIBLE_PIPELINING="0")
    assert rack.copies() == set(THREE)
    assert rack.left_over() == []
    return outcome, max(rack.hosts.sent_data(name) - count for name, count in before.items())


def test_what_is_there_already_does_not_travel_again(rack):
    rack.use(
        *THREE, ansible_become_user="imager", dolly_ring_compare=True, dolly_ring_chunk_size=MIB,
        dolly_ring_dest="/srv/clones/{{ inventory_hostname }}.img",
    )  # fmt: skip
    rack.write_image(60 * MIB, seed=4)
    for name in THREE:
        rack.hosts.inside(name, "install", "-d", "-o", "imager", "/srv/clones")
    outcome, dummy = clone_as_nobody_special(rack)
    assert {result["changed"] for result in outcome.results().values()} == {True}
    assert {rack.target(name).stat().st_uid for name in THREE} == {USERS["imager"]}

    outcome, most = clone_as_nobody_special(rack)
    assert most < 0.01 * 60 * MIB
    stats = outcome.stats()
    assert {(stats[name]["changed"], stats[name]["failures"]) for name in THREE} == {(0, 0)}
    assert outcome.output.count("unchanged\n") == 3 and "sent what differs of %d bytes" % (60 * MIB) in outcome.output

    with rack.image.open("r+b") as image:
        for chunk in (7, 30, 59):  # 5 % of them
            image.seek(chunk * MIB + 1000)
            image.write(os.urandom(1000))
    outcome, most = clone_as_nobody_special(rack)
    assert most < 0.06 * 60 * MIB
    assert {result["received_bytes"] for result in outcome.results().values()} == {3 * MIB}
    assert {outcome.stats()[name]["changed"] for name in THREE} == {1}


def slow_run(rack, *names, seconds=10, size=40 * MIB, **more):
    """Start a run that takes a while; returns when the last host has some of the image."""
    rack.use(*names, dolly_ring_progress_interval=1, **more)
    rack.write_image(size, seed=5)
    rack.hosts.network.limit_second(rack.hosts.indices[STORE], size // seconds)
    enough = rack.hosts.sent_data(names[-2]) + 2 * MIB
    program = rack.start()
    until(lambda: rack.hosts.sent_data(names[-2]) > enough or program.has_ended(), "some data", RUN_LIMIT_S)
    assert program.code is None, program.report()
    return program


def test_a_host_that_goes_away_in_the_middle(rack):
    """Without a word, and without a question for a password, at whose silence Ansible itself would give up."""
    slow_run(rack, *THREE, dolly_ring_min_nodes=2, ansible_user="root", ansible_become=False)
    rack.hosts.unplug("n2")
    outcome = rack.finish(code=2)

    assert rack.copies() == {"n1", "n3"}
    assert outcome.failed() == {"n2"}, outcome.output
    result = outcome.results()["n2"]
    assert (result["state"], result["verified"]) == ("lost", False) and 0 < result["bytes"] < 40 * MIB
    assert re.search(r"lost it in the middle of the run \(.*silent for .*\), and Ansible cannot", result["reason"])
    assert outcome.reasons()["n2"] == result["reason"]
    nodes = {node["name"]: node["state"] for node in outcome.summary()["nodes"]}
    assert nodes == {"n1": "done", "n2": "lost", "n3": "done"}


def clean_up_after(rack):
    """What an operator does with a run that he has lost, on the hosts that it was left on."""
    (run,) = {path.split("/")[3] for name in (*rack.names, STORE) for path in rack.hosts.runs(name)}
    common = {"state": "absent", "run_id": run, "name": "{{ inventory_hostname }}"}
    tasks = [{"dolly.ring.dolly_client": common, "when": "inventory_hostname != 'store'"}]
    tasks.append({"dolly.ring.dolly_server": {**common, "name": STORE}, "delegate_to": STORE, "run_once": True})
    rack.play({"hosts": "all", "tasks": tasks})
    assert rack.left_over() == []


def await_no_process(rack):
    names = (*rack.names, STORE)
    until(lambda: not any(rack.hosts.processes(name) for name in names), "the end of all receivers and of the sender")


def test_an_interrupted_playbook_and_one_more_too_early(rack):
    """Ctrl-C: the run needs nobody to go on, ends by itself, and state=absent removes what it kept."""
    program = slow_run(rack, *THREE[:2], seconds=60, size=96 * MIB)
    program.send(signal.SIGINT)
    rack.finish(code=None)
    assert program.code != 0
    at_work = {name: rack.hosts.processes(name) for name in THREE[:2]}
    (run,) = {path.split("/")[3] for path in rack.hosts.runs("n1")}

    outcome = rack.clone("-l", "rack3", code=2)
    for name, processes in at_work.items():
        (pid,) = processes
        told = "run %s is at work on it (node %s, process %d, since 20" % (run, name, pid)
        assert told in outcome.results()[name]["reason"], outcome.output
    rack.hosts.network.unlimit_second(rack.hosts.indices[STORE])
    await_no_process(rack)
    assert rack.copies() == set(THREE[:2])
    clean_up_after(rack)


def test_a_control_node_that_dies(rack):
    """All its connections fall silent; the ring lies in another network."""
    program = slow_run(rack, *THREE[:2])
    rack.hosts.unplug_management("control")
    program.kill()
    await_no_process(rack)
    assert rack.copies() == set(THREE[:2])
    rack.hosts.power_off("control")
    rack.hosts.network.restore()
    clean_up_after(rack)


def test_a_target_that_is_mounted_fails_its_host_alone(rack, disks):
    rack.use(*THREE, dolly_ring_dest="{{ disk }}", hosts={name: {"disk": disk} for name, disk in zip(THREE, disks)})
    rack.hosts.inside("n2", "sh", "-c", "mkfs.ext2 -q {0} && mkdir /srv/data && mount {0} /srv/data".format(disks[1]))
    outcome = rack.clone("-l", "rack3", "--check", code=2)

    assert outcome.failed() == {"n2"}, outcome.output
    assert "is mounted (/srv/data)" in outcome.reasons()["n2"]
    results = outcome.results()
    for name, disk in (("n1", disks[0]), ("n3", disks[2])):
        assert (results[name]["state"], results[name]["changed"]) == ("predicted", False)
        assert "would overwrite %s (block device of 33554432 bytes" % disk in results[name]["reason"]
        assert "as it stands: Nothing was written: 2 of 3 hosts can take part" in results[name]["reason"]
        assert re.search(r"(?m)^%s +predicted +would overwrite %s \(" % (name, disk), outcome.output)


def test_a_sender_that_dies_stops_the_receivers_everywhere(rack):
    slow_run(rack, *THREE[:2])
    (pid,) = rack.hosts.processes(STORE)
    os.kill(pid, signal.SIGKILL)
    outcome = rack.finish(code=2)

    for reason in outcome.reasons().values():
        assert reason.startswith("store: the sender ended without a result; this node: "), outcome.output
    assert not any(rack.hosts.processes(name) or rack.hosts.runs(name) for name in (*THREE, STORE))
    assert rack.copies() == set()
    for name in THREE[:2]:
        assert outcome.results()[name]["state"] == "failed" and 0 < outcome.results()[name]["bytes"] < 40 * MIB


def test_ports_that_are_filtered_or_refused(rack):
    rack.use(
        *THREE, hosts={"n3": {"dolly_ring_bind": "127.0.0.1"}}, dolly_ring_min_nodes=1,
        dolly_ring_connect_timeout=2, dolly_ring_barrier_timeout=10, dolly_ring_log_dir=str(rack.folder / "logs"),
    )  # fmt: skip
    rack.hosts.filter_port("n2")
    outcome = rack.clone("-l", "rack3", code=2)

    assert rack.copies() == {"n1"}
    for name, why in (("n2", "timed out"), ("n3", "Connection refused")):
        result, place = outcome.results()[name], (rack.hosts.data_address(name), PORT)
        assert result["state"] == "failed" and not result["changed"]
        assert "n1 cannot connect to %s at %s port %d (%s)" % (name, *place, why) in result["reason"]
        assert result["reason"].count("does every firewall between the two let this port through?") == 1
        assert 1 <= len(result["log"]) <= 20 and "listening on port %d" % PORT in " ".join(result["log"])
    assert {node["name"]: node["state"] for node in outcome.summary()["nodes"]} == {
        "n1": "done", "n2": "failed", "n3": "failed",
    }  # fmt: skip
    logs = {path.stem: path.read_text() for path in (rack.folder / "logs").rglob("*.log")}
    assert set(logs) == {*THREE, STORE}
    assert all(line in logs["n2"] for line in outcome.results()["n2"]["log"])


AFTERWARDS = [{"name": "Afterwards", "ansible.builtin.debug": {"msg": "{{ dolly_ring_result.state }}"}}]
NEXT_PLAY = {"hosts": "rack3", "tasks": [{"name": "Next play", "ansible.builtin.debug": {}}]}


#: What later plays and roles know, also of a host that was lost before the ring was built.
LATER = {
    "hosts": "localhost", "tasks": [{"name": "Later", "ansible.builtin.debug": {"msg": (
        "{{ groups['rack3'] | map('extract', hostvars, ['dolly_ring_result', 'state']) | join(' ') }}"
        " {{ hostvars['n4'].dolly_ring_result.reason }}; {{ hostvars['n4'].dolly_ring_summary.state }}"
    )}}],
}  # fmt: skip


def play_with_one_bad_target(rack, *names, **keywords):
    bad = {"n2": {"dolly_ring_dest": "/srv/no-such-folder/clone.img"}, "n4": {"ansible_port": 1}}
    rack.use(*THREE, *names, hosts=bad)
    play = {"hosts": "rack3", "roles": [{"role": "dolly.ring.dolly_ring"}], "tasks": AFTERWARDS, **keywords}
    return rack.play(play, NEXT_PLAY, LATER, code=None)


def test_what_the_play_says_about_failures(rack):
    outcome = play_with_one_bad_target(rack, any_errors_fatal=True)
    assert rack.copies() == set() and not outcome.task("Afterwards") and not outcome.task("Next play")
    assert outcome.failed() == set(THREE)
    reasons = outcome.reasons()
    assert "no-such-folder" in reasons.pop("n2") and set(reasons.values()) == {"not started: see n2"}, reasons
    assert "no-such-folder" in outcome.summary()["msg"]

    ping = [{"name": "Greet", "ansible.builtin.ping": {}}]
    outcome = play_with_one_bad_target(rack, "n4", max_fail_percentage=50, pre_tasks=ping)
    assert outcome.code == 4
    assert rack.copies() == {"n1", "n3"} == set(outcome.task("Afterwards")) == set(outcome.task("Next play"))
    assert outcome.failed() == {"n2"} and "no-such-folder" in outcome.reasons()["n2"]
    assert {node["name"]: node["state"] for node in outcome.summary()["nodes"]} == {
        "n1": "done", "n2": "failed", "n3": "done", "n4": "unreachable",
    }  # fmt: skip
    later = outcome.task("Later")["localhost"]["msg"]
    assert later == "done failed done unreachable lost before the ring was built; partial", later


def test_hosts_that_do_not_move_together_are_refused(rack):
    rack.use(*THREE)
    for keywords, told in ({"serial": 2}, "remove 'serial'"), ({"strategy": "free"}, "bypasses the host loop"):
        play = {"hosts": "rack3", "roles": [{"role": "dolly.ring.dolly_ring"}], **keywords}
        assert told in rack.play(play, code=None).output
    assert rack.copies() == set() and rack.left_over() == []
