# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Block devices as targets and as source, and targets that nobody wants to be overwritten."""

from __future__ import annotations

import gzip
import os
import stat
from pathlib import Path

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import Refused
from ansible_collections.dolly.ring.plugins.module_utils.dolly.run.rundir import RunDir
from ansible_collections.dolly.ring.plugins.module_utils.dolly.run.target_conflicts import refuse_taken
from ansible_collections.dolly.ring.tests.integration.ring import images
from ansible_collections.dolly.ring.tests.integration.ring.images import CHUNK, MIB
from ansible_collections.dolly.ring.tests.integration.ring.networks import call, missing_programs
from ansible_collections.dolly.ring.tests.integration.ring.processes import until

IMAGE_SIZE = 2 * CHUNK + 512


@pytest.fixture
def disks(loopback, make_disk):
    """Gives node 1, 2, ... a disk of its own under the name that they all write to."""

    def give(*sizes):
        backings = {}
        for index, size in enumerate(sizes, 1):
            device, backings[index] = make_disk(size)
            loopback.target(index).symlink_to(device)
        return backings

    return give


def test_devices_as_large_as_the_image_and_larger(loopback, disks):
    image = loopback.image(IMAGE_SIZE)
    backings = disks(IMAGE_SIZE, IMAGE_SIZE + 3 * MIB, IMAGE_SIZE + 512)
    rest = images.digest(_tail(loopback, backings[2]))
    loopback.start_clients(3)
    loopback.start_server(image, "--fanout", "2")
    assert loopback.finish() == 0
    for backing in backings.values():
        assert images.digest(backing, IMAGE_SIZE) == images.digest(image)
    assert images.digest(_tail(loopback, backings[2])) == rest
    assert all(row.verified for row in loopback.rows().values())


def test_a_sparse_image_does_not_leave_old_data_on_a_disk(loopback, disks):
    image = loopback.folder / "sparse.img"
    with image.open("wb") as file:
        file.write(b"begin")
        file.seek(2 * CHUNK + 5000)
        file.write(b"middle")
        file.truncate(IMAGE_SIZE + CHUNK)
    backings = disks(IMAGE_SIZE + CHUNK, IMAGE_SIZE + 2 * CHUNK)
    loopback.start_clients(2)
    loopback.start_server(image)
    assert loopback.finish() == 0
    for backing in backings.values():
        assert images.digest(backing, image.stat().st_size) == images.digest(image)


def test_a_disk_that_only_says_that_it_writes_zeros_is_found_out(loopback, disks):
    image = loopback.folder / "sparse.img"
    with image.open("wb") as file:
        file.write(b"begin")
        file.seek(4 * CHUNK + 5000)
        file.write(b"end")
        file.truncate(5 * CHUNK)
    backings = disks(5 * CHUNK, 5 * CHUNK)
    loopback.start_client(1, fault=["lying-zeros"])
    loopback.start_clients(2)
    loopback.start_server(image)
    assert loopback.finish() == 0
    rows = loopback.rows()
    assert rows[1].repaired and not rows[2].repaired
    for backing in backings.values():
        assert images.digest(backing, image.stat().st_size) == images.digest(image)


def test_a_device_as_source(loopback, make_disk):
    device, backing = make_disk(IMAGE_SIZE)
    loopback.start_clients(2)
    loopback.start_server(device)
    assert loopback.finish() == 0
    assert images.digest(loopback.target(2)) == images.digest(backing)


@pytest.fixture
def file_system(make_disk, undo, tmp_path):
    """A disk with an ext4 on it, mounted so that nothing is written to it: where it is mounted, and the device."""
    if missing_programs("mkfs.ext4"):
        pytest.skip("missing here: mkfs.ext4")
    device, _backing = make_disk(16 * MIB)
    # Else the kernel itself writes to it some seconds after it was mounted.
    call("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", device)
    call("mount", "-o", "ro", device, str(tmp_path))
    undo("umount", str(tmp_path))
    return tmp_path, device


def test_a_source_that_is_mounted_for_writing_is_refused(loopback, file_system):
    folder, device = file_system
    call("mount", "-o", "remount,rw", str(folder))
    loopback.start_clients(2)
    server = loopback.start_server(device)
    assert server.wait() == 1
    assert "mounted for writing (%s)" % folder in server.log
    assert not loopback.target(1).exists()


@pytest.mark.parametrize("is_written", [True, False])
def test_a_source_that_is_mounted_is_no_good_when_somebody_writes_to_it(loopback, file_system, is_written):
    """The file system writes past the page cache of the disk, so that no digest would show it."""
    folder, device = file_system
    loopback.start_clients(2)
    loopback.start_server(device, fault=["slow-source=%d" % (6 * MIB)])
    loopback.await_data(2, MIB)
    if is_written:
        call("mount", "-o", "remount,rw", str(folder))
        (folder / "written").write_bytes(b"x" * MIB)
        call("sync", "--file-system", str(folder))  # that of the whole machine may take longer than the run
    assert loopback.finish() == (4 if is_written else 0)
    assert ("changed at byte" in loopback.server.log) == is_written


def test_a_source_that_somebody_writes_to_is_no_good_though_nothing_of_it_is_on_the_disk_yet(loopback, make_disk):
    """As with dd and no fsync: it was read before or after, and counted by nobody."""
    device, _backing = make_disk(16 * MIB)
    loopback.start_clients(2)
    loopback.start_server(device, "--verify", "none", fault=["slow-source=%d" % (6 * MIB)])
    loopback.await_data(2, MIB)
    with open(device, "r+b", buffering=0) as disk:
        disk.seek(15 * MIB)
        disk.write(b"x" * MIB)
        assert loopback.finish() == 4
    assert "changed at byte" in loopback.server.log
    assert "done" not in [row.state for row in loopback.rows().values()]
    assert [loopback.clients[index].code for index in (1, 2)] == [4, 4]


def test_one_device_that_is_too_small_does_not_keep_the_others_back(loopback, disks):
    image = loopback.image(IMAGE_SIZE)
    backings = disks(IMAGE_SIZE, IMAGE_SIZE - 512, IMAGE_SIZE)
    before = images.digest(backings[2])
    loopback.start_clients(3)
    loopback.start_server(image, "--min-nodes", "2")
    assert loopback.finish() == 3
    rows = loopback.rows()
    assert [rows[index].state for index in (1, 2, 3)] == ["done", "failed", "done"]
    assert "too small" in rows[2].reason and str(IMAGE_SIZE) in rows[2].reason
    assert loopback.clients[2].code == 1 and "too small" in loopback.clients[2].out
    assert images.digest(backings[2]) == before
    for index in (1, 3):
        assert images.digest(backings[index]) == images.digest(image)


def test_one_device_that_is_too_small_refuses_the_run(loopback, disks):
    backings = disks(IMAGE_SIZE, IMAGE_SIZE - 512)
    before = [images.digest(backing) for backing in backings.values()]
    loopback.start_clients(2)
    loopback.start_server(loopback.image(IMAGE_SIZE))
    assert loopback.finish() == 4
    assert "nothing was written" in loopback.server.log
    assert loopback.address(2) in loopback.server.log and "too small" in loopback.server.log
    assert [images.digest(backing) for backing in backings.values()] == before


@pytest.mark.skipif(bool(missing_programs("mke2fs", "mount")), reason="missing here: mke2fs or mount")
def test_a_mounted_device_is_refused(loopback, disks, undo):
    backings = disks(16 * MIB, 16 * MIB)
    device = os.path.realpath(loopback.target(1))
    place = loopback.folder / "mounted"
    place.mkdir()
    call("mke2fs", "-q", "-F", device)
    call("mount", device, str(place))
    undo("umount", str(place))
    (place / "precious").write_text("data")
    loopback.start_clients(2)
    loopback.start_server(loopback.image(IMAGE_SIZE), "--min-nodes", "1")
    assert loopback.finish() == 3
    rows = loopback.rows()
    assert rows[1].state == "failed" and "mounted" in rows[1].reason and str(place) in rows[1].reason
    assert rows[2].state == "done"
    assert images.digest(backings[2], IMAGE_SIZE) == images.digest(loopback.image(IMAGE_SIZE))
    assert (place / "precious").read_text() == "data"


def test_two_runs_cannot_write_to_one_device(loopback, make_disk):
    device, backing = make_disk(IMAGE_SIZE)
    for index in (1, 2):
        loopback.target(index).symlink_to(device)
    loopback.start_clients(2)
    loopback.start_server(loopback.image(IMAGE_SIZE), "--min-nodes", "1")
    assert loopback.finish() == 3
    assert sorted(row.state for row in loopback.rows().values()) == ["done", "failed"]
    assert images.digest(backing) == images.digest(loopback.image(IMAGE_SIZE))


def test_a_device_that_a_receiver_waits_for_is_taken_under_every_name(make_disk, folder):
    device, dummy = make_disk(IMAGE_SIZE)
    other = str(folder / "other name")
    os.mknod(other, 0o600 | stat.S_IFBLK, os.stat(device).st_rdev)
    waiting = RunDir(str(folder / "runs"), "run-1", "n1")
    waiting.create()
    waiting.write_json("config.json", {"target": str(device)})
    waiting.note_process()
    for name in (str(device), other):
        with pytest.raises(Refused, match="run run-1 is at work on it"):
            refuse_taken(waiting.base, name)
    refuse_taken(waiting.base, make_disk(IMAGE_SIZE)[0])


def test_a_disk_refuses_the_bytes_of_an_archive_unless_a_file_asks_for_them(loopback, disks):
    packed = loopback.folder / "packed"
    packed.write_bytes(gzip.compress(loopback.image(MIB).read_bytes()))
    backing = disks(2 * MIB)[1]
    before = images.digest(backing)
    loopback.start_clients(2)
    server = loopback.start_server(packed, "--min-nodes", "1")
    assert loopback.finish() == 3
    rows = loopback.rows()
    assert rows[1].state == "failed" and rows[2].state == "done"
    assert images.digest(loopback.target(2)) == images.digest(packed)
    assert images.digest(backing) == before
    assert "is compressed (gzip), and -I sends it as it is: files get the archive, disks refuse it" in server.log


def test_infile_without_compressed_means_the_bytes_of_the_archive(loopback, disks):
    packed = loopback.folder / "packed"
    packed.write_bytes(gzip.compress(loopback.image(MIB).read_bytes()))
    backing = disks(2 * MIB)[1]
    tab = loopback.folder / "tab"
    tab.write_text("infile %s\noutfile out.img\n%s\n" % (packed, loopback.address(1)))
    loopback.start_clients(1)
    loopback.start_configured(tab)
    assert loopback.finish() == 0
    assert images.digest(backing, packed.stat().st_size) == images.digest(packed)


def test_an_empty_source_is_refused(loopback):
    empty = loopback.folder / "empty"
    empty.touch()
    loopback.start_clients(1)
    server = loopback.start_server(empty)
    assert server.wait() == 1 and "the source is empty (0 bytes)" in server.log
    assert not loopback.target(1).exists()


def test_a_mistyped_device_is_refused(loopback):
    name = Path("/dev/dolly-no-such-disk-%d" % os.getpid())
    loopback.start_clients(1)
    loopback.start_server(loopback.image(IMAGE_SIZE), "-O", str(name))
    assert loopback.finish() == 4
    assert "no such device" in loopback.server.log and str(name) in loopback.server.log
    assert loopback.clients[1].code == 1
    assert not name.exists()


def test_the_source_is_never_a_target(loopback):
    """Neither under its own name nor under another one."""
    image = loopback.image(IMAGE_SIZE)
    before = images.digest(image)
    loopback.target(2).symlink_to(image)
    os.link(image, loopback.target(3))
    loopback.start_clients(3)
    loopback.start_server(image, "--min-nodes", "1")
    assert loopback.finish() == 3
    rows = loopback.rows()
    assert [rows[index].state for index in (1, 2)] == ["done", "failed"]
    assert "is the source" in rows[2].reason and "is the source" in loopback.clients[3].out
    assert images.digest(image) == before


def test_a_target_directory_that_is_not_there_is_named(loopback):
    loopback.start_clients(1)
    loopback.start_server(loopback.image(1), "-O", "no-such-directory/out.img")
    assert loopback.finish() == 4
    assert "no-such-directory" in loopback.server.log


def test_a_file_system_without_room_is_refused(loopback, make_mount):
    small = make_mount(CHUNK)
    loopback.target(1).symlink_to(small / "image")
    loopback.start_clients(2)
    loopback.start_server(loopback.image(IMAGE_SIZE), "--min-nodes", "1")
    assert loopback.finish() == 3
    assert "free" in loopback.rows()[1].reason
    assert not list(small.iterdir())
    loopback.check_copy(2, loopback.image(IMAGE_SIZE))


def test_a_file_system_that_fills_up_meanwhile(loopback, make_mount):
    """The error is the node's own: its children get the rest from somebody else."""
    image = loopback.image(IMAGE_SIZE)
    small = make_mount(IMAGE_SIZE + MIB)
    loopback.target(2).symlink_to(small / "image")
    loopback.start_clients(3)
    loopback.start_server(image, "--min-nodes", "1", fault=["slow-source=%d" % (5 * MIB)])
    until(lambda: images.allocated(small / ".image.dolly-partial") > MIB, "the first bytes")
    with (small / "filler").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, os.statvfs(small).f_bavail * os.statvfs(small).f_frsize)
    assert loopback.finish() == 3
    rows = loopback.rows()
    assert [rows[index].state for index in (1, 2, 3)] == ["done", "failed", "done"]
    assert "No space left" in rows[2].reason
    for index in (1, 3):
        loopback.check_copy(index, image)
    assert not (small / "image").exists()


def _tail(rack, backing):
    path = rack.folder / "tail"
    path.write_bytes(backing.read_bytes()[IMAGE_SIZE:])
    return path
