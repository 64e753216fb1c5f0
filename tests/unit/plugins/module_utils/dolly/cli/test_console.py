# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said of a run while it goes on, and of the time that it took."""

from __future__ import annotations

import errno
import io
import os
import sys
import time
from types import SimpleNamespace

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.classic.server import ClassicServer
from ansible_collections.dolly.ring.plugins.module_utils.dolly.cli import classic, outcome
from ansible_collections.dolly.ring.plugins.module_utils.dolly.cli.console import (
    LiveLine,
    Progress,
    half_written_line,
    table,
    times_line,
    verdict_lines,
)
from ansible_collections.dolly.ring.plugins.module_utils.dolly.run import serve

MIB = 1 << 20
RESULT = {
    "times": {"read": 1.04, "hash": 3.0, "children": {"n1": {"send": 4.0, "lack": 0.26}}},
    "nodes": [{"name": "n1", "times": {"receive": 1.0, "write": 2.0}}, {"name": "n2"}],
    "limited_by": "n1 target write (2.0 of 3.0 s)",
}


def test_times_in_one_line():
    assert times_line("s", RESULT["times"]) == "seconds of s: read 1.0, hash 3.0, to n1: send 4.0 lack 0.3"
    assert times_line("s", {"children": {"n1": {}}}) == "seconds of s: to n1: nothing"
    assert times_line("s", {}) == ""


def test_only_the_curious_see_the_times():
    assert verdict_lines(RESULT, "s", False) == ["limited by: n1 target write (2.0 of 3.0 s)"]
    assert verdict_lines(RESULT, "s", True) == [
        "seconds of s: read 1.0, hash 3.0, to n1: send 4.0 lack 0.3",
        "seconds of n1: receive 1.0, write 2.0",
        "limited by: n1 target write (2.0 of 3.0 s)",
    ]


def test_nothing_stands_out():
    assert verdict_lines({**RESULT, "limited_by": ""}, "s", False) == []


def test_a_node_is_named_once():
    row = {"name": "n1", "state": "failed"}
    assert table([{**row, "error": {"message": "n1: no way there"}}]).splitlines()[-1] == "n1: no way there"
    assert table([{**row, "error": {"message": "No way to n1."}}]).splitlines()[-1] == "n1: No way to n1."


@pytest.mark.parametrize("healed", [0, 1])
def test_what_happened_has_a_column_where_anything_did(healed):
    row = {"name": "10.0.0.11", "state": "unreachable", "bytes": 1 << 40, "seconds": 86400, "rate": 12e9}
    head, first = table([{**row, "healed": healed}]).splitlines()
    assert head.endswith("happened") == bool(healed) and ("healed once" in first) == bool(healed)
    assert healed or max(len(head), len(first)) <= 80


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_one_line_on_a_terminal_and_many_in_a_log():
    for stream, expected in ((Terminal(), "\r1\x1b[K\r2\x1b[K\n"), (io.StringIO(), "1\n2\n")):
        line = LiveLine(stream, False)
        for now, text in ((100.0, "1"), (200.0, "2"), (300.0, "2"), (400.0, "")):
            assert line.is_due(now)
            line.show(text, now)
        line.finish()
        assert stream.getvalue() == expected
    assert not LiveLine(io.StringIO(), True).is_due(100.0)


class Shown:
    """What a reporter writes, at moments that the test chooses."""

    def __init__(self, kind, monkeypatch, **options):
        self.now = 100.0
        self.stream = io.StringIO()
        self.reporter = kind(self.stream, False, **options)
        monkeypatch.setattr(time, "monotonic", lambda: self.now)

    def after(self, seconds, runner):
        """The lines that are new."""
        self.now += seconds
        begin = len(self.stream.getvalue())
        self.reporter(runner)
        return self.stream.getvalue()[begin:].splitlines()


def a_node(*held, size=10 * MIB, states=()):
    rows = [SimpleNamespace(held=count, state="receiving") for count in held]
    for row, state in zip(rows, states):
        row.state = state
    ledger = SimpleNamespace(image=SimpleNamespace(covered=size))
    return SimpleNamespace(board=SimpleNamespace(all=lambda: rows), ledger=ledger, plan=None)


class Full(io.StringIO):
    """Where there is no room."""

    def __init__(self, is_terminal):
        super().__init__()
        self.isatty = lambda: is_terminal

    def flush(self):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("stream", [Full(True), Full(False), None], ids=["a terminal", "a full disk", "closed"])
def test_progress_that_cannot_be_shown_ends_no_run(stream, monkeypatch):
    monkeypatch.setattr(sys, "stderr", stream)
    line = LiveLine(stream, False)
    line.show("half of it", 1000.0)
    line.log("something happened")
    line.finish()


@pytest.mark.parametrize("is_json", [True, False])
def test_a_result_that_cannot_be_printed(is_json, monkeypatch, capsys):
    options = SimpleNamespace(is_json=is_json, is_quiet=False)
    outcome.tell(options, {"state": "done"}, 0, "all is well", Full(False))
    assert "the result cannot be printed: No space left on device" in capsys.readouterr().err
    monkeypatch.setattr(sys, "stdout", None)
    outcome.tell(options, {"state": "done"}, 0, "all is well")
    assert capsys.readouterr().err == ""


def test_a_locale_without_the_letters():
    latin = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    outcome.tell(SimpleNamespace(is_json=False, is_quiet=False), {}, 0, "host\u0142: done", latin)
    assert latin.buffer.getvalue() == b"host\\u0142: done\n"


def test_how_far_a_ring_is(monkeypatch):
    shown = Shown(Progress, monkeypatch)
    assert shown.after(0, SimpleNamespace(board=SimpleNamespace(all=list), ledger=None, plan=None)) == []
    assert shown.after(0, a_node(0, size=None)) == []  # nobody knows how much a pipe will bring
    assert shown.after(0, a_node(0, 0)) == ["  0.0 %  0 B of 10.5 MB  0 B/s  ETA -  nodes done 0 of 2"]
    assert shown.after(1, a_node(5, 5)) == []
    assert shown.after(4, a_node(9 * MIB, 5 * MIB)) == [
        " 50.0 %  5.2 MB of 10.5 MB  1 MB/s  ETA 5 s  nodes done 0 of 2"
    ]
    # Those that have ended are not waited for.
    assert shown.after(5, a_node(10 * MIB, 10, states=["done", "lost"]))[0].endswith("nodes done 1 of 2")
    assert shown.after(5, a_node(9 * MIB, 10, states=["verifying", "lost"]))[0].startswith(" 90.0 %")


def test_how_far_a_ring_is_in_bytes_of_what_comes_out(monkeypatch):
    shown = Shown(Progress, monkeypatch, uncompressed_size=40 * MIB)
    assert shown.after(0, a_node(5 * MIB // 2))[0].startswith(" 25.0 %  10.5 MB of 41.9 MB  0 B/s  ETA -")


def a_runner(progress, total, hosts=0):
    runner = ClassicServer.__new__(ClassicServer) if hosts else SimpleNamespace(progress=progress)
    runner.flow = SimpleNamespace(total=total)
    if hosts:
        runner._children = [SimpleNamespace(error=None, sent=progress)]
        runner.ring = SimpleNamespace(hosts=["host"] * hosts)
    return runner


@pytest.mark.parametrize("hosts, who", [(0, ""), (3, "  nodes 3")])
def test_how_far_a_classic_ring_is(monkeypatch, hosts, who):
    shown = Shown(classic.Progress, monkeypatch)
    assert shown.after(0, a_runner(0, None, hosts)) == []
    assert shown.after(5, a_runner(1000, None, hosts)) == []  # a rate needs two of them
    assert shown.after(5, a_runner(5 * MIB, None, hosts)) == ["5.2 MB  1 MB/s" + who]
    assert shown.after(5, a_runner(10 * MIB, 15 * MIB, hosts)) == [
        " 66.7 %  10.5 MB of 15.7 MB  1 MB/s  ETA 5 s" + who
    ]
    assert shown.after(5, a_runner(15 * MIB, 15 * MIB, hosts)) == [
        "100.0 %  15.7 MB of 15.7 MB  waiting for the last answer" + who
    ]


def test_how_far_a_classic_ring_is_in_bytes_of_what_comes_out(monkeypatch):
    shown = Shown(classic.Progress, monkeypatch, uncompressed_size=40 * MIB)
    shown.after(0, a_runner(1000, 10 * MIB))
    assert shown.after(5, a_runner(5 * MIB, 10 * MIB)) == [" 50.0 %  21 MB of 41.9 MB  4.2 MB/s  ETA 5 s"]
    assert shown.after(5, a_runner(10 * MIB, 10 * MIB)) == [
        "100.0 %  41.9 MB of 41.9 MB  waiting for the last answer"
    ]


EVIL = "\x1b]0;title\x07\x1b[2J\r\u202e\x9b1m\n2026-01-01 00:00:00 done"


def everything(is_terminal, monkeypatch):
    """All that this program prints, each time with somebody else's words."""
    stream = Terminal() if is_terminal else io.StringIO()
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, stream)
    line = LiveLine(stream, False)
    line.log("child: " + EVIL)
    line.show("50 % " + EVIL, 100.0)
    line.finish()
    serve.log("child: " + EVIL)
    outcome.warn(EVIL)
    row = {"name": "n1" + EVIL, "state": EVIL, "error": {"message": EVIL}}
    options = SimpleNamespace(is_json=False, is_quiet=False)
    outcome.tell(options, {}, 1, table([row]) + half_written_line({"half_written": True, "target": {"path": EVIL}}))
    outcome.tell(SimpleNamespace(is_json=True), {"name": EVIL}, 1, "")
    return stream.getvalue()


@pytest.mark.parametrize("is_terminal", [True, False])
def test_words_of_peers_are_shown_as_text(is_terminal, monkeypatch):
    told = everything(is_terminal, monkeypatch)
    own = told.replace("\r50 %", "50 %").replace("\x1b[K\n", "\n") if is_terminal else told
    assert all(line.isprintable() for line in own.split("\n"))
    assert not any(line.startswith("2026-01-01") for line in own.split("\n"))
    assert "\\x1b]0;title\\x07" in own


def test_who_is_waited_for_before_the_start(monkeypatch):
    """Nodes may take ten seconds to be dialled, and a minute to get ready."""
    shown = Shown(Progress, monkeypatch)
    nodes = [SimpleNamespace(name="n%d" % rank) for rank in range(8)]
    server = a_node(size=None)
    server.plan, server.rank, server.has_begun = SimpleNamespace(nodes=nodes), 0, False
    words = [SimpleNamespace(rank=1, state="ready"), SimpleNamespace(rank=2, state="waiting")]
    server.board = SimpleNamespace(all=lambda: words)
    assert shown.after(0, server) == []  # most runs begin at once
    assert shown.after(2.5, server) == ["1 of 7 nodes are ready, waiting for n2, n3, n4, n5 and 2 more"]
    words = [SimpleNamespace(rank=rank, state="ready") for rank in range(1, 8)]
    assert shown.after(5, server) == ["7 of 7 nodes are ready"]


def test_a_reason_that_is_told_anyway_is_not_told_twice():
    nodes = [
        {"name": "n1", "state": "unreachable", "error": {"message": "server cannot connect to n1 port 1 (refused)."}},
        {"name": "n2", "state": "failed", "error": {"message": "The run ended before it began (too few)."}},
        {"name": "n3", "state": "failed", "error": {"message": "n3: no room"}},
    ]
    told = "too few: server cannot connect to n1 port 1 (refused)"
    assert table(nodes, told).splitlines()[4:] == ["n2: The run ended before it began (too few).", "n3: no room"]
    assert len(table(nodes, "too few.").splitlines()) == 6
    assert len(table(nodes).splitlines()) == 7
