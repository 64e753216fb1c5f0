# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The two modules, without the role."""

from __future__ import annotations

import json
import os
import signal
import threading
import time

from ansible_collections.dolly.ring.tests.integration.ring.networks import free_port

SECRET = "0badc0de" * 8
RUN = {"run_id": "test-run", "run_dir": "{{ dolly_ring_run_dir }}"}
NODE = {**RUN, "name": "{{ inventory_hostname }}"}
SERVER = {**RUN, "name": "server"}
SHORT = {"dead_after": 5, "stall_timeout": 10, "connect_timeout": 2}
NODES = "{{ ansible_play_hosts_all | map('extract', hostvars, ['receiver', 'node']) | list }}"


def client(state, **options):
    return {"dolly.ring.dolly_client": {**NODE, "state": state, **options}, "name": "client " + state}


def server(state, **options):
    task = {"dolly.ring.dolly_server": {"state": state, **options}, "name": "server " + state}
    return {**task, "delegate_to": "localhost", "run_once": True}


LOOK = {**server("inspected", source="{{ dolly_ring_source }}"), "register": "image"}
START = {
    **client(
        "started",
        dest="{{ dolly_ring_dest }}",
        source="{{ image.source }}",
        secret=SECRET,
        address="{{ dolly_ring_address }}",
        port=0,
        join_timeout=60,
        orphan_timeout=10,
        **SHORT,
    ),
    "register": "receiver",
}
STREAM = {
    **server(
        "finished",
        source="{{ dolly_ring_source }}",
        secret=SECRET,
        nodes=NODES,
        port=0,
        min_nodes=1,
        barrier_timeout=30,
        **SERVER,
        **SHORT,
    ),
    "register": "stream",
}
COLLECT = client("finished", timeout=60)
CLEAN = [client("absent"), server("absent", **SERVER)]


def start_with(**options):
    return {**START, "dolly.ring.dolly_client": {**START["dolly.ring.dolly_client"], **options}}


def play(*tasks, hosts="rack3"):
    return {"hosts": hosts, "tasks": list(tasks)}


def test_a_run_by_hand(lab):
    again = {**STREAM, "name": "server again"}
    clean_again = [{**task, "name": task["name"] + " again"} for task in CLEAN]
    outcome = lab.play(play(LOOK, START, STREAM, again, COLLECT, *CLEAN, *clean_again))

    assert lab.copies() == {"n1", "n2", "n3", "n4"}
    image = outcome.task("server inspected")["n1"]
    assert image["size"] == image["source"]["size"] == lab.image.stat().st_size
    assert image["kind"] == "file" and image["changed"] is False
    started = outcome.task("client started")["n1"]
    assert started["node"] == {"name": "n1", "host": "127.0.0.1", "port": started["port"], "extra": []}
    assert started["address_rule"] == "address" and started["port"] > 0
    stream = outcome.task("server finished")["n1"]
    assert stream["state"] == "done"
    places = {node["name"]: node["position"] for node in stream["nodes"]}
    assert list(places.items()) == [("n1", 1), ("n2", 2), ("n3", 3), ("n4", 4)]
    assert outcome.task("server again")["n1"]["nodes"] == stream["nodes"]
    for name, result in outcome.task("client finished").items():
        assert result["changed"] and result["verified"] and result["synced"], name
        assert result["digest"] == stream["digest"]
    assert all(result["changed"] for result in outcome.task("client absent").values())
    assert not any(result["changed"] for result in outcome.task("client absent again").values())
    assert outcome.task("server absent again")["n1"]["changed"] is False
    assert lab.left_over() == []
    assert SECRET not in outcome.output + json.dumps(outcome.events)


def receiver_pids(lab):
    return {
        path.parent.name: json.loads(path.read_text())["pid"] for path in lab.runs.glob("test-run/*/status.json")
    }


def is_ended(pid):
    """Whether it is gone, or waits only for a parent to notice."""
    try:
        with open("/proc/%d/stat" % pid, encoding="ascii", errors="replace") as stat:
            return stat.read().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_receivers_outlive_the_play_and_a_killed_one_fails_alone(lab):
    started = lab.play(play(LOOK, START))
    pids = receiver_pids(lab)
    assert set(pids) == {"n1", "n2", "n3", "n4"}
    for pid in pids.values():
        os.kill(pid, 0)
    os.kill(pids["n2"], signal.SIGKILL)

    nodes = [result["node"] for dummy, result in sorted(started.task("client started").items())]
    stream = json.loads(json.dumps(STREAM).replace(json.dumps(NODES), json.dumps(nodes)))
    outcome = lab.play(play(stream, COLLECT), play(*CLEAN), code=2)

    assert outcome.failed() == {"n2"}
    assert lab.copies() == {"n1", "n3", "n4"}
    assert outcome.task("server finished")["n1"]["state"] == "partial"
    states = {node["name"]: node["state"] for node in outcome.task("server finished")["n1"]["nodes"]}
    assert states.pop("n2") != "done" and set(states.values()) == {"done"}
    assert "without a result" in outcome.task("client finished")["n2"]["msg"]


def server_status(lab):
    """Each node's state, by the status file of the server's process."""
    path = lab.runs / "test-run" / "server" / "status.json"
    nodes = json.loads(path.read_text())["nodes"] if path.exists() else []
    return {node["name"]: node["state"] for node in nodes}


def until(is_so, seconds=90.0):
    give_up_at = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < give_up_at, "waited in vain"
        time.sleep(0.05)


def test_a_receiver_that_is_started_while_the_run_goes_on(lab):
    """n4 is stopped for a while, or the run would be over too soon for n2 to be late."""
    port = free_port("127.0.0.1")
    patient = {"dead_after": 300, "stall_timeout": 300, "connect_timeout": 15, "barrier_timeout": 60, "fanout": 4}
    started = lab.play(play(LOOK, start_with(dead_after=300), hosts="n1:n3:n4"))
    nodes = {name: result["node"] for name, result in started.task("client started").items()}
    nodes["n2"] = {"name": "n2", "host": "127.0.0.1", "port": port, "extra": []}
    order = [nodes[name] for name in ("n1", "n2", "n3", "n4")]
    stream = json.loads(json.dumps(STREAM).replace(json.dumps(NODES), json.dumps(order)))
    stream["dolly.ring.dolly_server"].update(patient, min_nodes=3)
    begin = {**stream, "dolly.ring.dolly_server": {**stream["dolly.ring.dolly_server"], "wait": 1}}
    pid = receiver_pids(lab)["n4"]

    def stop():  # beside the play, which may take longer to end than the start takes to come
        until(lambda: server_status(lab).get("n4") == "ready")
        os.kill(pid, signal.SIGSTOP)

    stopper = threading.Thread(target=stop, name="stopper")
    stopper.start()
    try:
        lab.play(play(begin, hosts="n1"))
        stopper.join(90.0)
        until(lambda: server_status(lab).get("n3") == "done")
        assert server_status(lab)["n2"] == "unreachable"
        lab.play(play(LOOK, start_with(port=port), hosts="n2"))
        until(lambda: server_status(lab).get("n2") == "done")
    finally:
        os.kill(pid, signal.SIGCONT)
    outcome = lab.play(play(stream, COLLECT), play(*CLEAN))

    assert lab.copies() == {"n1", "n2", "n3", "n4"}
    assert {name for name, told in outcome.task("client finished").items() if told["late"]} == {"n2"}
    told = {node["name"]: node for node in outcome.task("server finished")["n1"]["nodes"]}
    assert {name for name, node in told.items() if node["late"]} == {"n2"}
    assert {node["state"] for node in told.values()} == {"done"}
    assert [told[name]["demoted"] for name in sorted(told)] == [False] * 4


def test_a_target_that_has_become_another_one_is_refused_before_it_is_written_to(lab):
    """Minutes may pass between the check and the start, in which a name can get another meaning."""
    link, precious = lab.targets / "n1.img", lab.folder / "precious"
    link.symlink_to(lab.folder / "meant")
    precious.write_text("data")
    switch = {"ansible.builtin.command": "ln -sfn %s %s" % (precious, link), "run_once": True}
    outcome = lab.play(play(LOOK, START, switch, STREAM, COLLECT), play(*CLEAN), code=2)
    assert outcome.failed() == {"n1"} and lab.copies() == {"n2", "n3", "n4"}
    collected = outcome.task("client finished")["n1"]
    assert "when it was checked: that was the file %s on" % (lab.folder / "meant") in collected["msg"]
    assert "now it is the file %s on" % precious in collected["msg"] and collected["changed"] is False
    assert precious.read_text() == "data" and not (lab.folder / "meant").exists()
    assert sorted(path.name for path in lab.folder.glob(".*partial")) == []


def test_absent_ends_a_receiver_that_waits(lab):
    lab.play(play(LOOK, START, hosts="n1"))
    (pid,) = receiver_pids(lab).values()
    outcome = lab.play(play(client("absent"), hosts="n1"))

    assert outcome.task("client absent")["n1"]["changed"] is True
    assert is_ended(pid)
    assert lab.left_over() == [] and not lab.target("n1").exists()


def test_the_word_of_the_server_ends_the_wait_for_a_receiver_that_was_left_out(lab):
    reported = {"state": "unreachable", "error": {"kind": "PeerLost", "message": "no route to n1"}}
    outcome = lab.play(play(LOOK, START, client("finished", reported=reported), hosts="n1"), code=2)

    assert outcome.task("client finished")["n1"]["msg"] == "nothing was written: no route to n1"
    lab.play(play(client("absent"), hosts="n1"))


def test_bad_options_are_named_before_anything_happens(lab):
    source = {"source": "{{ dolly_ring_source }}", "secret": SECRET, "nodes": [{"name": "a", "host": "h", "port": 1}]}
    cases = {
        "checksum": server("inspected", source="{{ dolly_ring_source }}", checksum="md5:1"),
        "source": server("inspected", source="node.img"),
        "no-such-image": server("inspected", source="/no-such-image"),
        "fanout": server("finished", **{**SERVER, **source, "fanout": 0}),
        "min_nodes": server("finished", **{**SERVER, **source, "min_nodes": 2}),
        "nodes.port": server("finished", **{**SERVER, **source, "nodes": [{"name": "a", "host": "h", "port": 0}]}),
        "nodes.name": server("finished", **{**SERVER, **source, "nodes": [{"name": "server", "host": "h", "port": 1}]}),
        "secret": server("finished", **{**SERVER, **source, "secret": "abcd"}),
        "run_id": server("absent", run_id="../x"),
        "name": client("absent", name=".."),
        "interface": start_with(address="", interface="nope0"),
        "dest": start_with(dest="x.img"),
    }
    tasks = [{**task, "name": name, "ignore_errors": True} for name, task in cases.items()]
    outcome = lab.play(play(LOOK, *tasks, hosts="n1"))

    for name in cases:
        assert outcome.status(name) == {"n1": "failed"}, name
        assert name in outcome.task(name)["n1"]["msg"]
    assert not lab.runs.exists() and list(lab.targets.iterdir()) == []


def test_an_interface_gives_its_address(lab):
    start = start_with(address="", interface="lo")
    outcome = lab.play(play(LOOK, start, hosts="n1"), arguments=["--check"])

    result = outcome.task("client started")["n1"]
    assert (result["address"], result["address_rule"]) == ("127.0.0.1", "interface")
    assert result["changed"] is True and result["msg"] == "would make the file %s" % lab.target("n1")
    assert not lab.runs.exists()
