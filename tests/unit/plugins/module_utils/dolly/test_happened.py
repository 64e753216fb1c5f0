# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a table says of a node beside its result."""

from __future__ import annotations

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.happened import happened


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
