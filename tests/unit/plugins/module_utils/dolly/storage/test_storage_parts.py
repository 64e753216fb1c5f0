# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images in parts: exact at every boundary, and never a mixture of old and new."""

from __future__ import annotations

import errno
import os
import random
import shutil
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import (
    Refused,
    SourceChanged,
    TargetError,
    UsageError,
)
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage import parts
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.split import SplitTarget
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.split_source import SplitSource
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.target import inspect_target
from ansible_collections.dolly.ring.tests.unit.plugins.module_utils.dolly.storage.storage_doubles import (
    IMAGE,
    fill,
    refuse_to_sync_directories,
    sent,
)


def split_target(folder, part_size):
    path = str(folder / "disk")
    return SplitTarget(path, inspect_target(path + "_0"), part_size)


def read_parts(folder, name="disk"):
    indexes = parts.part_indexes(name, os.listdir(folder))
    assert indexes == list(range(len(indexes)))
    return [(folder / parts.part_name(name, index)).read_bytes() for index in indexes]


@settings(max_examples=40, deadline=None)
@given(
    size=st.integers(0, 300), part_size=st.integers(1, 70), old=st.integers(0, 9), is_sized=st.booleans(),
    seed=st.integers(0, 1000), step=st.integers(1, 150),
)
def test_parts_are_exact_at_every_boundary(tmp_path_factory, size, part_size, old, is_sized, seed, step):
    folder = tmp_path_factory.mktemp("parts")
    for index in range(old):
        (folder / ("disk_%d" % index)).write_bytes(b"o" * 500)
    target = split_target(folder, part_size)
    target.prepare()
    store = target.begin(size if is_sized else None)
    pieces = [(start, min(size, start + step)) for start in range(0, size, step)]
    random.Random(seed).shuffle(pieces)
    expected = bytearray(IMAGE[:size])
    for number, (start, end) in enumerate(pieces):
        if number % 3:
            fill(store, IMAGE[start:end], start)
        else:
            store.zero(start, end - start)
            expected[start:end] = bytes(end - start)
    if not is_sized:
        store.end(size)
    found = memoryview(bytearray(size + 5))
    assert store.read(0, found) == size and found[:size] == expected
    if size:
        assert sent(store, 0, size) == expected
    store.commit()
    store.close()
    made = read_parts(folder)
    assert b"".join(made) == expected
    assert [len(part) for part in made] == [min(part_size, size - at) for at in range(0, max(1, size), part_size)]
    assert not [name for name in os.listdir(folder) if "partial" in name]
    source = SplitSource(str(folder / "disk"))
    assert source.size == size and sent(source, 0, size) == expected
    assert source.read(0, found) == size
    source.check_unchanged()
    source.close()
    shutil.rmtree(folder)


def test_more_parts_than_may_be_open(tmp_path):
    target = split_target(tmp_path, 3)
    target.prepare()
    store = target.begin(len(IMAGE[:600]))
    fill(store, IMAGE[:600])
    assert len(store._pool.each()) <= parts.MAX_OPEN
    assert sent(store, 0, 600) == IMAGE[:600]
    store.commit()
    store.close()
    assert b"".join(read_parts(tmp_path)) == IMAGE[:600]


def test_parts_that_were_closed_are_read_under_their_final_names(tmp_path):
    """Others are served from them as long as they need anything, which may be long after they were published."""
    target = split_target(tmp_path, 3)
    target.prepare()
    store = target.begin(600)
    fill(store, IMAGE[:600])
    store.commit()
    for _round in range(2):
        assert sent(store, 0, 600) == IMAGE[:600]
    found = memoryview(bytearray(600))
    assert store.read(0, found) == 600 and found == IMAGE[:600]
    store.close()


def test_a_part_that_another_file_has_taken_the_place_of_is_not_served(tmp_path):
    target = split_target(tmp_path, 3)
    target.prepare()
    store = target.begin(600)
    fill(store, IMAGE[:600])
    store.commit()
    (tmp_path / "other").write_bytes(b"abc")
    closed = next(index for index in range(200) if index not in store._pool.each())
    os.rename(tmp_path / "other", tmp_path / parts.part_name("disk", closed))
    with pytest.raises(TargetError) as caught:
        sent(store, closed * 3, 3)
    assert caught.value.fields["errno"] == errno.ESTALE
    store.close()


def test_what_lies_behind_a_gap_is_somebody_elses(tmp_path):
    for name in ("disk_0", "disk_1", "disk_2", "disk_2024", "disk_03"):
        (tmp_path / name).write_bytes(b"old")
    target = split_target(tmp_path, 10)
    target.prepare()
    store = target.begin(5)
    fill(store, b"12345")
    store.commit()
    store.close()
    assert sorted(os.listdir(tmp_path)) == ["disk_0", "disk_03", "disk_2024"]


def test_a_run_that_is_given_up_leaves_the_old_parts(tmp_path):
    (tmp_path / "disk_0").write_bytes(b"old")
    target = split_target(tmp_path, 4)
    target.prepare()
    store = target.begin(8)
    fill(store, b"12345678")
    store.abort()
    assert os.listdir(tmp_path) == ["disk_0"] and (tmp_path / "disk_0").read_bytes() == b"old"
    with pytest.raises(TargetError):
        fill(store, b"1")


class Crash(BaseException):
    """The process ends here: nothing is cleaned up."""


@pytest.mark.parametrize("old, new", [(0, 3), (2, 5), (5, 2), (4, 4), (5, 1), (1, 1), (1, 3)])
def test_old_and_new_parts_never_pass_for_one_image(tmp_path, monkeypatch, old, new):
    """Wherever a run is cut short, a set is whole and of one image, or lacks its first part and is refused."""
    contents = {name * count * 4 for name, count in ((b"o", old), (b"n", new)) if count}

    def run(folder, steps):
        folder.mkdir()
        for index in range(old):
            (folder / ("disk_%d" % index)).write_bytes(b"oooo")
        target = split_target(folder, 4)
        target.prepare()
        store = target.begin(4 * new)
        fill(store, b"n" * 4 * new)
        left = [steps]

        def counted(original):
            def call(*arguments, **options):
                left[0] -= 1
                if left[0] < 0:
                    raise Crash
                return original(*arguments, **options)

            return call

        with monkeypatch.context() as patch:
            for name in ("rename", "unlink"):
                patch.setattr(os, name, counted(getattr(os, name)))
            try:
                store.commit()
                return True
            except Crash:
                return False
            finally:
                store.close()

    for steps in range(20):
        folder = tmp_path / str(steps)
        is_through = run(folder, steps)
        try:
            source = SplitSource(str(folder / "disk"))
        except UsageError:
            assert not is_through and not (folder / "disk_0").exists()
            continue
        assert sent(source, 0, source.size) in ({b"n" * 4 * new} if is_through else contents)
        source.close()
        if is_through:
            return
    raise AssertionError("it was never through")


def test_without_its_first_part_a_source_says_how_that_may_be(tmp_path):
    (tmp_path / "disk_1").write_bytes(b"old")
    with pytest.raises(UsageError, match=r"disk_0 is missing, and there is .*a run that was ended"):
        SplitSource(str(tmp_path / "disk"))


def begun_in_parts(folder):
    for index in range(2):
        (folder / ("disk_%d" % index)).write_bytes(b"old")
    target = split_target(folder, 4)
    target.prepare()
    store = target.begin(8)
    fill(store, b"12345678")
    return store


@pytest.mark.parametrize("code, fails", [(errno.EIO, True), (errno.EINVAL, False)])
def test_parts_in_a_directory_that_cannot_be_synced(tmp_path, monkeypatch, code, fails):
    store = begun_in_parts(tmp_path)
    refuse_to_sync_directories(monkeypatch, code)
    if fails:
        with pytest.raises(TargetError):
            store.commit()
    else:
        store.commit()
        assert store.notes == ["the file system of %s cannot sync a directory" % (tmp_path / "disk")]
    store.close()


def test_an_owner_that_parts_cannot_keep_is_said_once(tmp_path, monkeypatch):
    store = begun_in_parts(tmp_path)

    def fchown(fd, user, group):
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "fchown", fchown)
    store.commit()
    store.close()
    assert store.notes == ["the owner of %s could not be kept: Operation not permitted" % (tmp_path / "disk")]
    assert read_parts(tmp_path) == [b"1234", b"5678"]


def test_two_runs_and_strange_parts_are_refused(tmp_path):
    first = split_target(tmp_path, 4)
    first.prepare()
    store = first.begin(8)
    with pytest.raises(Refused, match="another run"):
        split_target(tmp_path, 4).prepare()
    store.abort()
    (tmp_path / "disk_1").mkdir()
    with pytest.raises(Refused, match="no regular file"):
        split_target(tmp_path, 4).prepare()


@pytest.mark.parametrize("names, missing", [((), "there is no"), ((0, 2), "_1 is missing"), ((1,), "_0 is missing")])
def test_a_source_needs_all_of_its_parts(tmp_path, names, missing):
    for index in names:
        (tmp_path / ("disk_%d" % index)).write_bytes(b"part")
    with pytest.raises(UsageError, match=missing):
        SplitSource(str(tmp_path / "disk"))


def test_a_part_that_changes_is_noticed_with_its_place(tmp_path):
    for index in (0, 1, 2):
        (tmp_path / ("disk_%d" % index)).write_bytes(b"12345")
    source = SplitSource(str(tmp_path / "disk"))
    (tmp_path / "disk_1").write_bytes(b"123")
    with pytest.raises(SourceChanged, match="disk_1"):
        source.read(0, memoryview(bytearray(15)))
    with pytest.raises(SourceChanged) as caught:
        source.check_unchanged()
    assert caught.value.fields["offset"] == 5
    source.close()


class TestFlushingTogether:
    def opened(self, tmp_path, count):
        return [os.open(str(tmp_path / ("f%d" % number)), os.O_RDWR | os.O_CREAT) for number in range(count)]

    def test_several_are_under_way_at_a_time(self, tmp_path, monkeypatch):
        """One after the other, each would wait for the journal of the file system anew."""
        together, synced = threading.Barrier(2, timeout=30.0), []

        def fsync(fd):
            together.wait()
            synced.append(fd)

        monkeypatch.setattr(os, "fsync", fsync)
        fds = self.opened(tmp_path, 8)
        parts.flush_together(fds)
        assert sorted(synced) == sorted(fds)
        for fd in fds:
            os.close(fd)

    @pytest.mark.parametrize("bad", [0, 3, 7])
    def test_an_error_of_any_is_raised_when_nobody_is_at_work_any_more(self, tmp_path, monkeypatch, bad):
        """A descriptor that is closed while it is flushed may be another file's the next moment."""
        fds, working = self.opened(tmp_path, 8), []
        real = os.fsync

        def fsync(fd):
            working.append(fd)
            try:
                if fd == fds[bad]:
                    raise OSError(errno.EIO, "bad")
                time.sleep(0.05)
                real(fd)
            finally:
                working.remove(fd)

        monkeypatch.setattr(os, "fsync", fsync)
        with pytest.raises(OSError, match="bad"):
            parts.flush_together(fds)
        assert working == []
        for fd in fds:
            os.close(fd)

    @pytest.mark.parametrize("count", [0, 1])
    def test_few(self, tmp_path, monkeypatch, count):
        synced = []
        monkeypatch.setattr(os, "fsync", synced.append)
        fds = self.opened(tmp_path, count)
        parts.flush_together(fds)
        assert synced == fds
        for fd in fds:
            os.close(fd)


def test_holes_go_on_from_part_to_part(tmp_path):
    size, part = 8 << 20, 1 << 20
    target = split_target(tmp_path, part)
    target.prepare()
    store = target.begin(size)
    fill(store, IMAGE[:100], 5 * part + 4096)
    store.zero(0, 5 * part)
    if store.hole(0, part) != part:
        pytest.skip("this file system does not tell of holes")
    assert store.hole(0, size) == 5 * part + 4096
    assert store.hole(6 * part, size) == 2 * part
    assert store.hole(5 * part + 4096, 100) == 0
    store.abort()
