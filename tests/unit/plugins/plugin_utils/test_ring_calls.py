# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.dolly.ring.plugins.plugin_utils import ring_calls

PLAN = {
    "id": "r", "server": "head", "nodes": ["a", "b"], "problem": "", "problems": {}, "is_refused": False,
    "is_dummy": False, "lost": [], "max_fail_percentage": None, "images": [{"name": "", "source": "/i"}],
}  # fmt: skip
TWO = [{"name": "x", "source": "/x"}, {"name": "y", "source": "/y"}]


def files(hooks=(), is_check=False, **changes):
    return [step["file"] for step in ring_calls.steps_of({**PLAN, **changes}, hooks, is_check)]


@pytest.mark.parametrize("keywords, there", [
    ({}, ["image.yml"]),
    ({"problem": "no"}, ["refused.yml"]),
    ({"is_refused": True}, ["refused.yml"]),
    ({"lost": ["c"]}, ["lost.yml", "image.yml"]),
    ({"max_fail_percentage": 10.0}, ["image.yml", "limit.yml"]),
    ({"hooks": ["before", "after", "on_failure"]}, ["before.yml", "look.yml", "image.yml", "failed.yml", "after.yml"]),
    ({"hooks": ["after"], "is_check": True}, ["image.yml"]),
    ({"images": TWO}, ["preflight.yml", "image.yml", "image.yml"]),
])  # fmt: skip
def test_nothing_is_there_that_nobody_asked_for(keywords, there):
    assert files(**keywords) == there


def test_each_of_several_images_has_a_run_of_its_own():
    assert [run["id"] for run in ring_calls.runs_of(PLAN)] == ["r"]
    runs = ring_calls.runs_of({**PLAN, "images": TWO})
    assert [(run["id"], run["image"]["name"], run["family"]) for run in runs] == [("r-1", "x", "r"), ("r-2", "y", "r")]


def test_the_title_says_who_takes_part():
    assert ring_calls.title_of(PLAN) == "Clone /i from head to 2 hosts"
    assert ring_calls.title_of({**PLAN, "is_dummy": True, "nodes": ["a"]}) == "Measure the network from head to 1 host"
