# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stores over a descriptor have in common, where threads or the target itself make it difficult."""

from __future__ import annotations

import errno
import itertools
import os
import threading

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import TargetError
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.target import open_target
from ansible_collections.dolly.ring.tests.unit.plugins.module_utils.dolly.storage.storage_doubles import (
    IMAGE,
    BytesLane,
    fill,
)

IN_VAIN_S = 0.2


@pytest.fixture
def store(tmp_path):
    target = open_target(str(tmp_path / "image"))
    target.prepare()
    begun = target.begin(len(IMAGE))
    fill(begun, IMAGE)
    yield begun
    begun.close()


def test_a_lost_write_that_another_thread_hears_of_fails_this_one_too(store, monkeypatch):
    """The kernel tells of it once for each open file: of two who flush at a time one is told that all is well."""
    calls, first_is_in, second_is_through = itertools.count(), threading.Event(), threading.Event()

    def fsync(_fd):
        if next(calls) == 0:
            first_is_in.set()
            second_is_through.wait(IN_VAIN_S)
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    def journal():
        with pytest.raises(TargetError):
            store.flush()

    monkeypatch.setattr(os, "fsync", fsync)
    other = threading.Thread(target=journal)
    other.start()
    first_is_in.wait()
    try:
        with pytest.raises(TargetError, match="failed in fsync"):
            store.commit()
    finally:
        second_is_through.set()
        other.join()
    assert not os.path.exists(store.path)


def test_a_target_that_was_cut_short_behind_our_back_is_the_one_at_fault(store, tmp_path):
    os.truncate(tmp_path / ".image.dolly-partial", 70_000)
    with pytest.raises(TargetError, match="failed in read at byte 70000") as caught:
        store.read(65_536, memoryview(bytearray(8192)))
    assert caught.value.fault == "node"


def test_the_end_of_the_image_is_no_fault(store):
    view = memoryview(bytearray(8192))
    assert store.read(len(IMAGE) - 100, view) == 100
    assert store.read(len(IMAGE), view) == 0


@pytest.mark.parametrize("size", [len(IMAGE), None], ids=["known", "unknown"])
@pytest.mark.parametrize("then", ["receive", "zero", "end"])
def test_what_was_cut_off_is_not_hidden_by_what_comes_after(tmp_path, size, then):
    """Of bytes that were verified nobody looks a second time."""
    target = open_target(str(tmp_path / "image"))
    target.prepare()
    store = target.begin(size)
    try:
        store.receive(BytesLane(IMAGE), 0, 65_536)
        store.receive(BytesLane(IMAGE[65_536:]), 65_536, 65_536)
        os.truncate(tmp_path / ".image.dolly-partial", 1000)
        with pytest.raises(TargetError):
            if then == "receive":
                store.receive(BytesLane(IMAGE), len(IMAGE) - 100, 100)
            elif then == "zero":
                store.zero(len(IMAGE) - 100, 100)
            else:
                store.end(131_072)
        with pytest.raises(TargetError):
            store.commit()
    finally:
        store.close()
