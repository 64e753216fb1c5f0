# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import errno
import io
import os
import signal
import types

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import TargetError
from ansible_collections.dolly.ring.plugins.module_utils.dolly.run import rundir, serve

SECRET = b"s" * 32


@pytest.fixture
def lines(monkeypatch):
    told = []
    monkeypatch.setattr(serve.syslog, "syslog", lambda priority, line: told.append((priority, line)))
    return told


def run(tmp_path, work):
    base = tmp_path / "runs"
    base.mkdir(mode=0o700)
    made = rundir.RunDir(str(base), "run-one", "n1")
    made.create()
    made.write_json("config.json", {"run_id": "run-one", "target": "/dev/sdz"})
    made.write("secret", SECRET)
    return serve.serve(made.path, work)


def test_one_line_at_the_start_and_one_at_the_end(tmp_path, lines):
    assert run(tmp_path, lambda rundir, config, secret: {"state": "done", "bytes": 7}) == 0
    assert [line for _priority, line in lines] == [
        "run run-one: n1 starts, target /dev/sdz",
        "run run-one: n1 ended: done, 7 bytes",
    ]


def test_a_failure_is_told_with_its_reason_and_never_the_secret(tmp_path, lines):
    def work(rundir, config, secret):
        raise TargetError("/dev/sdz", "write", 4096, 5)

    assert run(tmp_path, work) == 1
    (_start, (priority, line)) = lines
    assert priority == serve.syslog.LOG_ERR and "n1 ended: failed" in line and "/dev/sdz failed in write" in line
    assert SECRET.decode() not in str(lines)


def test_whoever_is_told_of_a_signal_learns_where_it_came(monkeypatch):
    """A node at the other end of the ring prints it too."""
    monkeypatch.setenv("MYNODENAME", "n7")
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE)
    before = {number: signal.getsignal(number) for number in numbers}
    stopped = []
    try:
        serve.stop_on_signals(types.SimpleNamespace(stop=stopped.append))
        os.kill(os.getpid(), signal.SIGTERM)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert "dolly on n7 was told to end by SIGTERM" in stopped[0].sentence


def no_room(*_arguments):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_run_directory_ends_no_run(tmp_path, monkeypatch):
    """Status and log are for people: a disk that is half through must not be given up for want of either."""
    made = rundir.RunDir(str(tmp_path), "run-one", "n1")
    monkeypatch.setattr(made, "write_json", no_room)
    err = io.StringIO()
    monkeypatch.setattr(serve.sys, "stderr", err)
    monkeypatch.setattr(serve, "_STATUS_INTERVAL_S", 0.0)
    states = iter(("one", "two"))
    status = serve.StatusFile(made, lambda runner: {"state": next(states)})
    status(None)
    status(None)
    assert err.getvalue().count("the status cannot be written: ") == 1 and "No space left" in err.getvalue()
    monkeypatch.setattr(err, "write", no_room)
    serve.log("nobody will read this")
