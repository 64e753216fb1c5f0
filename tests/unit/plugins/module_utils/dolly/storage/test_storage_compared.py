# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A file that is compared: the old one until something is written, then a copy that takes its name."""

from __future__ import annotations

import os
import threading
import time

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import Refused, TargetError
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage import linux
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.descriptor import Descriptor
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.file import partial_name
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.target import open_target
from ansible_collections.dolly.ring.tests.unit.plugins.module_utils.dolly.storage.storage_doubles import (
    IMAGE,
    BytesLane,
)

CHUNK = 4096
SIZE = len(IMAGE)


@pytest.fixture
def open_store(tmp_path):
    made = []

    def begin(old=IMAGE, size=SIZE):
        path = tmp_path / "image"
        path.write_bytes(old)
        target = open_target(str(path), compares=True)
        target.prepare()
        made.append((target.begin(size, CHUNK), target))
        return made[-1][0]

    yield begin
    for store, target in made:
        store.close()
        target.release()


def content(store):
    view = memoryview(bytearray(store.size))
    return bytes(view[: store.read(0, view)])


def test_the_same_is_left_alone(tmp_path, open_store):
    store = open_store()
    before = os.stat(tmp_path / "image")
    assert list(store.claimed) == [(0, SIZE)]
    assert content(store) == IMAGE
    store.flush()
    store.commit()
    store.close()
    after = os.stat(tmp_path / "image")
    assert store.is_untouched
    for name in ("st_ino", "st_mtime_ns", "st_ctime_ns"):
        assert getattr(before, name) == getattr(after, name)
    assert os.listdir(tmp_path) == ["image"]


def _written_to(path):
    with path.open("r+b") as file:
        file.write(b"somebody else")
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))  # clocks of file systems may stand still for a moment


def _written_to_and_set_back(path):
    before = path.stat()
    time.sleep(0.02)  # the clock of a file system ticks a hundred times a second
    path.write_bytes(b"x" * SIZE)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def _replaced(path):
    other = path.with_name("other")
    other.write_bytes(b"x" * SIZE)
    other.rename(path)


@pytest.mark.parametrize(
    "happen",
    [_written_to, _written_to_and_set_back, _replaced, os.unlink],
    ids=["written", "set back", "replaced", "gone"],
)
def test_a_file_that_somebody_changes_behind_the_comparison_is_not_said_to_be_the_same(tmp_path, open_store, happen):
    store = open_store()
    assert content(store) == IMAGE
    happen(tmp_path / "image")
    with pytest.raises(TargetError, match="failed in compare"):
        store.commit()


@pytest.mark.parametrize("can_reflink", [True, False])
@pytest.mark.parametrize("can_copy", [True, False])
def test_a_change_is_made_in_a_copy(tmp_path, open_store, monkeypatch, can_reflink, can_copy):
    """However the file system copies; whoever has the old file open keeps it."""

    def refuse(*arguments):
        raise OSError(18, "EXDEV")

    if not can_reflink:
        monkeypatch.setattr(linux, "reflink", lambda source, target: False)
    if not can_copy:
        monkeypatch.setattr(os, "copy_file_range", refuse)
    old = b"x" * 100 + IMAGE[100:]
    store = open_store(old)
    steps = []
    store.on_step = steps.append
    reader = (tmp_path / "image").open("rb")
    assert store.begin_changes()
    assert not store.begin_changes() and not store.is_untouched
    assert content(store) == old
    assert store.receive(BytesLane(IMAGE[:100]), 0, 100) == 100
    store.zero(200, 100)
    expected = IMAGE[:200] + bytes(100) + IMAGE[300:]
    assert content(store) == expected
    assert (tmp_path / "image").read_bytes() == old
    store.commit()
    assert (tmp_path / "image").read_bytes() == expected
    assert reader.read() == old
    reader.close()
    assert os.listdir(tmp_path) == ["image"]
    assert can_reflink or sum(steps) == SIZE


@pytest.mark.parametrize("old_size", [1, CHUNK, SIZE - 1, SIZE + 1, SIZE + 10 * CHUNK])
def test_another_size(tmp_path, open_store, old_size):
    """The last chunk of the image or of the old file is not claimed, so that it is sent, and the file changed."""
    store = open_store((IMAGE * 3)[:old_size])
    same = min(old_size, SIZE - 1) // CHUNK * CHUNK
    assert store.claimed.total == same
    assert store.begin_changes()
    lane = BytesLane(IMAGE[same:])
    while same < SIZE:
        same += store.receive(lane, same, SIZE - same)
    store.commit()
    assert (tmp_path / "image").read_bytes() == IMAGE


def test_nothing_is_left_of_a_copy_that_is_given_up(tmp_path, open_store):
    store = open_store()
    store.begin_changes()
    assert (tmp_path / partial_name("image")).exists()
    store.abort()
    assert os.listdir(tmp_path) == ["image"]
    assert (tmp_path / "image").read_bytes() == IMAGE


def test_a_copy_that_fails_is_an_error_of_the_node(tmp_path, open_store, monkeypatch):
    def full(*arguments):
        raise OSError(28, "ENOSPC")

    monkeypatch.setattr(linux, "reflink", lambda source, target: False)
    monkeypatch.setattr(linux, "clone_range", full)
    store = open_store()
    for _unused in range(2):
        with pytest.raises(TargetError, match="copy"):
            store.begin_changes()
    with pytest.raises(TargetError, match="copy"):
        store.receive(BytesLane(b"x"), 0, 1)
    assert (tmp_path / "image").read_bytes() == IMAGE


def test_another_run_that_would_compare_the_file_meanwhile(tmp_path, open_store):
    """Both might find it equal, but then both might find that it is not."""
    one = open_store()
    with pytest.raises(Refused, match="another run"):
        open_store()
    one.begin_changes()
    one.commit()
    assert os.listdir(tmp_path) == ["image"]


def test_a_store_that_was_closed_begins_nothing(tmp_path, open_store):
    store = open_store()
    store.close()
    with pytest.raises((TargetError, Refused)):
        store.begin_changes()
    assert os.listdir(tmp_path) == ["image"]


def test_what_is_not_there_is_made(tmp_path):
    target = open_target(str(tmp_path / "new"), compares=True)
    target.prepare()
    store = target.begin(SIZE, CHUNK)
    assert not store.claimed and not store.is_untouched
    store.abort()


def test_a_reader_that_comes_while_the_copy_takes_over_reads_on(open_store, monkeypatch):
    """It had found the old file's descriptor, and was about to use it, when that was closed."""
    store = open_store()
    is_about_to, may_go_on, box = threading.Event(), threading.Event(), []
    enter = Descriptor.__enter__

    def enter_late(descriptor):
        if threading.current_thread().name == "reader":
            is_about_to.set()
            may_go_on.wait(10)
        return enter(descriptor)

    def read():
        try:
            box.append(content(store))
        except TargetError as error:
            box.append(error)

    monkeypatch.setattr(Descriptor, "__enter__", enter_late)
    reader = threading.Thread(target=read, name="reader")
    reader.start()
    is_about_to.wait(10)
    store.begin_changes()
    may_go_on.set()
    reader.join()
    assert box == [IMAGE]
