# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an operator sees and can hook into, and what is left when the control node is interrupted."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time

import pytest

from tests.integration.ansible.conftest import find_playbook_command


def role_play(**keywords):
    return {"hosts": "rack3", "roles": [{"role": "dolly.ring.dolly_ring"}], **keywords}


def write_tasks(path, name):
    line = "echo {{ inventory_hostname }} {{ (dolly_ring_result | default({})).state | default('-') }}"
    shell = {"ansible.builtin.shell": "%s >> %s" % (line, path.parent / (name + ".seen"))}
    path.write_text(json.dumps([{"name": "Hook " + name, **shell}]))


def seen(lab, name):
    path = lab.folder / (name + ".seen")
    return sorted(path.read_text().splitlines()) if path.exists() else []


def test_two_images_in_rack_order_with_hooks_logs_and_a_host_that_fails_alone(lab):
    second = lab.folder / "data.img"
    second.write_bytes(os.urandom(70_000))
    hooks = ("before", "after", "on_failure")
    for name in hooks:
        write_tasks(lab.folder / (name + ".yml"), name)
    target = str(lab.targets) + "/{{ inventory_hostname }}"
    images = [
        {"name": "root", "source": str(lab.image), "dest": target + ".img"},
        {"name": "data", "source": str(second), "dest": "{{ data_dest | default(own_data) }}"},
    ]
    lab.write_inventory(
        {"rack3": {
            "n1": {"rack": "a"}, "n2": {"rack": "b"}, "n3": {"rack": "a"},
            "n4": {"rack": "b", "data_dest": "/no-such-folder/data"},
        }},
        own_data=target + ".data", dolly_ring_images=images,
        dolly_ring_order_by=["rack"], dolly_ring_log_dir=str(lab.folder / "logs"),
        dolly_ring_report=str(lab.folder / "report.html"),
        **{"dolly_ring_" + name: name + ".yml" for name in hooks},
    )
    outcome = lab.play(role_play(max_fail_percentage=30), code=2)

    assert outcome.failed() == {"n4"}, outcome.reasons()
    assert lab.copies() == {"n1", "n2", "n3"}  # the second target of n4 was refused before the first was written
    assert all((lab.targets / (name + ".data")).read_bytes() == second.read_bytes() for name in ("n1", "n2", "n3"))
    assert [node["name"] for node in outcome.summary()["nodes"]][:3] == ["n1", "n3", "n2"]
    assert "no-such-folder" in outcome.reasons()["n4"]
    assert outcome.output.count("FAILED!") == 1
    assert seen(lab, "before") == ["n1 -", "n2 -", "n3 -", "n4 -"]
    assert seen(lab, "after") == ["n1 done", "n2 done", "n3 done"]
    assert seen(lab, "on_failure") == ["n4 failed"]
    logs = {path.name for path in (lab.folder / "logs").rglob("*.log")}
    assert logs == {"localhost.log", "n1.log", "n2.log", "n3.log"}
    assert not [path for path in lab.runs.rglob("*") if not path.is_dir()]
    check_report(lab.folder / "report-root.html", "3 of 4 hosts hold the image. Not n4.")


def check_report(page, headline):
    """In a browser that has no network, with the data of the run beside it."""
    text = page.read_text("utf-8")
    assert not re.search(r"(?i)<script|<link|<img|url\((?!#)|(src|href)\s*=", text)
    data = json.loads(page.with_suffix(".json").read_text("utf-8"))
    assert {one["what"] for one in data["history"]["events"]} >= {"done"} and data["history"]["began"] > 0
    assert "dolly_ring__secret" not in text + json.dumps(data)
    browser = shutil.which("chromium-headless-shell")
    if browser is None:
        pytest.skip("there is no chromium-headless-shell")
    command = [browser, "--no-sandbox", "--disable-gpu", "--dump-dom", "--user-data-dir=%s" % (page.parent / "browser")]
    done = subprocess.run([*command, page.as_uri()], capture_output=True, text=True, timeout=60, check=True)
    assert headline in re.search(r"<h1[^>]*>(.*?)</h1>", done.stdout).group(1)
    assert done.stdout.count("<circle") >= 5 and "no-such-folder" in done.stdout and "n4" in done.stdout


def is_alive(pid):
    try:
        with open("/proc/%d/stat" % pid, encoding="ascii", errors="replace") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def await_that(happens, what, seconds=60):
    give_up_at = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < give_up_at, "not within %d s: %s" % (seconds, what)
        time.sleep(0.2)


def test_progress_is_shown_and_an_interrupted_play_leaves_nothing_that_lasts(lab):
    """n2 is announced under an address where nobody is, so that the run waits for it."""
    lab.write_inventory(
        {"rack3": {"n1": {}, "n2": {"dolly_ring_address": "192.0.2.1"}}},
        dolly_ring_barrier_timeout=15, dolly_ring_join_timeout=20, dolly_ring_progress_interval=1,
        dolly_ring_connect_timeout=2,
    )
    record = lab.folder / "record.jsonl"
    log = lab.folder / "output"
    command = [find_playbook_command(), "-i", str(lab.inventory), "dolly.ring.clone", "-l", "rack3"]
    with open(log, "wb") as output:
        process = subprocess.Popen(
            command, env=lab.environment(record), cwd=str(lab.folder), stdin=subprocess.DEVNULL, stdout=output,
            stderr=output,
        )
    try:
        await_that(lambda: b"dolly.ring: " in log.read_bytes() or process.poll() is not None, "a line of progress")
        process.send_signal(signal.SIGINT)
        assert process.wait(60) != 0
    finally:
        process.kill()
        process.wait()
    text = log.read_text("utf-8")
    (line, *dummy) = [line for line in text.splitlines() if line.startswith("dolly.ring: ")]
    assert "nodes: 0 of " in line and all(sign.isprintable() or sign == "\n" for sign in text)

    statuses = list(lab.runs.glob("*/*/process.json"))
    pids = [json.loads(path.read_text())["pid"] for path in statuses]
    assert {path.parent.name for path in statuses} == {"localhost", "n1", "n2"}
    await_that(lambda: not any(is_alive(pid) for pid in pids), "the end of all processes")
    (run,) = {path.parent.parent.name for path in statuses}
    common = {"state": "absent", "run_id": run, "run_dir": str(lab.runs)}
    client = {"dolly.ring.dolly_client": {**common, "name": "{{ inventory_hostname }}"}}
    server = {"dolly.ring.dolly_server": {**common, "name": "localhost"}, "delegate_to": "localhost"}
    lab.play({"hosts": "rack3", "tasks": [client, server]})
    assert list(lab.runs.iterdir()) == [] and list(lab.targets.iterdir()) == []


def test_a_callback_for_programs_stays_as_it_is_and_the_secret_is_in_no_cache(lab):
    secret = "5ec2e75ec2e7" * 6
    cache = lab.folder / "cache"
    outcome = lab.clone(
        "-l", "rack4", "-e", json.dumps({"dolly_ring__secret": secret}),
        ANSIBLE_STDOUT_CALLBACK="jsonl", ANSIBLE_CACHE_PLUGIN="jsonfile", ANSIBLE_CACHE_PLUGIN_CONNECTION=str(cache),
    )
    assert lab.copies() == {"m1", "m2"}
    assert {name for line in outcome.output.splitlines() for name in json.loads(line)} == {"m1", "m2"}
    assert not [path for path in cache.rglob("*") if path.is_file() and secret in path.read_text("utf-8")]
