# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What -n means: nothing waits for the medium. And that otherwise everything does, many parts together."""

from __future__ import annotations

import gzip
import os

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage import linux
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.compressed import DecompressOpener
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.split import SplitTarget
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.stream import StoreOpener
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.target import (
    inspect_target,
    open_target,
)
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.window import WindowTarget
from ansible_collections.dolly.ring.tests.unit.plugins.module_utils.dolly.storage import storage_doubles

DATA = storage_doubles.IMAGE
PART = 1000


@pytest.fixture
def synced(monkeypatch):
    """The descriptors that were flushed, and those whose writeback was started, in order."""
    events = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (events.append(("fsync", fd)), real(fd)))
    monkeypatch.setattr(linux, "start_writeback", lambda fd, offset, length: events.append(("start", fd)))
    return events


def make(kind, path):
    if kind == "parts":
        return SplitTarget(str(path), inspect_target(str(path) + "_0"), PART)
    target = open_target(str(path))
    if kind == "file":
        return target
    return WindowTarget(target.facts, DecompressOpener("gzip", StoreOpener(target)), 4096)


def written(kind, path, flushes):
    target = make(kind, path)
    target.prepare()
    data = gzip.compress(DATA) if kind == "archive" else DATA
    store = target.begin(len(data))
    store.flushes = flushes
    storage_doubles.fill(store, data)
    if kind == "archive":
        store.sink(0, len(data))
    store.commit()
    store.close()


def read(kind, path):
    if kind != "parts":
        return path.read_bytes()
    names = [path.with_name("%s_%d" % (path.name, index)) for index in range(-(-len(DATA) // PART))]
    return b"".join(name.read_bytes() for name in names)


@pytest.mark.parametrize("kind", ["file", "parts", "archive"])
@pytest.mark.parametrize("flushes", [True, False])
def test_it_waits_for_the_medium_or_not(tmp_path, synced, kind, flushes):
    path = tmp_path / "image"
    written(kind, path, flushes)
    assert read(kind, path) == DATA
    assert bool([event for event in synced if event[0] == "fsync"]) == flushes


def test_parts_go_to_the_medium_together(tmp_path, synced):
    """One flush each, one after the other, would make a file system write its journal for each of thousands."""
    written("parts", tmp_path / "image", True)
    kinds = "".join(kind[0] for kind, _fd in synced)
    assert "s" * 32 + "f" * 32 in kinds
    assert kinds.count("sf") <= 3 * (len(DATA) // PART // 32 + 1), "groups, each of which is started and then awaited"
