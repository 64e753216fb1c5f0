# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import re

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import Refused
from ansible_collections.dolly.ring.plugins.module_utils.dolly.run import rundir, target_conflicts


@pytest.fixture
def first(tmp_path):
    base = tmp_path / "runs"
    base.mkdir(mode=0o700)
    made = rundir.RunDir(str(base), "run-one", "n1")
    made.create()
    made.write_json("config.json", {"target": str(tmp_path / "disk")})
    made.note_process()
    return made


def test_a_busy_target_names_run_process_and_start(first, tmp_path):
    (tmp_path / "link").symlink_to("disk")
    for name in ("disk", "link"):
        with pytest.raises(Refused) as refused:
            target_conflicts.refuse_taken(first.base, str(tmp_path / name))
        text = refused.value.sentence
        assert "run run-one is at work on it (node n1, process %d, since 20" % os.getpid() in text
        assert re.search(r"since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\)", text)


def test_another_node_of_the_same_run_is_named_as_such(first, tmp_path):
    with pytest.raises(Refused) as refused:
        target_conflicts.refuse_taken(first.base, str(tmp_path / "disk"), "run-one")
    text = refused.value.sentence
    assert "n1 of this run is to write to it (process %d, since 20" % os.getpid() in text
    assert "both are names of one machine" in text and "a target of its own for each" in text
    with pytest.raises(Refused, match="run run-one is at work on it"):
        target_conflicts.refuse_taken(first.base, str(tmp_path / "disk"), "run-two")


def test_a_directory_that_is_not_there_is_no_reason(first, tmp_path):
    target_conflicts.refuse_taken(first.base, str(tmp_path / "none" / "disk"))
    first.write_json("config.json", {"target": str(tmp_path / "none" / "disk")})
    with pytest.raises(Refused):
        target_conflicts.refuse_taken(first.base, str(tmp_path / "none" / "disk"))


def test_another_target_or_a_process_that_is_gone_is_no_reason(first, tmp_path):
    target_conflicts.refuse_taken(first.base, str(tmp_path / "other"))
    first.write_json("process.json", {"pid": os.getpid(), "born": "1"})
    target_conflicts.refuse_taken(first.base, str(tmp_path / "disk"))
    target_conflicts.refuse_taken(str(tmp_path / "no-such-base"), str(tmp_path / "disk"))
