# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a receiver is told of its target holds, or is refused."""

from __future__ import annotations

import types

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import Refused, UsageError
from ansible_collections.dolly.ring.plugins.module_utils.dolly.progress import Snapshot
from ansible_collections.dolly.ring.plugins.module_utils.dolly.run import receiver
from ansible_collections.dolly.ring.plugins.module_utils.dolly.run.rundir import RunDir
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.facts import TargetFacts, TargetPolicy


@pytest.mark.parametrize("kind, is_refused", [("block", True), ("file", False)])
def test_a_table_that_could_not_be_moved(monkeypatch, kind, is_refused):
    """A disk that is filled by a decompressor is no block target of its own: the wish was dropped without a word."""
    facts = TargetFacts(path="/dev/disk", real_path="/dev/disk", kind=kind, size=1, boot_id="")
    opened = types.SimpleNamespace(facts=facts)
    monkeypatch.setattr(receiver.OutputOpener, "open", lambda self, plan, path: opened)
    choose = receiver.TargetChooser("/dev/disk", TargetPolicy(move_gpt=True))
    plan = types.SimpleNamespace(source=None, output="")
    if is_refused:
        with pytest.raises(UsageError, match="move_gpt"):
            choose(plan)
    else:
        assert choose(plan) is opened


@pytest.mark.parametrize("measures", [True, False])
@pytest.mark.parametrize("kind", ["dummy", "plain"])
def test_a_server_that_means_something_else_is_refused(tmp_path, kind, measures):
    """Else a node that was to measure would write to where the server says, and another would call nothing an image."""
    choose = receiver.TargetChooser("", TargetPolicy(), measures=measures)
    output = tmp_path / "image"
    plan = types.SimpleNamespace(source=None, output=str(output), infile=types.SimpleNamespace(kind=kind))
    if measures == (kind == "dummy"):
        choose._compare_purpose(plan)
    else:
        with pytest.raises(Refused, match=r"the run: .* (dummy|write)"):
            choose(plan)
    assert not output.exists()


@pytest.mark.parametrize("kind, is_written, held, is_told", [
    ("block", True, 0, True),  # the first write failed half-way, or the only chunk was bad and came no more
    ("block", True, 4096, True),
    ("block", False, 0, False),
    ("file", True, 0, False),  # the file that is there is as it was
    ("dummy", True, 4096, False),
])
def test_a_disk_is_half_written_as_soon_as_a_write_was_tried(kind, is_written, held, is_told):
    word = Snapshot(1, "node", 1, 1, "failed", held=held, error={"message": "it broke"})
    store = types.SimpleNamespace(is_written=is_written, notes=[])
    member = types.SimpleNamespace(word=word, plan=None, ledger=None, store=store, refused=0)
    result = receiver.result_of(member, types.SimpleNamespace(facts={"kind": kind}))
    assert result["half_written"] is is_told
    assert result["changed"] or not is_told


def test_a_defect_in_the_middle_of_a_run_does_not_hide_that_the_disk_is_half_written(tmp_path, monkeypatch):
    class Member:
        word = Snapshot(1, "node", 1, 1, "receiving", held=4096)
        plan = ledger = None
        store = types.SimpleNamespace(is_written=True, notes=[])
        port = refused = 0

        def run(self):
            raise KeyError("a defect")

    def make(context, bind, port, report, choose, last_port):
        choose.facts = {"kind": "block"}
        return Member()

    monkeypatch.setattr(receiver, "make_member", make)
    monkeypatch.setattr(receiver, "stop_on_signals", lambda member: None)
    config = {"run_id": "run", "name": "node", "target": "/dev/disk"}
    result = receiver._receive(RunDir(str(tmp_path), "run", "node"), config, b"s" * 32)
    assert result["state"] == "failed" and result["changed"] and result["half_written"]
    assert result["error"]["fault"] == "bug" and "a defect" in result["error"]["message"]
