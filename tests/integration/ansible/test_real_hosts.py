# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role over ssh: a rack of real sshd hosts, a user who becomes another one, a control node outside the ring."""

from __future__ import annotations

import os
import re
import signal

from ansible_collections.dolly.ring.tests.integration.ring.processes import until
from tests.integration.ansible.real_hosts import NAMES, STORE, USERS

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

    with rack.image.open("r+b") as image:
        for chunk in (7, 30, 59):  # 5 % of them
            image.seek(chunk * MIB + 1000)
            image.write(os.urandom(1000))
    outcome, most = clone_as_nobody_special(rack)
    assert most < 0.06 * 60 * MIB
    assert {result["received_bytes"] for result in outcome.results().values()} == {3 * MIB}
    assert {outcome.stats()[name]["changed"] for name in THREE} == {1}


def slow_run(rack, *names, hosts=None, **more):
    """Start a run of 40 MiB that takes ten seconds; returns when the last host has some of it."""
    rack.use(*names, hosts=hosts, dolly_ring_progress_interval=1, **more)
    rack.write_image(40 * MIB, seed=5)
    rack.hosts.network.limit_second(rack.hosts.indices[STORE], 4 * MIB)
    before = rack.hosts.sent_data(names[-2])
    program = rack.start()
    until(lambda: rack.hosts.sent_data(names[-2]) - before > 2 * MIB or program.has_ended(), "some data")
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


def test_an_interrupted_playbook(rack):
    """Ctrl-C: the run needs nobody to go on, ends by itself, and state=absent removes what it kept."""
    program = slow_run(rack, *THREE[:2])
    program.send(signal.SIGINT)
    rack.finish(code=None)
    assert program.code != 0
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
