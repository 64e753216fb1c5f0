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
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.descriptor import Descriptor
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


class TestReplace:
    """One descriptor takes the place of another while threads use it."""

    def open_files(self, folder, *names):
        for name in names:
            (folder / name).write_bytes(name.encode())
        return [os.open(str(folder / name), os.O_RDONLY) for name in names]

    def is_open(self, fd):
        try:
            os.fstat(fd)
        except OSError:
            return False
        return True

    def test_who_is_in_stays_with_the_old_one_and_who_comes_gets_the_new_one(self, tmp_path):
        old, new = self.open_files(tmp_path, "old", "new")
        descriptor = Descriptor(old)
        with descriptor as seen:
            descriptor.replace(new)
            assert seen == old and os.pread(old, 9, 0) == b"old"
            with descriptor as found:
                assert os.pread(found, 9, 0) == b"new"
        assert not self.is_open(old) and self.is_open(new)
        descriptor.close()
        assert not self.is_open(new)

    @pytest.mark.parametrize("is_used", [False, True])
    def test_after_close_the_new_one_is_closed_too(self, tmp_path, is_used):
        old, new = self.open_files(tmp_path, "old", "new")
        descriptor = Descriptor(old)
        if is_used:
            descriptor.__enter__()
        descriptor.close()
        descriptor.replace(new)
        assert self.is_open(old) is is_used
        if is_used:
            descriptor.__exit__()
        assert not self.is_open(old) and not self.is_open(new)
        with pytest.raises(OSError) as caught:
            descriptor.__enter__()
        assert caught.value.errno == errno.ECANCELED
