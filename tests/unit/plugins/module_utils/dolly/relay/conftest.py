# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rings in one process that end with the test, whatever became of it."""

from __future__ import annotations

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay import node as node_module
from ansible_collections.dolly.ring.tests.unit.plugins.module_utils.dolly.relay.relay_doubles import (
    IMAGE,
    RingBench,
)


@pytest.fixture(autouse=True)
def quick_beats(monkeypatch):
    """What a node looks at twice a second it looks at more often, so that no test waits for it."""
    monkeypatch.setattr(node_module, "BEAT_S", 0.05)


@pytest.fixture
def make_ring(tmp_path):
    made = []

    def make(image, count=3, **options):
        made.append(RingBench(tmp_path, image, count, **options))
        return made[-1]

    yield make
    for bench in made:
        bench.close()


@pytest.fixture
def ring(make_ring):
    return lambda image=IMAGE, count=3, **options: make_ring(image, count, **options)
