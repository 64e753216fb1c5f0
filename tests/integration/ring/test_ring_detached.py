# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Receivers and senders as the modules start them: detached, each in its run directory."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import DollyError, Refused
from ansible_collections.dolly.ring.plugins.module_utils.dolly.run.launch import await_listening, launch
from ansible_collections.dolly.ring.plugins.module_utils.dolly.run.rundir import RunDir
from ansible_collections.dolly.ring.tests.integration.ring import images
from ansible_collections.dolly.ring.tests.integration.ring.images import CHUNK
from ansible_collections.dolly.ring.tests.integration.ring.processes import until

SECRET = b"a secret that is easy to recognise wherever it turns up"
IMAGE_SIZE = CHUNK + 77

LAUNCHER = """
import json, sys
from dolly.run.launch import launch
from dolly.run.rundir import RunDir
base, config = sys.argv[1:]
launch(RunDir(base, "run-1", "one"), "receiver", json.loads(config), sys.stdin.buffer.read())
"""


@pytest.fixture
def detached(folder):
    """Starts engines in run directories below `folder`; none is left in the end."""
    rundirs = []

    def start(directory, mode, base="run", **config):
        rundir = RunDir(str(folder / base), "run-1", directory)
        rundirs.append(rundir)
        launch(rundir, mode, dict(config, run_id="run-1", bind="127.0.0.1"), SECRET)
        return rundir

    yield start
    for rundir in rundirs:
        print("--- %s\n%s" % (rundir.path, "\n".join(rundir.log_tail(50))))
        assert rundir.stop(5)
        rundir.remove()


def receiver(detached, name, target, **config):
    rundir = detached(name, "receiver", name=name, target=str(target), **config)
    return rundir, {"name": name, "host": "127.0.0.1", "port": await_listening(rundir, 30)["port"]}


def result(rundir):
    until(lambda: rundir.read_result() is not None and not rundir.is_running(), "the result of " + rundir.path)
    return rundir.read_result()


def test_a_run_of_two_nodes_on_one_machine(detached, folder):
    image = images.make_image(folder / "image", IMAGE_SIZE)
    one, first = receiver(detached, "one", folder / "one.img")
    two, second = receiver(detached, "two", folder / "two.img")
    sender = detached("sender", "sender", source=str(image), nodes=[first, second], compute_sha256=True)
    whole = result(sender)
    assert (whole["state"], whole["error"]) == ("done", None)
    assert whole["sha256"] == images.digest(image)
    assert [(node["name"], node["state"], node["position"]) for node in whole["nodes"]] == [
        ("one", "done", 1),
        ("two", "done", 2),
    ]
    for rundir, position in ((one, 1), (two, 2)):
        own = result(rundir)
        assert own["state"] == "done" and own["changed"] and own["verified"] and own["synced"]
        assert (own["bytes"], own["position"], own["digest"]) == (IMAGE_SIZE, position, whole["digest"])
        assert images.digest(folder / ("%s.img" % rundir.path.rpartition("/")[2])) == images.digest(image)
    for rundir in (one, two, sender):
        _check_no_secret(rundir)


def test_two_receivers_with_one_target(detached, folder):
    image = images.make_image(folder / "image", IMAGE_SIZE)
    nodes = [receiver(detached, name, folder / "same.img")[1] for name in ("one", "two")]
    sender = detached("sender", "sender", source=str(image), nodes=nodes, min_nodes=1)
    whole = result(sender)
    assert images.digest(folder / "same.img") == images.digest(image)
    assert [node["state"] for node in whole["nodes"]].count("done") == 1
    assert whole["state"] == "partial"


@pytest.mark.parametrize("compare", [False, True])
def test_two_hosts_with_one_target_when_all_are_needed(detached, folder, compare):
    """As on a shared file system: the hosts see nothing of each other but the target. One was written all the same."""
    image, target = images.make_image(folder / "image", IMAGE_SIZE), folder / "shared.img"
    target.write_bytes(b"what was there before")
    started = [receiver(detached, name, target, base="run-" + name) for name in ("one", "two")]
    nodes = [node for _rundir, node in started]
    whole = result(detached("sender", "sender", source=str(image), nodes=nodes, compare=compare))
    assert (whole["state"], whole["error"]["kind"]) == ("failed", "NotEnoughNodes")
    assert "for each node a target of its own" in whole["error"]["message"]
    assert [result(rundir)["changed"] for rundir, _node in started] == [False, False]
    assert target.read_bytes() == b"what was there before"
    assert not list(folder.glob(".*partial"))


def test_it_is_up_soon(detached, folder):
    began_at = time.monotonic()
    rundir, _node = receiver(detached, "one", folder / "one.img")
    took = time.monotonic() - began_at
    print("a receiver listened %.2f s after its launch" % took)
    assert took < 10  # 1 s is what is wanted, on a machine that has nothing else to do
    assert rundir.stop(5) and not rundir.is_running()


def test_it_survives_whoever_started_it_and_can_be_stopped(folder, engine):
    """Started out of an archive that is removed, as that of an Ansible module is."""
    archive = folder / "payload.zip"
    archive.write_bytes(engine.read_bytes())
    rundir = RunDir(str(folder / "run"), "run-1", "one")
    config = '{"run_id": "run-1", "name": "one", "target": "%s", "bind": "127.0.0.1"}' % (folder / "one.img")
    try:
        launcher = subprocess.run(
            [sys.executable, "-S", "-c", LAUNCHER, rundir.base, config],
            input=SECRET,
            stdout=subprocess.PIPE,  # it would hang here if the receiver kept it open
            env={"PYTHONPATH": str(archive)},
            timeout=60,
            check=True,
        )
        archive.unlink()
        assert launcher.stdout == b""
        await_listening(rundir, 30)
        pid = rundir.process_id()
        assert pid is not None and os.getsid(pid) != os.getsid(0)
        _check_no_secret(rundir)
        assert rundir.stop(5)
        assert not Path("/proc/%d" % pid).exists() or not rundir.is_running()
        assert rundir.read_result()["state"] == "failed"
        assert "SIGTERM" in rundir.read_result()["error"]["message"]
    finally:
        rundir.stop(5)


@pytest.fixture
def core_limit():
    """As large as this process may make it, so that what it starts would leave core files."""
    before = resource.getrlimit(resource.RLIMIT_CORE)
    if before[1] == 0:
        pytest.skip("no process may leave a core file here")
    resource.setrlimit(resource.RLIMIT_CORE, (before[1], before[1]))
    yield before[1]
    resource.setrlimit(resource.RLIMIT_CORE, before)


def core_limit_of(pid):
    limits = Path("/proc/%d/limits" % pid).read_text().splitlines()
    return next(line.split()[4] for line in limits if line.startswith("Max core file size"))


def test_no_core_file_of_a_process_with_the_secret(detached, folder, core_limit):
    rundir, _node = receiver(detached, "one", folder / "one.img")
    assert core_limit_of(rundir.process_id()) == "0"
    assert resource.getrlimit(resource.RLIMIT_CORE)[0] == 0  # whoever starts it has the secret, too


@pytest.mark.parametrize("role", [["--port", "0"], ["-H", "127.0.0.1", "-I", "image", "-O", "copy"]])
def test_no_core_file_of_a_command_with_the_key(folder, engine, core_limit, role):
    images.make_image(folder / "image", IMAGE_SIZE)
    (folder / "key").write_bytes(SECRET)
    (folder / "key").chmod(0o600)
    command = [sys.executable, "-I", str(engine), "--key-file", "key", "-v", *role]
    with subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        try:
            assert any(b"listening on port" in line for line in process.stderr)
            assert core_limit_of(process.pid) == "0"
        finally:
            process.kill()


def test_a_second_one_in_the_same_place_is_refused(detached, folder):
    receiver(detached, "one", folder / "one.img")
    with pytest.raises(Refused, match="still running"):
        detached("one", "receiver", name="one", target=str(folder / "one.img"))


def test_what_keeps_it_from_starting_is_told(detached, folder):
    rundir = detached("sender", "sender", source=str(folder / "no-such-image"), nodes=[])
    with pytest.raises(DollyError, match="no-such-image"):
        await_listening(rundir, 30)
    until(lambda: not rundir.is_running(), "its end")


def _check_no_secret(rundir):
    assert os.stat(rundir.path).st_mode & 0o077 == 0
    for path in Path(rundir.path).iterdir():
        assert SECRET not in path.read_bytes(), path
    pid = rundir.process_id()
    if pid is not None:
        for name in ("cmdline", "environ"):
            assert SECRET not in Path("/proc/%d/%s" % (pid, name)).read_bytes()
