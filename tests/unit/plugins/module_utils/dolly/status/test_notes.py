# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a table says of a node beside its result."""

from __future__ import annotations

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.status.notes import happened


@pytest.mark.parametrize(
    "node, words",
    [
        ({}, ""),
        ({"late": False, "demoted": False, "healed": 0, "stalled": 0.0}, ""),
        ({"late": True}, "late"),
        ({"demoted": True, "healed": 1, "stalled": 0.07}, "demoted, healed once (0.1 s without data)"),
        ({"healed": 3, "stalled": 15.42}, "healed 3 times (15.4 s without data)"),
    ],
)
def test_words(node, words):
    assert happened(node) == words


@pytest.mark.parametrize(
    "node, told",
    [
        ({"state": "done", "bytes": 5_000_000, "equal_bytes": 5_000_000, "changed": False}, "unchanged"),
        ({"state": "done", "bytes": 5_000_000, "equal_bytes": 4_000_000, "changed": True}, "4.0 MB were equal"),
        ({"state": "failed", "bytes": 5_000_000, "equal_bytes": 5_000_000}, "5.0 MB were equal"),
        ({"state": "done", "resumed_bytes": 1_250_000, "late": True}, "1.2 MB from an earlier run, late"),
        ({"state": "failed", "bytes": 7, "half_written": True}, "half-written"),
    ],
)
def test_what_was_there_already_and_what_was_left(node, told):
    assert happened(node) == told
