# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Terminals, logs and status files that take nothing: nobody waits for them, and nothing is lost while they do."""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
import time
from types import SimpleNamespace

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.cli import outcome
from ansible_collections.dolly.ring.plugins.module_utils.dolly.cli.console import LiveLine
from ansible_collections.dolly.ring.plugins.module_utils.dolly.run import output, rundir, serve

NOT_LONG_S = 10.0


class Stopped(io.StringIO):
    """A terminal that takes nothing until it is told to go on, as after Ctrl-S."""

    def __init__(self):
        super().__init__()
        self.goes_on = threading.Event()

    def isatty(self):
        return True

    def write(self, text):
        assert self.goes_on.wait(NOT_LONG_S)
        return super().write(text)


@pytest.fixture
def stopped():
    stream = Stopped()
    yield stream
    stream.goes_on.set()
    output.finish()
    output._outputs.writers.clear()


def look_at(stream, monkeypatch):
    """Not in the fixture: pytest puts its own streams there when the test begins."""
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(sys, "stdout", stream)


def in_time(began_at):
    return time.monotonic() - began_at < NOT_LONG_S / 2


def test_a_stopped_terminal_holds_nobody_up_and_gets_everything_in_order(stopped, monkeypatch):
    look_at(stopped, monkeypatch)
    monkeypatch.setattr(time, "strftime", lambda form: "now")
    began_at = time.monotonic()
    with output.in_background():
        line = LiveLine(stopped, False)
        line.log("first")
        for number in range(5):
            line.show("%d %%" % number, 100.0 * number)
        serve.log("second")
        line.finish()
        outcome.warn("third")
        outcome.tell(SimpleNamespace(is_json=False, is_quiet=False), {}, 0, "the table")
        outcome.warn("last")
        assert in_time(began_at) and stopped.getvalue() == ""
        stopped.goes_on.set()
    # Of the progress only the newest line is worth anything.
    assert stopped.getvalue() == "now first\n\r4 %\x1b[Know second\n\ndolly: third\nthe table\ndolly: last\n"


def test_a_terminal_that_nobody_starts_again_keeps_no_process(stopped, monkeypatch):
    look_at(stopped, monkeypatch)
    monkeypatch.setattr(output, "TERMINAL_PATIENCE_S", 0.1)
    began_at = time.monotonic()
    with output.in_background():
        outcome.warn("nobody will read this")
    assert in_time(began_at) and output.is_stuck()
    outcome.warn("nor this")  # and it does not wait


def test_ctrl_c_ends_the_wait_for_a_terminal(stopped, monkeypatch):
    look_at(stopped, monkeypatch)
    began_at = time.monotonic()
    threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
    with output.in_background():
        outcome.warn("nobody will read this")
    assert in_time(began_at) and output.is_stuck()


def test_other_streams_go_on_beside_a_stopped_terminal(stopped, monkeypatch):
    """A program reads the document while nobody looks at the terminal."""
    look_at(stopped, monkeypatch)
    pipe = io.StringIO()
    monkeypatch.setattr(sys, "stdout", pipe)
    monkeypatch.setattr(output, "TERMINAL_PATIENCE_S", 0.1)
    with output.in_background():
        outcome.warn("nobody will read this")
        outcome.tell(SimpleNamespace(is_json=True), {"state": "done"}, 0, "")
    assert '"state": "done"' in pipe.getvalue()


def test_a_queue_that_is_full_says_how_much_is_missing():
    told, goes_on = [], threading.Event()
    writer = output.Writer("test", lambda count: told.append("%d missing" % count), capacity=2)
    writer.start()
    writer.put(lambda: goes_on.wait(NOT_LONG_S))
    while writer._queue:
        time.sleep(0.001)
    for number in range(5):
        writer.put(lambda number=number: told.append(number))
    writer.put(lambda: told.append("the last word"), is_needed=True)
    goes_on.set()
    assert writer.finish(lambda: False)
    assert told == [0, 1, "3 missing", "the last word"]


def test_what_cannot_be_written_stops_nothing_behind_it():
    told = []

    def fail():
        raise RuntimeError("a defect")

    writer = output.Writer("test", told.append)
    writer.start()
    writer.put(fail)
    writer.put(lambda: told.append("behind it"))
    assert writer.finish(lambda: False) and told == ["behind it"]


def test_a_run_directory_on_a_disk_that_hangs(tmp_path, monkeypatch):
    """The reactor writes no status itself; the newest one is there at the end."""
    made = rundir.RunDir(str(tmp_path), "run-one", "n1")
    goes_on, written = threading.Event(), []

    def write_json(_name, status):
        assert goes_on.wait(NOT_LONG_S)
        written.append(status["state"])

    monkeypatch.setattr(made, "write_json", write_json)
    monkeypatch.setattr(serve, "_STATUS_INTERVAL_S", 0.0)
    states = iter(("one", "two", "three"))
    status = serve.StatusFile(made, lambda runner: {"state": next(states)})
    with output.in_background():
        for _unused in range(3):
            status(None)
        assert written == []
        goes_on.set()
    assert written[-1] == "three"
