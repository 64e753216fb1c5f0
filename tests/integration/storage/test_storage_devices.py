# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real loop devices, mounts, swap and full file systems. Needs root; touches only what it made itself."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
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
from ansible_collections.dolly.ring.plugins.module_utils.dolly.ranges import RangeSet
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage import linux
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.facts import TargetPolicy
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.source import (
    Source,
    inspect_source,
    mounted_for_writing,
)
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.target import (
    check_target,
    inspect_target,
    open_target,
)
from ansible_collections.dolly.ring.tests.unit.plugins.module_utils.dolly.storage import storage_doubles

MIB = 1 << 20
DISK_SIZE = 32 * MIB

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root for loop devices and mounts")


def needs(*programs):
    missing = [name for name in programs if shutil.which(name) is None]
    return pytest.mark.skipif(bool(missing), reason="missing here: " + ", ".join(missing))


def run(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


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
            device = run("losetup", "--find", "--show", *options, str(path))
        except subprocess.CalledProcessError:
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
def store(loop):
    """An image on a device that is larger and was full of x."""
    with open(loop, "wb") as file:
        file.write(b"x" * DISK_SIZE)
    target = open_target(loop)
    target.prepare()
    made = target.begin(storage_doubles.IMAGE_SIZE)
    yield made
    made.close()


def digest(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def refuses(path, words):
    """Both ways to be refused: by looking, and by the kernel when it is opened."""
    with pytest.raises(Refused, match=words):
        check_target(inspect_target(path), 1)
    with pytest.raises(Refused, match="EBUSY"):
        open_target(path).prepare()


@pytest.mark.parametrize("case", storage_doubles.CASES.values(), ids=storage_doubles.CASES)
def test_conformance(case, store):
    case(store)


@pytest.mark.parametrize("case", storage_doubles.CASES.values(), ids=storage_doubles.CASES)
def test_conformance_without_blkzeroout(case, store, monkeypatch):
    monkeypatch.setattr(linux, "zero_out", lambda fd, offset, length: False)
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


def test_zeros_overwrite_too(store, monkeypatch):
    monkeypatch.setattr(linux, "zero_out", storage_doubles.FailsOnce(linux.zero_out))
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


def test_too_small(loop):
    with pytest.raises(Refused, match="too small: it has %d bytes" % DISK_SIZE):
        check_target(inspect_target(loop), DISK_SIZE + 1)
    target = open_target(loop)
    target.prepare()
    with pytest.raises(Refused, match=str(DISK_SIZE + 1)):
        target.begin(DISK_SIZE + 1)
    target.prepare()
    target.begin(DISK_SIZE).close()


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


@pytest.fixture
def small_fs(folder, undo):
    try:
        run("mount", "-t", "tmpfs", "-o", "size=1m", "dolly-test", str(folder))
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("tmpfs cannot be mounted here")
    undo("umount", "--lazy", str(folder))
    return folder


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


@pytest.mark.parametrize("options, is_told", [("rw", True), ("ro", False)])
def test_a_source_that_is_mounted_for_writing(loop, tmp_path, undo, options, is_told):
    if shutil.which("mkfs.ext4") is None:
        pytest.skip("missing here: mkfs.ext4")
    run("mkfs.ext4", "-q", "-F", loop)
    (tmp_path / "mnt").mkdir()
    run("mount", "-o", options, loop, str(tmp_path / "mnt"))
    undo("umount", str(tmp_path / "mnt"))
    told = mounted_for_writing(inspect_source(loop))
    assert ("is mounted for writing (%s)" % (tmp_path / "mnt") in told) == is_told == bool(told)
