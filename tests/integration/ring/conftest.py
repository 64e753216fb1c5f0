# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Racks for ring tests. Each fixture removes what it makes, also after a failed test."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

from ansible_collections.dolly.ring.tests.integration.loops import attach
from ansible_collections.dolly.ring.tests.integration.ring.classic_rack import ClassicRack
from ansible_collections.dolly.ring.tests.integration.ring.images import make_image
from ansible_collections.dolly.ring.tests.integration.ring.networks import (
    Loopback,
    Namespaces,
    call,
    missing_programs,
    why_no_namespaces,
)
from ansible_collections.dolly.ring.tests.integration.ring.processes import Program, until
from ansible_collections.dolly.ring.tests.integration.ring.rack import Rack, build_engine


@pytest.fixture(scope="session")
def engine(tmp_path_factory):
    return build_engine(tmp_path_factory.mktemp("engine") / "dolly.pyz")


@pytest.fixture
def folder(tmp_path):
    """A directory in memory if possible, so that the disk of this machine does not matter."""
    if not os.access("/dev/shm", os.W_OK):
        yield tmp_path
        return
    path = Path(tempfile.mkdtemp(prefix="dolly-ring-", dir="/dev/shm"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def make_rack(engine, folder):
    racks = []

    def make(network, kind=Rack):
        rack = kind(network, engine, folder)
        racks.append(rack)
        return rack

    yield make
    for rack in racks:
        ended = rack.clear()
        print(rack.report())  # pytest shows this for a failed test
        print("ended by the test: %s" % ", ".join(ended or ["none"]))


@pytest.fixture
def loopback(make_rack):
    """Nodes on addresses of the loopback device; needs no privileges."""
    return make_rack(Loopback())


@pytest.fixture
def classic(make_rack):
    """The same network for nodes of which some are originals."""
    return make_rack(Loopback(), ClassicRack)


@pytest.fixture(scope="session")
def _machines():
    reason = why_no_namespaces()
    if reason:
        pytest.skip(reason)
    machines = Namespaces(9)
    yield machines
    machines.remove()


@pytest.fixture
def machines(_machines):
    """The namespaces with their switch and cables, which are restored after the test."""
    yield _machines
    _machines.restore()


@pytest.fixture
def namespaces(make_rack, machines):
    """Nodes in network namespaces with addresses of their own, up to eight and the server."""
    return make_rack(machines)


@pytest.fixture
def machines_classic(make_rack, machines):
    """The same network for nodes of which some are originals."""
    return make_rack(machines, ClassicRack)


@pytest.fixture(params=["loopback", "namespaces"])
def rack(request):
    """Runs the test in both networks."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def make_disk(folder, undo):
    """Make loop devices full of old data. Returns the device and its backing file."""
    _need_root("losetup")
    made = []

    def make(size):
        backing = make_image(folder / ("disk%d" % len(made)), size, seed=100 + len(made))
        device = attach(backing)
        undo("losetup", "--detach", device)
        made.append(device)
        return Path(device), backing

    return make


@pytest.fixture
def make_faulty(folder, undo):
    """Mount file systems with named faults. Returns the mount point and the folder behind it."""
    pytest.importorskip("mfusepy", reason="mfusepy is not installed")
    if os.geteuid() != 0 or not os.access("/dev/fuse", os.W_OK) or missing_programs("fusermount3", "losetup"):
        pytest.skip("needs root, /dev/fuse, fusermount3 and losetup")
    programs = []

    def make(*faults):
        mount = Path(tempfile.mkdtemp(prefix="faulty-", dir=folder))
        behind = Path(tempfile.mkdtemp(prefix="behind-", dir=folder))
        command = [sys.executable, str(Path(__file__).with_name("faulty_fs.py")), str(mount), str(behind), *faults]
        program = Program("faulty%d" % len(programs), command, folder)
        programs.append(program)
        undo("umount", "--lazy", str(mount))
        until(lambda: os.path.ismount(mount) or program.code is not None, "the faulty file system")
        assert program.code is None, program.report()
        return mount, behind

    yield make
    for program in programs:
        program.end()


@pytest.fixture
def make_mount(folder, undo):
    """Make file systems of limited size in memory."""
    _need_root("mount", "umount")

    def make(size):
        path = Path(tempfile.mkdtemp(prefix="mount-", dir=folder))
        call("mount", "-t", "tmpfs", "-o", "size=%d" % size, "tmpfs", str(path))
        undo("umount", "--lazy", str(path))
        return path

    return make


def _need_root(*programs):
    if os.geteuid() != 0:
        pytest.skip("needs root for loop devices and mounts")
    missing = missing_programs(*programs)
    if missing:
        pytest.skip("missing here: " + ", ".join(missing))
