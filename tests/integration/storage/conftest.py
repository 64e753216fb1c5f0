# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Loop devices, their partitions, and small file systems, gone when the test is over."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from ansible_collections.dolly.ring.tests.integration.loops import attach
from ansible_collections.dolly.ring.tests.integration.storage.disks import DISK_SIZE, run


@pytest.fixture
def make_loop(tmp_path, undo):
    if shutil.which("losetup") is None:
        pytest.skip("missing here: losetup")
    count = 0

    def make(size=DISK_SIZE, *options):
        nonlocal count
        count += 1
        path = tmp_path / ("disk%d" % count)
        with path.open("wb") as file:
            file.truncate(size)
        try:
            device = attach(path, *options)
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("this machine has no loop devices")
        undo("losetup", "--detach", device)
        return device

    return make


@pytest.fixture
def loop(make_loop):
    return make_loop()


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "folder"
    made.mkdir()
    return made


@pytest.fixture
def parts(loop, undo):
    """Two partitions, made known to the kernel without a table that it would have to understand."""
    if shutil.which("addpart") is None:
        pytest.skip("missing here: addpart")
    run("addpart", loop, "1", "2048", "16384")
    undo("delpart", loop, "1")
    run("addpart", loop, "2", "18432", "16384")
    undo("delpart", loop, "2")
    found = [loop + "p1", loop + "p2"]
    if not all(os.path.exists(part) for part in found):
        pytest.skip("nobody makes device nodes for partitions here")
    return found


@pytest.fixture
def small_fs(folder, undo):
    try:
        run("mount", "-t", "tmpfs", "-o", "size=1m", "dolly-test", str(folder))
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("tmpfs cannot be mounted here")
    undo("umount", "--lazy", str(folder))
    return folder
