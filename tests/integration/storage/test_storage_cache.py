# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What early writeback and letting go of memory do on real file systems. Needs root for the mounts."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.source import Source
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.target import open_target
from ansible_collections.dolly.ring.tests.integration.loops import attach
from ansible_collections.dolly.ring.tests.integration.storage.disks import needs, needs_root, run
from ansible_collections.dolly.ring.tests.unit.plugins.module_utils.dolly.storage.storage_doubles import (
    IMAGE,
    BytesLane,
)

MIB = 1 << 20
DISK_SIZE = 64 * MIB
SIZE = 8 * MIB
DATA = (IMAGE * (SIZE // len(IMAGE) + 1))[:SIZE]
#: The kernel writes by itself what is older than 30 s (vm.dirty_expire_centisecs).
PATIENCE_S = 15.0

pytestmark = [needs_root, needs("losetup", "mkfs.ext4", "mount", "umount", "fincore")]


@pytest.fixture
def backing():
    """The file behind the disk, in memory where that can be: what is tested is not this machine's disk."""
    folder = Path(tempfile.mkdtemp(prefix="dolly-cache-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None))
    path = folder / "disk"
    with path.open("wb") as file:
        file.truncate(DISK_SIZE)
    yield path
    shutil.rmtree(folder)


@pytest.fixture
def disk(backing):
    try:
        device = attach(backing)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this machine has no loop devices")
    yield device
    run("losetup", "--detach", device)


@pytest.fixture
def ext4(disk, tmp_path):
    folder = tmp_path / "mounted"
    folder.mkdir()
    run("mkfs.ext4", "-q", disk)
    run("mount", disk, str(folder))
    yield folder
    run("umount", str(folder))


def begin(path, data=DATA):
    target = open_target(str(path))
    target.prepare()
    store = target.begin(len(data))
    lane, offset = BytesLane(data, MIB), 0
    while offset < len(data):
        offset += store.receive(lane, offset, len(data) - offset)
    return store


def cached(path):
    return int(run("fincore", "--bytes", "--noheadings", "--output", "RES", str(path)))


def until(condition):
    give_up_at = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up_at, "in vain"
        time.sleep(0.02)


def content(store):
    found = bytearray(len(DATA))
    store.read(0, memoryview(found))
    return bytes(found)


def test_settled_bytes_reach_the_disk_without_a_flush(disk, backing):
    store = begin(disk)
    try:
        store.settle(0, SIZE)

        def has_arrived():
            with backing.open("rb") as file:
                return file.read(SIZE) == DATA

        until(has_arrived)
    finally:
        store.close()


def test_released_pages_are_gone_once_they_are_on_the_disk_and_read_back_the_same(ext4):
    store = begin(ext4 / "image")
    partial = ext4 / ".image.dolly-partial"
    try:
        assert cached(partial) >= SIZE
        store.settle(0, SIZE)

        def is_gone():
            store.release(0, SIZE)
            return cached(partial) == 0

        until(is_gone)
        assert content(store) == DATA
        store.release(0, 4 * MIB)
        assert 0 < cached(partial) <= 5 * MIB  # what lies behind stays, and a little more may have been read
        store.commit()
    finally:
        store.close()
    assert (ext4 / "image").read_bytes() == DATA


def test_a_source_lets_go_too(ext4):
    path = ext4 / "source"
    path.write_bytes(DATA)
    run("sync", str(path))
    source = Source(str(path))
    try:
        assert cached(path) >= SIZE
        source.release(0, 4 * MIB)
        assert cached(path) == SIZE - 4 * MIB
        source.release(0, SIZE)
        assert cached(path) == 0
    finally:
        source.close()


def test_files_in_memory_keep_their_pages(tmp_path):
    folder = tmp_path / "memory"
    folder.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(folder))
    try:
        store = begin(folder / "image")
        store.settle(0, SIZE)
        store.release(0, SIZE)
        assert cached(folder / ".image.dolly-partial") == SIZE
        assert content(store) == DATA
        store.close()
    finally:
        run("umount", str(folder))
