# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.run import history
from ansible_collections.dolly.ring.plugins.module_utils.dolly.status.snapshot import Board, Snapshot


def say(board, rank, version, state="receiving", held=0, parent=0, **more):
    board.merge(Snapshot(rank, "n%d" % rank, 1, version, state, parent=parent, held=held, **more))


@pytest.mark.parametrize("nodes", [1, 7, 200])
def test_a_long_run_keeps_to_its_bounds_and_spans_the_whole_of_it(nodes):
    board, record = Board(), history.History()
    room = max(history.FEWEST_SAMPLES, min(history.MOST_SAMPLES, history.MOST_NUMBERS // nodes))
    for moment in range(2000):
        say(board, 1 + moment % nodes, moment, held=moment)
        record.note(100.0 + moment, board)
    record.note(2100.0, board, is_last=True)
    told = record.to_dict()
    times = told["times"]
    assert room // 2 - 1 <= len(times) <= room
    assert times[0] == 0 and times[-1] == 2000.0 and times == sorted(set(times))
    assert all(len(held) == len(times) and held == sorted(held) for held in told["held"].values())
    assert len(json.dumps(told)) < 2_000_000


def test_states_healings_and_repairs_are_events_with_their_time():
    board, record = Board(), history.History()
    say(board, 1, 0)
    say(board, 2, 0, parent=1)
    record.note(10.0, board)
    board.declare(1, "n1", "lost", {"message": "no answer"})
    say(board, 2, 1, parent=0, repaired=2)
    record.note(13.5, board)
    record.note(14.0, board)
    told = [(event["at"], event["node"], event["what"]) for event in record.to_dict()["events"]]
    assert told[:2] == [(0.0, "n1", "receiving"), (0.0, "n2", "receiving")]
    assert told[2:] == [
        (3.5, "n1", "lost: no answer"),
        (3.5, "n2", "healed: gets the rest from the server instead of n1"),
        (3.5, "n2", "2 damaged chunks sent again"),
    ]
    assert record.to_dict()["parents"]["n2"] == "the server"


def test_late_and_demoted_are_events_once():
    board, record = Board(), history.History()
    say(board, 1, 0)
    say(board, 2, 0, late=True)
    record.note(0.0, board)
    for version in (1, 2):
        say(board, 1, version, demoted=True)
        say(board, 2, version, late=True)
        record.note(float(version), board)
    told = [(event["at"], event["node"], event["what"]) for event in record.to_dict()["events"]]
    assert [one for one in told if ":" in one[2]] == [
        (0.0, "n2", "late: came when the run had started"),
        (1.0, "n1", "demoted: too slow, the others go on without it"),
    ]


def test_events_have_a_bound_and_what_was_left_out_is_counted(monkeypatch):
    monkeypatch.setattr(history, "MOST_EVENTS", 3)
    board, record = Board(), history.History()
    for rank in range(1, 6):
        say(board, rank, 0)
    record.note(0.0, board)
    assert len(record.to_dict()["events"]) == 3 and record.to_dict()["events_left_out"] == 2
