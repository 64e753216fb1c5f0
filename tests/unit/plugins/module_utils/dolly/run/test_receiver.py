# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a receiver is told of its target holds, or is refused."""

from __future__ import annotations

import types

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import Refused, UsageError
from ansible_collections.dolly.ring.plugins.module_utils.dolly.run import receiver
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
