# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said of the time that a run took."""

from __future__ import annotations

import io

from ansible_collections.dolly.ring.plugins.module_utils.dolly.run.console import (
    LiveLine,
    table,
    times_line,
    verdict_lines,
)

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
