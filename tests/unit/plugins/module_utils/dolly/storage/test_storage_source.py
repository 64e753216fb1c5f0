# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files as source; block devices: tests/integration/storage."""

from __future__ import annotations

import errno
import os
import time

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import (
    SourceChanged,
    SourceError,
    UsageError,
)
from ansible_collections.dolly.ring.plugins.module_utils.dolly.ranges import RangeSet
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.facts import SourceFacts
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.source import Source, inspect_source
from ansible_collections.dolly.ring.tests.unit.plugins.module_utils.dolly.storage.storage_doubles import (
    IMAGE,
    BytesLane,
    FailsOnce,
)


@pytest.fixture
def path(tmp_path):
    (tmp_path / "image").write_bytes(IMAGE)
    return tmp_path / "image"


@pytest.fixture
def source(path):
    opened = Source(str(path))
    yield opened
    opened.close()


def test_facts(path):
    facts = inspect_source(str(path))
    found = path.stat()
    assert (facts.kind, facts.size, facts.inode) == ("file", len(IMAGE), found.st_ino)
    assert facts.device == "%d:%d" % (os.major(found.st_dev), os.minor(found.st_dev))
    assert len(facts.boot_id) == 36
    assert SourceFacts.from_dict(dict(facts.to_dict(), of_a_newer_version=1)) == facts


def test_symlink_is_followed(path, tmp_path):
    (tmp_path / "link").symlink_to("image")
    assert inspect_source(str(tmp_path / "link")).size == len(IMAGE)


@pytest.mark.parametrize("kind", ["missing", "directory", "fifo", "below a file", "character device", "nul"])
def test_what_cannot_be_a_source(tmp_path, path, kind):
    name = str(tmp_path / "x")
    if kind == "directory":
        os.mkdir(name)
    elif kind == "fifo":
        os.mkfifo(name)
    elif kind == "below a file":
        name = str(path) + "/x"
    elif kind == "character device":
        name = "/dev/null"
    elif kind == "nul":
        name = "a\0b"
    for call in (inspect_source, Source):
        with pytest.raises(UsageError, match="source is"):
            call(name)


def test_unreadable(path, monkeypatch):
    monkeypatch.setattr(os, "open", FailsOnce(os.open, errno.EACCES))
    with pytest.raises(SourceError) as error:
        inspect_source(str(path))
    assert error.value.fields["errno"] == errno.EACCES


def test_send_and_read(source):
    lane = BytesLane(step=4099)
    source.send(lane, 0, len(IMAGE))
    source.send(lane, 7, 3)
    assert bytes(lane.sent) == IMAGE + IMAGE[7:10]
    buffer = bytearray(20)
    assert source.read(len(IMAGE) - 5, memoryview(buffer)) == 5
    assert bytes(buffer[:5]) == IMAGE[-5:]
    source.check_unchanged()


def test_source_that_got_shorter(source, path):
    os.truncate(path, 1000)
    lane = BytesLane()
    with pytest.raises(SourceChanged) as error:
        source.send(lane, 0, len(IMAGE))
    assert error.value.fields["offset"] == 1000
    with pytest.raises(SourceChanged):
        source.read(500, memoryview(bytearray(1000)))
    with pytest.raises(SourceChanged):
        source.check_unchanged()


def test_source_that_grew_or_was_written_to(source, path):
    with path.open("ab") as file:
        file.write(b"more")
    with pytest.raises(SourceChanged):
        source.check_unchanged()


def test_source_with_another_time(source, path):
    os.utime(path, ns=(1, 1))
    with pytest.raises(SourceChanged):
        source.check_unchanged()


def restore_time(path, change):
    """Change a file and give it back its time of change, as `touch -r` or an archiver does."""
    before = path.stat()
    time.sleep(0.02)  # the clock of a file system ticks a hundred times a second
    change()
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def write_into(path):
    with path.open("r+b") as file:
        file.write(b"other")


def test_source_whose_time_was_set_back(source, path):
    restore_time(path, lambda: write_into(path))
    with pytest.raises(SourceChanged):
        source.check_unchanged()
    with pytest.raises(SourceChanged):
        Source(str(path), source.facts)


def test_source_that_is_another_one_by_now(path):
    facts = inspect_source(str(path))
    Source(str(path), facts).close()
    path.unlink()
    path.write_bytes(IMAGE)
    os.utime(path, ns=(1, 1))
    with pytest.raises(SourceChanged):
        Source(str(path), facts)


def test_read_error_names_the_offset(source):
    class BadDiskLane(BytesLane):
        def from_file(self, fd, offset, length):
            if offset >= 4096:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return super().from_file(fd, offset, 4096)

    with pytest.raises(SourceError) as error:
        source.send(BadDiskLane(), 0, len(IMAGE))
    assert (error.value.fields["offset"], error.value.fields["errno"]) == (4096, errno.EIO)


def test_closed(source):
    source.close()
    source.close()
    with pytest.raises(SourceError):
        source.send(BytesLane(), 0, 10)
    with pytest.raises(SourceError):
        source.read(0, memoryview(bytearray(10)))


def sparse(tmp_path):
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.truncate(16 << 20)
        file.seek(4 << 20)
        file.write(b"x" * 65_536)
    return path


def test_data_ranges(tmp_path):
    path = sparse(tmp_path)
    if path.stat().st_blocks * 512 > 8 << 20:
        pytest.skip("this file system has no holes")
    source = Source(str(path))
    ranges = source.data_ranges()
    assert ranges.covers(4 << 20, (4 << 20) + 65_536)
    assert ranges.total < 8 << 20
    assert source.facts.allocated < 8 << 20
    source.close()


def test_a_hole_that_is_not_worth_a_name_is_data_and_needs_room(tmp_path):
    """200,000 of them were 400,000 pieces at each node."""
    path, step = tmp_path / "image", 64 * 1024
    with path.open("wb") as file:
        for place in (0, 2, 4, 5 * step // 4096, 21 * step // 4096):
            file.seek(place * 4096)
            file.write(IMAGE[:4096])
    if path.stat().st_blocks * 512 != 5 * 4096:
        pytest.skip("this file system has no holes, or larger ones")
    source = Source(str(path))
    ranges = list(source.data_ranges())
    source.close()
    assert ranges == [(0, 5 * 4096), (5 * step, 5 * step + 4096), (21 * step, 21 * step + 4096)]
    assert source.facts.allocated == 7 * 4096


def test_data_ranges_end_with_the_image(source):
    assert source.data_ranges() == RangeSet.span(0, len(IMAGE))


def test_data_ranges_of_nothing(tmp_path):
    (tmp_path / "empty").write_bytes(b"")
    source = Source(str(tmp_path / "empty"))
    assert source.data_ranges() == RangeSet()
    source.close()


def test_data_ranges_where_seeking_is_not_supported(tmp_path, monkeypatch):
    def lseek(fd, offset, how):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    monkeypatch.setattr(os, "lseek", lseek)
    source = Source(str(sparse(tmp_path)))
    assert source.data_ranges() == RangeSet.span(0, 16 << 20)
    source.close()


def test_holes_of_zfs_are_not_believed(tmp_path):
    path = sparse(tmp_path)
    device = inspect_source(str(path)).device
    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "proc" / "self" / "mountinfo").write_text("1 0 %s / /m rw - zfs pool/a rw\n" % device)
    source = Source(str(path), proc_root=str(tmp_path / "proc"))
    assert source.data_ranges() == RangeSet.span(0, 16 << 20)
    source.close()
