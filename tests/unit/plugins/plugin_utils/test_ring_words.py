# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.ring import progress as ring_progress
from ansible_collections.dolly.ring.plugins.plugin_utils import ring_words


def node(name, state, held=0, **more):
    return {"name": name, "state": state, "held": held, "total": 1000_000_000, "rank": 1, **more}


STATUS = {
    "percent": 62.5,
    "total": 6,
    "nodes": [
        node("n1", "done", 10**9),
        node("n2", "receiving", 600_000_000),
        node("n3", "receiving", 500_000_000, limited_by="disk"),
        node("n4", "lost"),
        node("n5", "receiving", 1, detail={"late": True}),
    ],
}


def test_a_status_becomes_a_few_numbers():
    assert ring_progress.aggregate(STATUS) == {
        "percent": 62.5,
        "held": 500_000_000,
        "size": 10**9,
        "total": 6,
        "done": 1,
        "lost": 1,
        "late": 1,
        "slowest": "n3",
        "limited_by": "disk",
    }
    assert ring_progress.aggregate({})["total"] == 0


def test_a_node_that_serves_others_holds_nobody_up():
    """It has the image, and waits for those below it before it moves a partition table."""
    serving = node("n1", "serving", 10**9)
    late = node("n2", "receiving", 300_000_000, detail={"demoted": True}, limited_by="what it is sent")
    told = ring_progress.aggregate({"nodes": [serving, late, node("n3", "done", 10**9)]})
    assert (told["slowest"], told["held"], told["limited_by"]) == ("n2", 300_000_000, "what it is sent")
    assert ring_progress.aggregate({"nodes": [serving]})["slowest"] == "n1"


def test_without_a_word_the_limit_is_what_took_most_time():
    times = {"receive": 3.0, "write": 4.5, "idle": 9, "hash": "x"}
    told = ring_progress.aggregate({"nodes": [node("n1", "receiving", detail={"times": times})]})
    assert told["limited_by"] == "writing its target"


def test_the_rate_and_the_time_left_are_those_of_the_slowest():
    words = ring_words.ProgressLine()
    progress = ring_progress.aggregate(STATUS)
    assert "- MB/s; ETA -" in words.line(10.0, {**progress, "held": 400_000_000})
    assert words.line(15.0, progress) == (
        "dolly.ring:  62.5 %; 20.0 MB/s; ETA 0:25; nodes: 1 of 6 ok, 1 lost, 1 late; "
        "slowest: n3 at 50 %, limited by disk"
    )


def test_no_line_holds_a_control_character():
    status = {"percent": 1, "nodes": [node("a\x1b[2Jb\n", "receiving", limited_by="x\ry")]}
    line = ring_words.ProgressLine().line(1.0, ring_progress.aggregate(status))
    assert line.isprintable()


@pytest.mark.parametrize("name, is_so", [("default", True), ("ansible.posix.json", False), ("jsonl", False)])
def test_callbacks_for_programs_stay_as_they_are(name, is_so):
    assert ring_words.is_for_people(name) is is_so


@pytest.mark.parametrize("seconds, text", [(0, "0:00"), (59.6, "1:00"), (3599, "59:59"), (3723, "1:02:03")])
def test_duration(seconds, text):
    assert ring_words.duration(seconds) == text


def test_a_forecast_says_what_would_happen_to_each_host():
    hosts = [("n1", "predicted", "would overwrite /dev/sdb (block device), but as it stands: Nothing was written"),
             ("host12", "failed", "it is mounted\x1b (/srv)")]  # fmt: skip
    nodes = [{"name": name, "state": state, "reason": reason} for name, state, reason in hosts]
    summary = {"source": {"path": "/i"}, "server": "head", "msg": "Nothing was written", "digest": "", "nodes": nodes}
    assert ring_words.table(summary) == [
        "/i from head: Nothing was written",
        "node    state        what would happen to it",
        "n1      predicted    would overwrite /dev/sdb (block device)",
        "host12  failed       it is mounted  (/srv)",
    ]


@pytest.mark.parametrize("level, digest, told", [
    ("readback", "ab" * 32, "ab" * 4), ("mac", "", "by MAC"), ("none", "", ""), ("failed", "ab" * 32, ""),
])  # fmt: skip
def test_a_digest_or_why_there_is_none(level, digest, told):
    state = "failed" if level == "failed" else "done"
    assert ring_words.digest_cell({"state": state, "digest": digest, "verified": level != "none"}) == told


def done(name, **more):
    return {"name": name, "state": "done", "position": 1, "bytes": 10**12, "seconds": 5000.1, "rate_mb_s": 199.9,
            "verified": True, "digest": "ab" * 32, **more}  # fmt: skip


def test_a_table_fits_a_terminal_and_says_below_a_node_what_happened_to_it():
    gone = dict.fromkeys(("bytes", "seconds", "rate_mb_s", "verified"), 0)
    gone.update(name="n2", state="unreachable", position=None, digest="")
    nodes = [done("rack3-n1.local", healed=1, stalled=0.25), gone]
    summary = {"source": {"path": "/i"}, "server": "head", "digest": "ab" * 32, "nodes": nodes,
               "msg": "sent 1000000000000 bytes to 1 of 1 nodes in 5000.1 s"}  # fmt: skip
    lines = ring_words.table(summary)
    assert max(map(len, lines)) < 80
    assert lines == [
        "/i from head: sent 1000000000000 bytes to 1 of 1 nodes in 5000.1 s;",
        "    1 of 2 hosts hold it, not n2",
        "digest " + "ab" * 32,
        "pos  node            state               MB       s   MB/s  verified  digest",
        "  1  rack3-n1.local  done         1000000.0  5000.1  199.9  yes       abababab",
        "     healed once (0.2 s without data)",
        "  -  n2              unreachable        0.0     0.0    0.0  no",
    ]


@pytest.mark.parametrize("state", ["done", "predicted"])
def test_a_note_is_shown_once_with_the_hosts_that_it_is_about(state):
    noted = {"a": "no\x1b table", "b": "no\x1b table", "c": "a table"}
    nodes = [done(name, state=state, reason="", notes=[note]) for name, note in noted.items()]
    summary = {"source": {"path": "/i"}, "server": "head", "digest": "", "nodes": nodes, "msg": "", "notes": ["odd"]}
    assert ring_words.table(summary)[-3:] == ["note: head: odd", "note: a, b: no  table", "note: c: a table"]


def test_a_name_that_is_too_long_moves_no_column():
    nodes = [done("a" * 30 + "7"), done("b")]
    summary = {"source": {"path": "/i"}, "server": "head", "digest": "", "nodes": nodes, "msg": "done"}
    head, first, second = ring_words.table(summary)[1:]
    assert head.index("state") == first.index("done") == second.index("done") and "aaa...aaaaaaaaaaa7  done" in first


@pytest.mark.parametrize("line, lines", [
    ("short; and good", ["short; and good"]),
    ("a" * 40 + "; " + "b" * 40 + "; c", ["a" * 40 + ";", "    " + "b" * 40 + "; c"]),
    ("x" * 100, ["x" * 100]),
    ("a; " + "b " * 60 + "end", ["a;", "    " + ("b " * 38).rstrip(), "    " + "b " * 22 + "end"]),
])  # fmt: skip
def test_a_long_line_is_broken_between_what_it_says(line, lines):
    assert ring_words.folded(line) == lines
