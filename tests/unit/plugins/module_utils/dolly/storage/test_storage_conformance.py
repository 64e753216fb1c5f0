# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every store passes the same cases. Block devices: tests/integration/storage."""

from __future__ import annotations

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage import linux
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.memory import MemoryStore
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.target import open_target
from ansible_collections.dolly.ring.tests.unit.plugins.module_utils.dolly.storage import storage_doubles


@pytest.fixture(params=["memory", "file", "file over an old one", "file without punch_hole"])
def store(request, tmp_path, monkeypatch):
    if request.param == "memory":
        made = MemoryStore(storage_doubles.IMAGE_SIZE)
    else:
        if request.param == "file over an old one":
            (tmp_path / "image").write_bytes(b"o" * storage_doubles.IMAGE_SIZE * 2)
            (tmp_path / ".image.dolly-partial").write_bytes(b"p" * storage_doubles.IMAGE_SIZE * 2)
        if request.param == "file without punch_hole":
            monkeypatch.setattr(linux, "_fallocate", None)
        target = open_target(str(tmp_path / "image"))
        target.prepare()
        made = target.begin(storage_doubles.IMAGE_SIZE)
    yield made
    made.close()


@pytest.mark.parametrize("case", storage_doubles.CASES.values(), ids=storage_doubles.CASES)
def test_store(case, store):
    case(store)


def test_memory_of_no_bytes():
    store = MemoryStore(0)
    store.flush()
    store.commit()
    assert storage_doubles.content(store) == b""
    store.close()


@pytest.mark.parametrize("old", [b"", b"o" * 3 * storage_doubles.IMAGE_SIZE], ids=["new", "longer old file"])
@pytest.mark.parametrize("extra", [0, 1, 5000])
def test_a_file_whose_size_is_told_at_the_end(tmp_path, old, extra):
    path = tmp_path / "image"
    if old:
        path.write_bytes(old)
    target = open_target(str(path))
    target.prepare()
    store = target.begin(None)
    storage_doubles.fill(store, storage_doubles.IMAGE + b"x" * extra)
    store.end(storage_doubles.IMAGE_SIZE)
    assert store.size == storage_doubles.IMAGE_SIZE
    store.commit()
    store.close()
    assert path.read_bytes() == storage_doubles.IMAGE


def test_zeros_at_the_end_so_far_of_a_file_whose_size_is_not_known(tmp_path):
    target = open_target(str(tmp_path / "image"))
    target.prepare()
    store = target.begin(None)
    storage_doubles.fill(store, storage_doubles.IMAGE)
    size = storage_doubles.IMAGE_SIZE + 10000
    store.zero(storage_doubles.IMAGE_SIZE, 10000)
    view = memoryview(bytearray(size))
    assert store.read(0, view) == size  # the node reads the chunk back before it hears of the end
    assert bytes(view) == storage_doubles.IMAGE + bytes(10000)
    store.end(size)
    store.commit()
    store.close()
    assert (tmp_path / "image").read_bytes() == storage_doubles.IMAGE + bytes(10000)


def test_an_end_beyond_the_room_there_is(store):
    with pytest.raises(ValueError, match="room for"):
        store.end(storage_doubles.IMAGE_SIZE + 1)
    with pytest.raises(ValueError, match="room for"):
        store.end(-1)
    store.end(0)
    assert store.size == 0
