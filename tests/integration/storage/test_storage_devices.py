# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real loop devices and full file systems, read and written. Needs root; touches only what it made itself."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import socket
import subprocess
import threading

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import (
    Refused,
    SourceChanged,
    TargetError,
)
from ansible_collections.dolly.ring.plugins.module_utils.dolly.plan.streams import Infile, Outfile
from ansible_collections.dolly.ring.plugins.module_utils.dolly.ranges import RangeSet
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage import linux
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.registry import open_source
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.source import Source, inspect_source
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.target import (
    check_target,
    inspect_target,
    open_target,
)
from ansible_collections.dolly.ring.tests.integration.storage.disks import (
    DISK_SIZE,
    MIB,
    needs,
    needs_root,
    run,
)
from ansible_collections.dolly.ring.tests.unit.plugins.module_utils.dolly.storage import storage_doubles

pytestmark = needs_root


@pytest.fixture
def store(loop):
    """An image on a device that is larger and was full of x."""
    with open(loop, "wb") as file:
        file.write(b"x" * DISK_SIZE)
    target = open_target(loop)
    target.prepare()
    made = target.begin(storage_doubles.IMAGE_SIZE)
    yield made
    made.close()


@pytest.mark.parametrize("case", storage_doubles.CASES.values(), ids=storage_doubles.CASES)
def test_conformance(case, store):
    case(store)


@pytest.mark.parametrize("lacking", [("punch_hole",), ("punch_hole", "zero_out")], ids=["holes", "zeroing"])
@pytest.mark.parametrize("case", storage_doubles.CASES.values(), ids=storage_doubles.CASES)
def test_conformance_without(lacking, case, store, monkeypatch):
    for name in lacking:
        monkeypatch.setattr(linux, name, lambda fd, offset, length: False)
    case(store)


def test_what_lies_behind_the_image_stays(loop, store):
    storage_doubles.fill(store, storage_doubles.IMAGE)
    store.zero(4096, storage_doubles.IMAGE_SIZE - 4096)
    store.commit()
    store.close()
    with open(loop, "rb") as file:
        data = file.read()
    assert data[:4096] == storage_doubles.IMAGE[:4096]
    assert data[4096 : storage_doubles.IMAGE_SIZE] == bytes(storage_doubles.IMAGE_SIZE - 4096)
    assert data[storage_doubles.IMAGE_SIZE :] == b"x" * (DISK_SIZE - storage_doubles.IMAGE_SIZE)


def test_a_write_that_fails_half_way_may_have_overwritten_something(store):
    assert not store.is_written
    with pytest.raises(TargetError):
        store.receive(storage_doubles.FailingWriteLane(b"x", errno.EIO), 0, 4096)
    assert store.is_written


def test_a_device_that_was_made_smaller_does_not_hold_the_image(store, loop, tmp_path):
    storage_doubles.fill(store, storage_doubles.IMAGE)
    store.flush()
    with (tmp_path / "disk1").open("r+b") as file:
        file.truncate(storage_doubles.IMAGE_SIZE // 2)
    run("losetup", "--set-capacity", loop)
    with pytest.raises(TargetError, match="No space left"):
        store.commit()


@pytest.mark.parametrize("how", ["punch_hole", "zero_out"])
def test_zeros_overwrite_too(store, monkeypatch, how):
    monkeypatch.setattr(linux, "punch_hole", lambda fd, offset, length: False)
    monkeypatch.setattr(linux, how, storage_doubles.FailsOnce(linux.zero_out))
    with pytest.raises(TargetError):
        store.zero(0, storage_doubles.IMAGE_SIZE)
    assert store.is_written


def test_zeroing_is_on_the_medium_after_flush(loop, store, tmp_path):
    storage_doubles.fill(store, storage_doubles.IMAGE)
    store.zero(0, storage_doubles.IMAGE_SIZE)
    store.flush()
    with (tmp_path / "disk1").open("rb") as file:
        assert file.read(storage_doubles.IMAGE_SIZE) == bytes(storage_doubles.IMAGE_SIZE)


def test_failed_fsync_is_believed_for_ever(store, monkeypatch):
    storage_doubles.fill(store, storage_doubles.IMAGE)
    monkeypatch.setattr(os, "fsync", storage_doubles.FailsOnce(os.fsync))
    for call in (store.flush, store.flush, store.commit, lambda: store.zero(0, 1)):
        with pytest.raises(TargetError) as error:
            call()
        assert error.value.fields["operation"] == "fsync"


@pytest.mark.parametrize("use_splice", [True, False])
@pytest.mark.parametrize("kind", ["block", "file"])
def test_with_a_real_socket(kind, use_splice, store, folder):
    lane_module = pytest.importorskip("ansible_collections.dolly.ring.plugins.module_utils.dolly.net.lane")
    if kind == "file":
        target = open_target(str(folder / "image"))
        target.prepare()
        store.close()
        store = target.begin(storage_doubles.IMAGE_SIZE)
    ends = socket.socketpair()
    lanes = [lane_module.Lane(end, "peer", use_splice) for end in ends]
    try:
        writer = threading.Thread(target=lanes[0].write, args=(storage_doubles.IMAGE,))
        writer.start()
        offset = 0
        while offset < store.size:
            offset += store.receive(lanes[1], offset, store.size - offset)
        writer.join()
        assert storage_doubles.content(store) == storage_doubles.IMAGE
        sender = threading.Thread(target=store.send, args=(lanes[1], 0, store.size))
        sender.start()
        assert lanes[0].read(store.size) == storage_doubles.IMAGE
        sender.join()
        store.commit()
    finally:
        for lane in lanes:
            lane.close()
        store.close()


def test_partition_is_written_in_its_bounds(loop, parts):
    target = open_target(parts[0])
    target.prepare()
    with pytest.raises(Refused, match="EBUSY"):
        open_target(loop).prepare()
    store = target.begin(8 * MIB)
    storage_doubles.fill(store, b"y" * (8 * MIB))
    store.commit()
    assert store.notes == []
    store.close()
    with open(loop, "rb") as file:
        data = file.read()
    assert data.count(b"y") == 8 * MIB
    assert data[MIB : 9 * MIB].count(b"y") == 8 * MIB


def test_partition_table_is_read_again(make_loop):
    for options in ((), ("--partscan",)):
        target = open_target(make_loop(DISK_SIZE, *options))
        target.prepare()
        store = target.begin(MIB)
        store.commit()
        store.close()
        assert len(store.notes) == (0 if options else 1)  # without partscan a loop device has no partitions


def test_an_image_whose_size_is_told_at_the_end(loop):
    with open(loop, "wb") as file:
        file.write(b"x" * DISK_SIZE)
    target = open_target(loop)
    target.prepare()
    store = target.begin(None)
    assert store.size == DISK_SIZE
    storage_doubles.fill(store, storage_doubles.IMAGE)
    store.end(storage_doubles.IMAGE_SIZE)
    store.commit()
    store.close()
    with open(loop, "rb") as file:
        assert file.read() == storage_doubles.IMAGE + b"x" * (DISK_SIZE - storage_doubles.IMAGE_SIZE)


def test_disk_as_source(loop, folder):
    with open(loop, "wb") as file:
        file.write(storage_doubles.IMAGE)
    facts = inspect_source(loop)
    assert (facts.kind, facts.size, facts.allocated) == ("block", DISK_SIZE, DISK_SIZE)
    with pytest.raises(Refused, match="it is the source"):
        check_target(inspect_target(loop), 1, 1, facts)
    source = Source(loop, facts)
    assert source.data_ranges() == RangeSet.span(0, DISK_SIZE)
    lane = storage_doubles.BytesLane()
    source.send(lane, 0, storage_doubles.IMAGE_SIZE)
    assert bytes(lane.sent) == storage_doubles.IMAGE
    source.check_unchanged()
    source.close()


def test_full_file_system(small_fs):
    (small_fs / "image").write_bytes(b"old")
    facts = inspect_target(str(small_fs / "image"))
    with pytest.raises(Refused, match="free"):
        check_target(facts, 4 * MIB)
    check_target(facts, 4 * MIB, needed_bytes=65_536)
    target = open_target(str(small_fs / "image"), facts)
    target.prepare()
    store = target.begin(4 * MIB)
    try:
        with pytest.raises(TargetError) as error:
            storage_doubles.fill(store, b"z" * (4 * MIB))
        assert error.value.fields["errno"] == errno.ENOSPC
        for call in (store.flush, store.commit):
            with pytest.raises(TargetError) as again:
                call()
            assert again.value is error.value
    finally:
        store.abort()
    assert (small_fs / "image").read_bytes() == b"old"
    assert sorted(os.listdir(small_fs)) == [".image.dolly-partial", "image"]


@pytest.mark.parametrize("can_punch", [True, False])
def test_zeros_take_no_room_on_a_device_that_can_do_without(make_loop, tmp_path, monkeypatch, can_punch):
    """A loop device, as a thin one, gives the room back where it is asked to; BLKZEROOUT alone fills it."""
    if not can_punch:
        monkeypatch.setattr(linux, "punch_hole", lambda fd, offset, length: False)
    loop = make_loop()
    backing = tmp_path / "disk1"
    with open(loop, "r+b") as file:
        file.write(b"old" * (DISK_SIZE // 3))
        os.fsync(file.fileno())
    before = backing.stat().st_blocks
    target = open_target(loop)
    target.prepare()
    store = target.begin(DISK_SIZE)
    store.zero(0, DISK_SIZE)
    store.commit()
    store.close()
    with open(loop, "rb") as file:
        assert not any(file.read())
    assert backing.stat().st_blocks * 512 >= DISK_SIZE or can_punch
    assert not can_punch or backing.stat().st_blocks < before / 10


@needs("losetup", "sfdisk")
def test_the_backup_of_the_partition_table_moves_to_the_end(tmp_path, make_loop):
    image = tmp_path / "image"
    with open(image, "wb") as file:
        file.truncate(DISK_SIZE // 2)
    table = "label: gpt\nstart=2048, size=8192, name=data\n"
    subprocess.run(["sfdisk", "--quiet", str(image)], input=table, text=True, check=True)
    loop = make_loop()
    target = open_target(loop)
    target.moves_gpt = True
    target.prepare()
    store = target.begin(DISK_SIZE // 2)
    storage_doubles.fill(store, image.read_bytes())
    store.commit()
    with open(loop, "rb") as file:
        assert file.read(DISK_SIZE // 2) == image.read_bytes()  # until then others may be served from it
    store.finalize()
    store.close()
    assert [note for note in store.notes if "moved to the end" in note]
    found = subprocess.run(["sfdisk", "--verify", loop], capture_output=True, text=True, check=False)
    assert "No errors detected" in found.stdout, found.stdout + found.stderr
    assert "backup GPT" not in found.stderr  # it lies where it belongs
    assert "name=\"data\"" in run("sfdisk", "--dump", loop)


def test_a_source_device_that_nobody_writes_to_has_not_changed(loop):
    with open(loop, "r+b") as file:
        file.write(b"dirty when the source is opened, and on the medium only then")
        file.flush()
        source = Source(loop)
        try:
            source.read(0, memoryview(bytearray(65_536)))
            source.check_unchanged()
        finally:
            source.close()


def test_a_source_device_that_somebody_writes_to_has_changed(loop):
    source = Source(loop)
    try:
        with open(loop, "r+b") as file:
            file.write(b"x" * 4096)
            file.flush()
            os.fsync(file.fileno())
        with pytest.raises(SourceChanged):
            source.check_unchanged()
    finally:
        source.close()


def test_what_is_still_in_memory_counts_as_written(loop):
    """As buffered writes do: nothing of them was on the device when the source was looked at for the last time."""
    source = Source(loop)
    try:
        with open(loop, "r+b", buffering=0) as file:
            file.write(b"x" * 4096)
            with pytest.raises(SourceChanged):
                source.check_unchanged()
    finally:
        source.close()


@pytest.mark.parametrize("options, is_refused", [("rw", True), ("ro", False)])
def test_a_source_that_is_mounted_for_writing(loop, tmp_path, undo, options, is_refused):
    if shutil.which("mkfs.ext4") is None:
        pytest.skip("missing here: mkfs.ext4")
    run("mkfs.ext4", "-q", "-F", loop)
    (tmp_path / "mnt").mkdir()
    run("mount", "-o", options, loop, str(tmp_path / "mnt"))
    undo("umount", str(tmp_path / "mnt"))
    place = re.escape(str(tmp_path / "mnt"))
    refused = pytest.raises(Refused, match=r"mounted for writing \(%s\).*remount,ro %s" % (place, place))
    with refused if is_refused else contextlib.nullcontext():
        open_source(loop, Infile(), Outfile(), 0.0).close()
