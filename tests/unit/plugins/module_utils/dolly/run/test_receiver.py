# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a receiver is told of its target holds, or is refused."""

from __future__ import annotations

import os
import types

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import Refused, UsageError
from ansible_collections.dolly.ring.plugins.module_utils.dolly.plan.job import (
    Image,
    NodeSpec,
    Plan,
    Timeouts,
    default_chunk_size,
)
from ansible_collections.dolly.ring.plugins.module_utils.dolly.run import receiver
from ansible_collections.dolly.ring.plugins.module_utils.dolly.run.classic import receiver as classic_receiver
from ansible_collections.dolly.ring.plugins.module_utils.dolly.run.rundir import RunDir
from ansible_collections.dolly.ring.plugins.module_utils.dolly.status.snapshot import Snapshot
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.facts import TargetFacts, TargetPolicy
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.target import inspect_target


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


def make_plan(**more):
    return Plan(
        "run", (NodeSpec("server", "", 0),), 1, Image(None, default_chunk_size(None)), "none", True, Timeouts(), **more
    )


def choosers(path, seen):
    """Both kinds of receiver, as functions that look at their target and open it."""
    native = receiver.TargetChooser(path, TargetPolicy(), seen=seen)
    classic = classic_receiver.TargetChooser(path, TargetPolicy(), seen=seen)
    text = types.SimpleNamespace(
        dummy=None, infile="image", outfile="", is_compressed_in=False, is_compressed_out=False, split_out=0
    )
    return {"native": lambda: native(make_plan()), "classic": lambda: classic(text)}


@pytest.mark.parametrize("kind", ["native", "classic"])
def test_what_was_checked_is_what_is_written_to(tmp_path, kind):
    """Between the two another name may have been given to the other thing: minutes pass until a ring starts."""
    link = tmp_path / "link"
    link.symlink_to("checked")
    choose = choosers(str(link), inspect_target(str(link)))[kind]
    choose().release()
    link.unlink()
    link.symlink_to("precious")
    with pytest.raises(Refused, match=r"was the file .*/checked on .*, now it is the file .*/precious on"):
        choose()
    assert os.listdir(tmp_path) == ["link"]


def test_a_classic_receiver_remembers_what_it_saw_itself(tmp_path):
    link = tmp_path / "link"
    link.symlink_to("checked")
    choose = choosers(str(link), None)["classic"]
    link.unlink()
    link.symlink_to("precious")
    with pytest.raises(Refused, match=r"was the file .*/checked on .*, now it is the file .*/precious on"):
        choose()


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


@pytest.mark.parametrize("kind, is_written, held, is_whole, is_told", [
    ("block", True, 0, False, True),  # the first write failed half-way, or the only chunk was bad and came no more
    ("block", True, 4096, False, True),
    ("block", False, 0, False, False),
    ("block", True, 4096, True, False),  # what failed is not the image
    ("file", True, 0, False, False),  # the file that is there is as it was
    ("dummy", True, 4096, False, False),
])
def test_a_disk_is_half_written_as_soon_as_a_write_was_tried(kind, is_written, held, is_whole, is_told):
    word = Snapshot(1, "node", 1, 1, "failed", held=held, error={"message": "it broke"})
    store = types.SimpleNamespace(is_written=is_written, notes=[])
    member = types.SimpleNamespace(word=word, plan=None, ledger=None, store=store, refused=0, is_whole=is_whole)
    result = receiver.result_of(member, types.SimpleNamespace(facts={"kind": kind}))
    assert result["half_written"] is is_told
    assert result["changed"] or not is_told


def test_a_defect_in_the_middle_of_a_run_does_not_hide_that_the_disk_is_half_written(tmp_path, monkeypatch):
    class Client:
        word = Snapshot(1, "node", 1, 1, "receiving", held=4096)
        plan = ledger = None
        store = types.SimpleNamespace(is_written=True, notes=[])
        port = refused = 0
        is_whole = False

        def run(self):
            raise KeyError("a defect")

    def make(context, bind, port, report, choose, last_port):
        choose.facts = {"kind": "block"}
        return Client()

    monkeypatch.setattr(receiver, "make_member", make)
    monkeypatch.setattr(receiver, "stop_on_signals", lambda member: None)
    config = {"run_id": "run", "name": "node", "target": "/dev/disk"}
    result = receiver._receive(RunDir(str(tmp_path), "run", "node"), config, b"s" * 32)
    assert result["state"] == "failed" and result["changed"] and result["half_written"]
    assert result["error"]["fault"] == "bug" and "a defect" in result["error"]["message"]
