# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A launched engine is nobody's child, holds nothing of its parent's, and ends by itself."""

from __future__ import annotations

import os
import sys
import time

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import DollyError, Refused, TimedOut
from ansible_collections.dolly.ring.plugins.module_utils.dolly.run.launch import await_listening, launch
from ansible_collections.dolly.ring.plugins.module_utils.dolly.run.rundir import RunDir

SECRET = b"0123456789abcdef" * 2
PATIENCE_S = 20.0


@pytest.fixture
def rundir(tmp_path):
    made = RunDir(str(tmp_path / "base"), "run-1", "node")
    yield made
    made.stop(5.0)


@pytest.fixture
def config(tmp_path):
    return {"run_id": "run-1", "name": "node", "target": str(tmp_path / "target"), "bind": "127.0.0.1", "port": 0}


def read(pid, name):
    with open("/proc/%d/%s" % (pid, name), "rb") as file:
        return file.read()


def await_end(rundir):
    give_up_at = time.monotonic() + PATIENCE_S
    while rundir.read_result() is None or rundir.is_running():
        assert time.monotonic() < give_up_at, rundir.log_tail()
        time.sleep(0.01)
    return rundir.read_result()


def test_receiver(rundir, config, tmp_path):
    with open(str(tmp_path / "held open by the parent"), "wb"):
        launch(rundir, "receiver", config, SECRET)
        status = await_listening(rundir, PATIENCE_S)
    pid = rundir.process_id()
    assert (status["state"], status["pid"]) == ("waiting", pid)
    assert status["port"] > 0
    # Nobody's child, a session of its own.
    fields = read(pid, "stat").rpartition(b")")[2].split()
    assert int(fields[1]) != os.getpid()
    assert os.getsid(pid) != os.getsid(0)
    # Nothing of the parent's is open: standard input and output lead nowhere and to the log.
    opened = {os.readlink("/proc/%d/fd/%s" % (pid, fd)) for fd in os.listdir("/proc/%d/fd" % pid)}
    files = {path for path in opened if path.startswith("/")}
    assert files <= {os.devnull, rundir.file("log"), rundir.file("engine.pyz")}
    assert os.readlink("/proc/%d/fd/0" % pid) == os.devnull
    assert os.readlink("/proc/%d/cwd" % pid) == "/"
    # The secret is nowhere to be seen.
    for secret in (SECRET, SECRET.hex().encode()):
        assert secret not in read(pid, "cmdline") + read(pid, "environ")
        for name in os.listdir(rundir.path):
            with open(rundir.file(name), "rb") as file:
                assert secret not in file.read()
    assert "secret" not in os.listdir(rundir.path)
    # A second one in the same place is refused; the first one listens to SIGTERM.
    with pytest.raises(Refused):
        launch(rundir, "receiver", config, SECRET)
    assert rundir.stop(PATIENCE_S)
    assert rundir.read_result()["error"]["kind"] == "Aborted"
    assert not os.path.exists(config["target"])


def test_ends_when_nobody_calls(rundir, config):
    launch(rundir, "receiver", dict(config, join_timeout=0.3), SECRET)
    result = await_end(rundir)
    assert (result["state"], result["error"]["kind"]) == ("failed", "TimedOut")
    assert result["error"]["option"] == "join_timeout"


def test_what_it_fails_with_is_passed_on(rundir, config, tmp_path):
    broken = dict(config, source=str(tmp_path / "missing"), nodes=[{"name": "a", "host": "h", "port": 1}])
    launch(rundir, "sender", broken, SECRET)
    with pytest.raises(DollyError, match="missing"):
        await_listening(rundir, PATIENCE_S)
    await_end(rundir)


def test_a_start_that_takes_too_long(tmp_path):
    rundir = RunDir(str(tmp_path / "base"), "run-1", "node")
    rundir.create()
    rundir.write("log", b"Traceback\n")
    with pytest.raises(TimedOut, match="Traceback"):
        await_listening(rundir, 0.05)


def test_an_interpreter_that_is_not_there(rundir, config, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    launch(rundir, "receiver", config, SECRET)
    with pytest.raises(TimedOut):
        await_listening(rundir, 0.2)
