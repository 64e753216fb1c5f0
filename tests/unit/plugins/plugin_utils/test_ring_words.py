# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.dolly.ring.plugins.module_utils import ring_progress
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
    ("readback", "ab" * 32, "ab" * 8), ("mac", "", "none (by MAC)"), ("none", "", ""), ("failed", "ab" * 32, ""),
])  # fmt: skip
def test_a_digest_or_why_there_is_none(level, digest, told):
    state = "failed" if level == "failed" else "done"
    assert ring_words.digest_cell({"state": state, "digest": digest, "verified": level != "none"}) == told
