# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A regular file as target: what is on disk before, during and after a run."""

from __future__ import annotations

import errno
import os
import stat
import threading

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import Refused, TargetError
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage import file, linux
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.target import (
    inspect_target,
    open_target,
)
from ansible_collections.dolly.ring.tests.unit.plugins.module_utils.dolly.storage.storage_doubles import (
    IMAGE,
    BytesLane,
    FailingWriteLane,
    FailsOnce,
    fill,
    refuse_to_sync_directories,
)

PARTIAL = ".image.dolly-partial"


@pytest.fixture
def begun(tmp_path):
    """Makes stores for `image`, closes them all."""
    stores = []

    def begin(size=len(IMAGE), name="image"):
        target = open_target(str(tmp_path / name))
        target.prepare()
        stores.append(target.begin(size))
        return stores[-1]

    yield begin
    for store in stores:
        store.close()


def snapshot(folder):
    return {
        path.name: (path.lstat().st_mtime_ns, path.lstat().st_ctime_ns, path.read_bytes())
        for path in folder.iterdir()
    }


def write_and_commit(store, data=IMAGE):
    fill(store, data)
    store.flush()
    store.commit()
    store.close()


def test_new_file(tmp_path, begun):
    store = begun()
    assert sorted(os.listdir(tmp_path)) == [PARTIAL]
    assert stat.S_IMODE((tmp_path / PARTIAL).stat().st_mode) == 0o600
    write_and_commit(store)
    assert sorted(os.listdir(tmp_path)) == ["image"]
    assert (tmp_path / "image").read_bytes() == IMAGE
    umask = linux.parse_umask(linux.read_text("/proc/self/status"))
    assert stat.S_IMODE((tmp_path / "image").stat().st_mode) == 0o644 & ~umask


def test_longer_old_file_leaves_no_tail_and_its_mode_stays(tmp_path, begun):
    (tmp_path / "image").write_bytes(b"x" * 2 * len(IMAGE))
    (tmp_path / "image").chmod(0o640)
    write_and_commit(begun())
    assert (tmp_path / "image").read_bytes() == IMAGE
    assert stat.S_IMODE((tmp_path / "image").stat().st_mode) == 0o640


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_owner_of_the_old_file_stays(tmp_path, begun):
    (tmp_path / "image").write_bytes(b"")
    os.chown(tmp_path / "image", 1234, 2345)
    write_and_commit(begun())
    found = (tmp_path / "image").stat()
    assert (found.st_uid, found.st_gid) == (1234, 2345)


def test_empty_image(tmp_path, begun):
    (tmp_path / "image").write_bytes(b"old")
    store = begun(0)
    store.commit()
    assert (tmp_path / "image").read_bytes() == b""


def test_holes_stay_holes(tmp_path, begun):
    size = 64 << 20
    store = begun(size)
    fill(store, IMAGE, 1 << 20)
    store.zero(0, 1 << 20)
    store.zero(2 << 20, size - (2 << 20))
    store.commit()
    assert (tmp_path / "image").stat().st_size == size
    assert (tmp_path / "image").stat().st_blocks * 512 < 2 << 20


def test_zeroed_data_gives_its_blocks_back(tmp_path, begun):
    store = begun(8 << 20)
    fill(store, b"x" * (8 << 20))
    store.flush()
    with (tmp_path / "probe").open("wb") as probe:
        can_punch = linux.punch_hole(probe.fileno(), 0, 4096)
    if not can_punch:
        pytest.skip("this file system cannot punch holes")
    store.zero(0, 8 << 20)
    store.commit()
    assert (tmp_path / "image").stat().st_blocks == 0


def test_prepare_changes_nothing(tmp_path):
    (tmp_path / "image").write_bytes(b"old")
    (tmp_path / PARTIAL).write_bytes(b"earlier run")
    before = snapshot(tmp_path)
    target = open_target(str(tmp_path / "image"))
    target.prepare()
    assert snapshot(tmp_path) == before
    target.release()
    target.release()
    assert snapshot(tmp_path) == before


def test_prepare_creates_nothing(tmp_path):
    target = open_target(str(tmp_path / "image"))
    target.prepare()
    target.release()
    assert os.listdir(tmp_path) == []


def test_release_lets_another_run_in(tmp_path, begun):
    (tmp_path / PARTIAL).write_bytes(b"")
    first = open_target(str(tmp_path / "image"))
    first.prepare()
    with pytest.raises(Refused):
        open_target(str(tmp_path / "image")).prepare()
    first.release()
    begun()


def test_release_after_begin_leaves_the_store_alone(tmp_path):
    target = open_target(str(tmp_path / "image"))
    target.prepare()
    store = target.begin(len(IMAGE))
    target.release()
    write_and_commit(store)
    assert (tmp_path / "image").read_bytes() == IMAGE


def test_second_run_is_refused(tmp_path, begun):
    store = begun()
    with pytest.raises(Refused, match="another run"):
        open_target(str(tmp_path / "image")).prepare()
    write_and_commit(store)
    assert (tmp_path / "image").read_bytes() == IMAGE


def test_who_is_ready_has_the_target_for_itself(tmp_path):
    """Two hosts may have one target by a shared file system: the second one is never ready."""
    one, other = (open_target(str(tmp_path / "image")) for _unused in range(2))
    one.prepare()
    with pytest.raises(Refused, match="for each node a target of its own"):
        other.prepare()
    one.release()
    assert os.listdir(tmp_path) == []
    other.prepare()
    other.begin(10).abort()
    assert os.listdir(tmp_path) == []


def test_what_a_run_left_stays_where_nothing_was_begun(tmp_path):
    (tmp_path / PARTIAL).write_bytes(b"from an earlier run")
    target = open_target(str(tmp_path / "image"))
    target.prepare()
    target.release()
    assert (tmp_path / PARTIAL).read_bytes() == b"from an earlier run"


def test_run_that_ended_between_open_and_lock(tmp_path, begun, monkeypatch):
    """What was opened as partial has become the finished file: it must not be truncated."""
    fill(begun(), IMAGE)

    class RenamesFirst:
        LOCK_EX, LOCK_NB = file.fcntl.LOCK_EX, file.fcntl.LOCK_NB

        @staticmethod
        def flock(fd, how):
            os.rename(tmp_path / PARTIAL, tmp_path / "image")

    monkeypatch.setattr(file, "fcntl", RenamesFirst)
    with pytest.raises(Refused):
        open_target(str(tmp_path / "image")).prepare()
    assert (tmp_path / "image").read_bytes() == IMAGE


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo, "hardlink", "symlink"])
def test_partial_that_is_no_partial(tmp_path, make):
    (tmp_path / "precious").write_bytes(b"precious")
    if make == "hardlink":
        os.link(tmp_path / "precious", tmp_path / PARTIAL)
    elif make == "symlink":
        os.symlink(tmp_path / "precious", tmp_path / PARTIAL)
    else:
        make(tmp_path / PARTIAL)
    with pytest.raises((Refused, TargetError)):
        open_target(str(tmp_path / "image")).prepare()
    assert (tmp_path / "precious").read_bytes() == b"precious"


def test_abort_before_the_first_byte_leaves_nothing(tmp_path, begun):
    (tmp_path / "image").write_bytes(b"old")
    begun().abort()
    assert sorted(os.listdir(tmp_path)) == ["image"]
    assert (tmp_path / "image").read_bytes() == b"old"


def test_abort_keeps_what_arrived(tmp_path, begun):
    (tmp_path / "image").write_bytes(b"old")
    store = begun()
    fill(store, IMAGE[:1000])
    store.abort()
    assert (tmp_path / "image").read_bytes() == b"old"
    assert (tmp_path / PARTIAL).read_bytes()[:1000] == IMAGE[:1000]
    write_and_commit(begun(10), b"0123456789")
    assert (tmp_path / "image").read_bytes() == b"0123456789"


def test_abort_after_commit_takes_nothing_back(tmp_path, begun):
    store = begun(5)
    store.zero(0, 5)
    store.commit()
    store.abort()
    assert (tmp_path / "image").read_bytes() == bytes(5)


def test_close_waits_for_who_is_still_writing(tmp_path, begun):
    """The number of a descriptor in use must not be given to another file."""
    entered, leave = threading.Event(), threading.Event()

    class SlowLane(BytesLane):
        def to_file(self, fd, offset, length):
            entered.set()
            assert leave.wait(10)
            return super().to_file(fd, offset, length)

    store = begun()
    worker = threading.Thread(target=store.receive, args=(SlowLane(IMAGE), 0, 10))
    worker.start()
    assert entered.wait(10)
    store.abort()
    other = os.open(tmp_path / "other", os.O_RDWR | os.O_CREAT)
    leave.set()
    worker.join(10)
    assert not worker.is_alive()
    assert os.fstat(other).st_size == 0
    os.close(other)
    assert (tmp_path / PARTIAL).read_bytes()[:10] == IMAGE[:10]


def test_failed_fsync_is_believed_for_ever(tmp_path, begun, monkeypatch):
    (tmp_path / "image").write_bytes(b"old")
    store = begun()
    fill(store, IMAGE)
    failing = FailsOnce(os.fsync)
    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(TargetError) as first:
        store.flush()
    assert first.value.fields["errno"] == errno.EIO
    for call in (
        store.flush,
        store.commit,
        lambda: store.receive(BytesLane(IMAGE), 0, 10),
        lambda: store.zero(0, 10),
    ):
        with pytest.raises(TargetError) as again:
            call()
        assert again.value is first.value
    assert failing.calls == 1
    assert (tmp_path / "image").read_bytes() == b"old"


def test_failed_write_is_believed_for_ever(tmp_path, begun):
    (tmp_path / "image").write_bytes(b"old")
    store = begun()
    lane = FailingWriteLane(IMAGE, errno.ENOSPC)
    with pytest.raises(TargetError) as error:
        store.receive(lane, 4096, 100)
    assert error.value.fields["offset"] == 4096
    assert error.value.fields["errno"] == errno.ENOSPC
    with pytest.raises(TargetError):
        store.receive(lane, 4096, 100)
    with pytest.raises(TargetError):
        store.commit()
    assert (tmp_path / "image").read_bytes() == b"old"


def test_failed_zero_is_believed_for_ever(begun, monkeypatch):
    store = begun()
    fill(store, IMAGE)
    monkeypatch.setattr(linux, "punch_hole", FailsOnce(linux.punch_hole))
    with pytest.raises(TargetError):
        store.zero(0, 4096)
    with pytest.raises(TargetError):
        store.commit()


@pytest.mark.parametrize("step", ["rename", "fchmod"])
def test_failed_commit(tmp_path, begun, monkeypatch, step):
    (tmp_path / "image").write_bytes(b"old")
    store = begun()
    fill(store, IMAGE)
    monkeypatch.setattr(os, step, FailsOnce(getattr(os, step)))
    for _attempt in range(2):
        with pytest.raises(TargetError, match="commit"):
            store.commit()
    assert (tmp_path / "image").read_bytes() == b"old"


@pytest.mark.parametrize("code, fails", [(errno.EIO, True), (errno.EINVAL, False)])
def test_directory_that_cannot_be_synced(tmp_path, begun, monkeypatch, code, fails):
    store = begun()
    fill(store, IMAGE)
    refuse_to_sync_directories(monkeypatch, code)
    if fails:
        with pytest.raises(TargetError):
            store.commit()
    else:
        store.commit()
        assert "sync" in store.notes[0]


def test_partial_that_was_replaced_is_not_published(tmp_path, begun):
    store = begun()
    fill(store, IMAGE)
    os.unlink(tmp_path / PARTIAL)
    (tmp_path / PARTIAL).write_bytes(b"somebody else's")
    with pytest.raises(TargetError):
        store.commit()
    assert sorted(os.listdir(tmp_path)) == [PARTIAL]


def test_partial_that_was_cut_is_not_published(tmp_path, begun):
    store = begun()
    fill(store, IMAGE)
    os.truncate(tmp_path / PARTIAL, 100)
    with pytest.raises(TargetError):
        store.send(BytesLane(), 0, len(IMAGE))
    with pytest.raises(TargetError):
        store.commit()
    assert sorted(os.listdir(tmp_path)) == [PARTIAL]


def test_target_that_became_a_directory(tmp_path, begun):
    store = begun()
    fill(store, IMAGE)
    (tmp_path / "image").mkdir()
    with pytest.raises(TargetError):
        store.commit()


def test_symlink_survives(tmp_path, begun):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "real").write_bytes(b"old")
    (tmp_path / "image").symlink_to("there/real")
    write_and_commit(begun())
    assert (tmp_path / "image").is_symlink()
    assert (tmp_path / "there" / "real").read_bytes() == IMAGE
    assert os.listdir(tmp_path / "there") == ["real"]


def test_dangling_symlink_is_followed(tmp_path, begun):
    (tmp_path / "image").symlink_to("new")
    write_and_commit(begun())
    assert (tmp_path / "image").is_symlink()
    assert (tmp_path / "new").read_bytes() == IMAGE


def test_name_that_is_too_long(tmp_path):
    target = open_target(str(tmp_path / ("n" * 250)))
    with pytest.raises(TargetError):
        target.prepare()
    assert os.listdir(tmp_path) == []


def test_begin_without_prepare(tmp_path):
    with pytest.raises(RuntimeError):
        open_target(str(tmp_path / "image")).begin(10)
    assert os.listdir(tmp_path) == []


def test_size_that_the_file_system_cannot_hold(tmp_path):
    target = open_target(str(tmp_path / "image"))
    target.prepare()
    with pytest.raises(TargetError, match="truncate"):
        target.begin(1 << 62)
    target.release()


def test_facts_of_a_resumed_file_count_its_room(tmp_path):
    plain = inspect_target(str(tmp_path / "image")).free
    (tmp_path / PARTIAL).write_bytes(b"x" * (1 << 20))
    assert abs(inspect_target(str(tmp_path / "image")).free - plain) < 64 << 20


def test_a_writeback_that_fails_is_sticky(tmp_path, begun, monkeypatch):
    store = begun()
    fill(store, IMAGE)
    with monkeypatch.context() as patch:
        patch.setattr(linux, "start_writeback", FailsOnce(linux.start_writeback))
        with pytest.raises(TargetError, match="writeback"):
            store.settle(0, len(IMAGE))
    with pytest.raises(TargetError, match="writeback"):
        store.commit()
    assert not (tmp_path / "image").exists()
