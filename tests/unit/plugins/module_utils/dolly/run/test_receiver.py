# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a receiver is told of its target holds, or is refused."""

from __future__ import annotations

import types

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import UsageError
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
