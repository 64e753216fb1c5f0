# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers of the transport: bounds and multiples, also when a peer sends them."""

from __future__ import annotations

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.plan.transport import (
    BOUNDS,
    MAX_BLOCK,
    Transport,
)
from ansible_collections.dolly.ring.plugins.module_utils.dolly.wire.messages import MAX_DATA


@pytest.mark.parametrize("name", BOUNDS)
def test_bounds(name):
    lowest, highest, step = BOUNDS[name]
    for value in (0, lowest, highest, lowest + step):
        transport = Transport(**{name: value})
        assert Transport.from_dict(transport.to_dict()) == transport
    for value in (-1, lowest - 1 or -2, highest + step, True, "1", 1.0, None, *([lowest + 1] if step > 1 else [])):
        with pytest.raises(ValueError, match="%s is .*, expected 0" % name):
            Transport(**{name: value})


@pytest.mark.parametrize("data", [None, [], {"speed": 1}, {"segsize": {}}])
def test_hostile(data):
    with pytest.raises(ValueError):
        Transport.from_dict(data)


def test_the_largest_block_is_what_one_frame_may_carry():
    """Neither of the two may know the other: what is to be sent in one piece, and what a peer takes as one."""
    assert MAX_BLOCK == MAX_DATA
