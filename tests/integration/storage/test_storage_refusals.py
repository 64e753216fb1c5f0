# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is found out about real disks, mounts and swap, and refused. Needs root; touches only what it made itself."""

from __future__ import annotations

import dataclasses
import fcntl
import hashlib
import os
import subprocess

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import Refused
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage import linux
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.facts import TargetPolicy
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.source import inspect_source
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.target import (
    check_same,
    check_target,
    inspect_target,
    open_target,
)
from ansible_collections.dolly.ring.tests.integration.loops import exchange
from ansible_collections.dolly.ring.tests.integration.storage.disks import (
    DISK_SIZE,
    MIB,
    needs,
    needs_root,
    run,
)

pytestmark = needs_root


def digest(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def refuses(path, words):
    """Both ways to be refused: by looking, and by the kernel when it is opened."""
    with pytest.raises(Refused, match=words):
        check_target(inspect_target(path), 1)
    with pytest.raises(Refused, match="EBUSY"):
        open_target(path).prepare()


def test_facts_of_a_disk(loop):
    facts = inspect_target(loop)
    found = os.stat(loop)
    assert (facts.kind, facts.size, facts.device) == ("block", DISK_SIZE, linux.device_name(found.st_rdev))
    assert (facts.mounted_at, facts.swap, facts.holders, facts.is_system_disk) == ((), False, (), False)
    check_target(facts, DISK_SIZE, policy=TargetPolicy(expect_size=DISK_SIZE))
    with pytest.raises(Refused, match="serial is not known"):
        check_target(facts, DISK_SIZE, policy=TargetPolicy(expect_serial="X"))


def test_link_to_a_disk(loop, folder):
    (folder / "link").symlink_to(loop)
    assert inspect_target(str(folder / "link")).real_path == loop


def test_prepare_writes_nothing(loop, tmp_path):
    with open(loop, "wb") as file:
        file.write(os.urandom(MIB))
    before = digest(loop), os.stat(tmp_path / "disk1").st_mtime_ns
    target = open_target(loop)
    target.prepare()
    target.release()
    assert (digest(loop), os.stat(tmp_path / "disk1").st_mtime_ns) == before


def test_second_run_is_refused(loop):
    first = open_target(loop)
    first.prepare()
    with pytest.raises(Refused, match="EBUSY"):
        open_target(loop).prepare()
    store = first.begin(MIB)
    with pytest.raises(Refused, match="EBUSY"):
        open_target(loop).prepare()
    store.close()
    second = open_target(loop)
    second.prepare()
    second.release()


def test_in_use_by_somebody_who_is_not_seen(loop):
    """As a mount in a view that no visible process has, ZFS, or a raw disk of a virtual machine."""
    other = os.open(loop, os.O_RDWR | os.O_EXCL)
    try:
        refuses(loop, "in use, but not by what .EBUSY")
    finally:
        os.close(other)
    check_target(inspect_target(loop), DISK_SIZE)
    # Whoever only looks keeps nobody out, neither before nor while somebody writes.
    target = open_target(loop)
    target.prepare()
    assert inspect_target(loop).in_use
    target.release()
    assert not inspect_target(loop).in_use


def test_loop_device_on_the_source(tmp_path, loop):
    source = inspect_source(str(tmp_path / "disk1"))
    with pytest.raises(Refused, match="loop device on the source"):
        check_target(inspect_target(loop), 1, 1, source)
    other = tmp_path / "other"
    other.write_bytes(b"x")
    check_target(inspect_target(loop), 1, 1, inspect_source(str(other)))


def test_file_behind_a_loop_device(tmp_path, loop):
    with pytest.raises(Refused, match="in use as %s; detach" % os.path.basename(loop)):
        check_target(inspect_target(str(tmp_path / "disk1")), 1)
    check_target(inspect_target(str(tmp_path / "disk2")), 1)


def attach_another(loop, tmp_path):
    """What udev, a bus or a person does to a name. What was there stays as it is."""
    other = tmp_path / "other"
    with other.open("wb") as file:
        file.truncate(DISK_SIZE)
    exchange(loop, other)


def test_another_disk_behind_the_same_device(loop, tmp_path):
    """Same number, same size, no serial number: and another disk all the same."""
    seen = inspect_target(loop)
    check_same(inspect_target(loop), seen)
    attach_another(loop, tmp_path)
    with pytest.raises(Refused, match=r"was device .*, now it is device"):
        check_same(inspect_target(loop), seen)
    # Kernels before 5.15 do not number disks.
    with pytest.raises(Refused, match=r"was device .*, now it is device"):
        check_same(dataclasses.replace(inspect_target(loop), sequence=0), seen)


def test_another_disk_between_the_last_look_and_the_opening(loop, tmp_path):
    target = open_target(loop)
    if not target.facts.sequence:
        pytest.skip("this kernel does not number disks (before 5.15)")
    attach_another(loop, tmp_path)
    with pytest.raises(Refused, match="another disk has taken the place"):
        target.prepare()


def test_what_happens_to_the_same_disk(loop, parts, tmp_path):
    """It grows, is read and written, and its partitions come and go."""
    seen = inspect_target(loop)
    with open(loop, "r+b") as file:
        file.write(b"x" * 4096)
    check_same(inspect_target(loop), seen)
    seen_part = inspect_target(parts[1])
    run("delpart", loop, "2")
    run("addpart", loop, "2", "18432", "16384")
    check_same(inspect_target(parts[1]), seen_part)
    run("delpart", loop, "2")
    run("addpart", loop, "2", "18432", "8192")
    with pytest.raises(Refused, match=r"8388608 bytes.* 4194304 bytes"):
        check_same(inspect_target(parts[1]), seen_part)


def test_a_disk_that_grows_is_the_same(loop, tmp_path):
    seen = inspect_target(loop)
    os.truncate(tmp_path / "disk1", DISK_SIZE + MIB)
    run("losetup", "--set-capacity", loop)
    found = inspect_target(loop)
    assert found.size == DISK_SIZE + MIB
    check_same(found, seen)


def test_locked_by_somebody_polite(loop, monkeypatch):
    from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage import block

    monkeypatch.setattr(block, "_LOCK_PAUSE_S", 0.0)
    with open(loop, "rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        with pytest.raises(Refused, match="holds a lock"):
            open_target(loop).prepare()
        fcntl.flock(file, fcntl.LOCK_UN)
        target = open_target(loop)
        target.prepare()
        target.release()


@needs("mkfs.ext4", "mount", "umount")
def test_mounted(loop, folder, undo):
    run("mkfs.ext4", "-q", loop)
    run("mount", loop, str(folder))
    undo("umount", "--lazy", str(folder))
    refuses(loop, "mounted .%s" % folder)
    assert inspect_target(loop).content == "ext2/3/4"
    file_facts = inspect_target(str(folder / "image"))
    with pytest.raises(Refused, match="shares its bytes with the source"):
        check_target(file_facts, 1, 1, inspect_source(loop))


@needs("mkfs.ext4", "mount", "unshare")
def test_mounted_in_another_namespace_only(loop, folder):
    run("mkfs.ext4", "-q", loop)
    script = 'mount "$0" "$1" && echo mounted && read -r _'
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, loop, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        try:
            assert other.stdout.readline() == b"mounted\n"
            assert not os.path.ismount(str(folder))
            refuses(loop, "mounted .%s" % folder)
        finally:
            other.stdin.close()
            other.wait(10)
    check_target(inspect_target(loop), DISK_SIZE)


@needs("mkswap", "swapon", "swapoff")
def test_swap(loop, undo):
    run("mkswap", loop)
    try:
        run("swapon", loop)
    except subprocess.CalledProcessError:
        pytest.skip("swapon is not allowed here")
    undo("swapoff", loop)
    refuses(loop, "active swap")


@needs("mkfs.ext4", "mount", "umount")
def test_mounted_partition(loop, parts, folder, undo):
    run("mkfs.ext4", "-q", parts[0])
    run("mount", parts[0], str(folder))
    undo("umount", "--lazy", str(folder))
    refuses(loop, "mounted")
    refuses(parts[0], "mounted")
    facts = inspect_target(parts[1])
    assert facts.is_partition
    check_target(facts, 8 * MIB)


@needs("mkfs.ext4", "mkswap")
def test_what_is_on_the_partitions_of_a_disk(loop, parts):
    run("mkfs.ext4", "-q", parts[0])
    run("mkswap", parts[1])
    assert inspect_target(loop).content == "a partition table with 2 partitions: ext2/3/4, swap"
    assert inspect_target(parts[1]).content == "swap"


def test_partition_of_the_source(loop, parts):
    with pytest.raises(Refused, match="shares its bytes"):
        check_target(inspect_target(parts[0]), 1, 1, inspect_source(loop))
    with pytest.raises(Refused, match="shares its bytes"):
        check_target(inspect_target(loop), 1, 1, inspect_source(parts[1]))
    check_target(inspect_target(parts[0]), 1, 1, inspect_source(parts[1]))


def test_too_small(loop):
    with pytest.raises(Refused, match="too small: it has %d bytes" % DISK_SIZE):
        check_target(inspect_target(loop), DISK_SIZE + 1)
    target = open_target(loop)
    target.prepare()
    with pytest.raises(Refused, match=str(DISK_SIZE + 1)):
        target.begin(DISK_SIZE + 1)
    target.prepare()
    target.begin(DISK_SIZE).close()


def test_read_only_disk(make_loop):
    device = make_loop(DISK_SIZE, "--read-only")
    with pytest.raises(Refused, match="read-only"):
        check_target(inspect_target(device), 1)
    with pytest.raises(Refused, match=r"read-only|may not write"):
        open_target(device).prepare()


def test_device_that_is_another_one_by_now(make_loop, folder):
    link = folder / "node"
    first, second = make_loop(), make_loop()
    os.mknod(link, 0o600 | 0o060000, os.stat(first).st_rdev)
    target = open_target(str(link))
    link.unlink()
    os.mknod(link, 0o600 | 0o060000, os.stat(second).st_rdev)
    with pytest.raises(Refused, match="any more"):
        target.prepare()
    link.unlink()


def test_device_without_a_medium(folder):
    node = folder / "node"
    os.mknod(node, 0o600 | 0o060000, os.makedev(240, 77))
    target = open_target(str(node))
    with pytest.raises(Refused, match="no such device"):
        target.prepare()


def test_read_only_file_system(small_fs):
    run("mount", "-o", "remount,ro", str(small_fs))
    with pytest.raises(Refused, match="read-only"):
        check_target(inspect_target(str(small_fs / "image")), 1)
    with pytest.raises(Refused, match="no file can be made"):
        open_target(str(small_fs / "image")).prepare()


@needs("mount", "umount")
def test_bind_mounted_file(folder, undo):
    for name in ("a", "b"):
        (folder / name).write_bytes(b"")
    run("mount", "--bind", str(folder / "a"), str(folder / "b"))
    undo("umount", "--lazy", str(folder / "b"))
    with pytest.raises(Refused, match="mounted"):
        check_target(inspect_target(str(folder / "b")), 1)
    check_target(inspect_target(str(folder / "a")), 1)


def test_running_system_is_refused():
    number = os.stat("/").st_dev
    name = os.path.basename(os.path.realpath("/sys/dev/block/" + linux.device_name(number)))
    if not os.path.exists("/dev/" + name):
        pytest.skip("the root file system is not on a disk")
    with pytest.raises(Refused, match="running system"):
        check_target(inspect_target("/dev/" + name), 1)
