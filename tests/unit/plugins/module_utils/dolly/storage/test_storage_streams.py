# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Windows, parts and archives: what goes in comes out, and what is broken is said to be."""

from __future__ import annotations

import bz2
import errno
import gzip
import lzma
import os
import random
import shutil
import stat
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import (
    BadArchive,
    Refused,
    SourceChanged,
    SourceError,
    TargetError,
    TimedOut,
    UsageError,
)
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage import parts, stream, window
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.compressed import (
    MAGIC,
    DecompressSink,
    GzipStream,
    SourceStream,
    codec_of,
    has_known_suffix,
)
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.source import Source
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.split import SplitTarget
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.split_source import SplitSource
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.target import inspect_target
from ansible_collections.dolly.ring.tests.unit.plugins.module_utils.dolly.storage import storage_doubles

DATA = storage_doubles.IMAGE
PACKERS = {"gzip": gzip.compress, "xz": lzma.compress, "bzip2": bz2.compress}
needs_zstd = pytest.mark.skipif(shutil.which("zstd") is None, reason="missing here: zstd")


class Collector:
    """A sink that keeps what it gets."""

    path = "collector"

    def __init__(self):
        self.notes, self.content, self.finished, self.is_closed = [], b"", None, False

    def write(self, view, offset):
        assert offset == len(self.content)
        self.content += bytes(view)

    def finish(self, size):
        self.finished = size

    def close(self):
        self.is_closed = True

    def abort(self):
        self.is_closed = True


class Giving:
    """A lane that brings these bytes."""

    def __init__(self, data):
        self.data = data

    def to_view(self, view):
        count = min(len(view), len(self.data))
        view[:count] = self.data[:count]
        self.data = self.data[count:]
        return count

    def to_file(self, fd, offset, length):
        count = os.pwrite(fd, self.data[:length], offset)
        self.data = self.data[count:]
        return count


class Taking:
    """A lane that keeps what is sent."""

    def __init__(self):
        self.data = b""

    def from_view(self, view):
        self.data += bytes(view)

    def from_file(self, fd, offset, length):
        piece = os.pread(fd, length, offset)
        self.data += piece
        return len(piece)


def put(store, offset, data):
    lane = Giving(data)
    while lane.data:
        offset += store.receive(lane, offset, len(lane.data))


def sent(store, offset, length):
    lane = Taking()
    store.send(lane, offset, length)
    return lane.data


# --- windows ----------------------------------------------------------------------------------------


@given(st.binary(max_size=300), st.integers(1, 40), st.data())
def test_a_stream_goes_through_a_ring(content, length, data):
    """Every byte that is not older than the window is there, whatever was written since."""
    ring = window.Ring(length)
    base = head = 0
    while head < len(content):
        step = data.draw(st.integers(1, length))
        piece = content[head : head + step]
        base = max(base, head + len(piece) - length)
        at = 0
        for part in ring.parts(head, len(piece)):
            part[:] = piece[at : at + len(part)]
            at += len(part)
        head += len(piece)
        start = data.draw(st.integers(base, head))
        found = bytearray(head - start)
        assert ring.read(start, memoryview(found)) == len(found)
        assert found == content[start:head]


def test_a_ring_refuses_what_does_not_fit():
    ring = window.Ring(10)
    for offset, length in ((0, 11), (-1, 1), (3, -1)):
        with pytest.raises(ValueError, match="window of 10"):
            list(ring.parts(offset, length))
    ring.zero(7, 10)
    assert [len(part) for part in ring.parts(7, 10)] == [3, 7]


def test_a_window_is_at_least_four_chunks():
    assert window.window_length(4 << 20) == 64 << 20
    assert window.window_length(32 << 20) == 128 << 20


def test_a_window_store_passes_on_in_order_and_publishes_once():
    sink = Collector()
    store = window.WindowStore(window.Ring(64), sink, None)
    for start in range(0, 200, 50):
        put(store, start, DATA[start : start + 50])
        assert sent(store, start, 50) == DATA[start : start + 50]
        store.sink(start, start + 50)
    store.zero(200, 20)
    with pytest.raises(TargetError):
        store.commit()  # nobody has said where it ends, and the sink has not got all
    store.end(220)
    with pytest.raises(TargetError):
        store.commit()
    assert sink.finished is None
    store.sink(200, 220)
    store.flush()
    store.commit()
    store.commit()
    assert sink.content == DATA[:200] + bytes(20) and sink.finished == 220
    store.close()
    assert sink.is_closed
    with pytest.raises(TargetError) as caught:
        store.sink(220, 221)
    assert caught.value.fields["errno"] == errno.ECANCELED


# --- pipes ------------------------------------------------------------------------------------------


def test_a_pipe_is_looked_into_and_then_read():
    reader, writer = os.pipe()
    os.write(writer, b"0123456789")
    os.close(writer)
    pipe = stream.PipeStream(reader)
    assert pipe.peek(4, 5.0) == b"0123"
    view, found = memoryview(bytearray(3)), b""
    while True:
        count = pipe.read(view, lambda: True)
        if not count:
            break
        found += bytes(view[:count])
    assert found == b"0123456789"
    pipe.close()
    os.close(reader)
    with pytest.raises(SourceError):
        pipe.read(view, lambda: True)


def test_a_silent_pipe_is_not_waited_for():
    reader, writer = os.pipe()
    pipe = stream.PipeStream(reader)
    with pytest.raises(TimedOut, match="first bytes"):
        pipe.peek(4, 0.01)
    assert pipe.read(memoryview(bytearray(3)), lambda: False) == 0
    pipe.close()
    os.close(reader)
    os.close(writer)


def test_an_output_that_nobody_sees():
    with open(os.devnull, "wb") as nowhere:
        assert stream.is_null(nowhere.fileno())
    assert stream.is_null(1 << 20)
    reader, writer = os.pipe()
    assert not stream.is_null(writer)
    os.close(reader)
    os.close(writer)


# --- archives ---------------------------------------------------------------------------------------


def decompress(codec, data, step=7):
    """All that comes out; the collector is closed whatever happens."""
    sink = Collector()
    archive = DecompressSink(codec, sink)
    try:
        for start in range(0, len(data), step):
            archive.write(memoryview(data[start : start + step]), start)
        archive.finish(len(data))
    finally:
        archive.close()
    assert sink.finished == len(sink.content)
    return sink.content


@pytest.mark.parametrize("codec", sorted(PACKERS))
@settings(max_examples=25, deadline=None)
@given(contents=st.lists(st.binary(max_size=200), min_size=1, max_size=3), step=st.integers(1, 50))
def test_archives_in_a_row(codec, contents, step):
    packed = b"".join(PACKERS[codec](content) for content in contents)
    assert codec_of(packed) == codec
    assert decompress(codec, packed, step) == b"".join(contents)


@pytest.mark.parametrize("codec", sorted(PACKERS))
def test_every_truncation_and_every_trailing_byte_is_noticed(codec):
    packed = PACKERS[codec](DATA[:500])
    for length in range(len(packed)):
        with pytest.raises(BadArchive, match="middle of the archive") as caught:
            decompress(codec, packed[:length])
        assert caught.value.fields["offset"] == length
    for tail in (b"x", packed[:1], b"trailing garbage"):
        with pytest.raises(BadArchive):
            decompress(codec, packed + tail)


def test_zeros_behind_the_end_are_padding_where_the_format_says_so():
    assert decompress("gzip", gzip.compress(b"a") + bytes(1000)) == b"a"
    assert decompress("xz", lzma.compress(b"a") + bytes(8) + lzma.compress(b"b")) == b"ab"
    for codec, packed in (("xz", lzma.compress(b"a") + bytes(3)), ("bzip2", bz2.compress(b"a") + bytes(4))):
        with pytest.raises(BadArchive):
            decompress(codec, packed)


def test_a_damaged_archive_names_the_place():
    packed = bytearray(gzip.compress(os.urandom(200_000), 1))
    packed[150_000] ^= 1
    with pytest.raises(BadArchive) as caught:
        decompress("gzip", bytes(packed), 65536)
    assert caught.value.fields["offset"] in range(131072, len(packed) + 1)


def test_a_bomb_comes_out_in_pieces():
    class Measuring(Collector):
        total = 0

        def write(self, view, offset):
            assert len(view) <= 1 << 20
            self.total += len(view)

    sink = Measuring()
    archive = DecompressSink("gzip", sink)
    packed = gzip.compress(bytes(64 << 20), 1)
    archive.write(memoryview(packed), 0)
    archive.finish(len(packed))
    assert sink.total == sink.finished == 64 << 20


@needs_zstd
def test_zstd_by_its_program():
    packed = subprocess.run(["zstd", "-cq"], input=DATA, check=True, capture_output=True).stdout
    assert codec_of(packed) == "zstd"
    assert decompress("zstd", packed + packed, 1000) == DATA + DATA
    for bad in (packed[:-3], packed + b"garbage behind", packed[:20] + b"\xff" * 20 + packed[40:]):
        with pytest.raises(BadArchive):
            decompress("zstd", bad, 1000)


def test_names_and_kinds():
    assert codec_of(b"") == codec_of(b"hello") == ""
    assert all(codec_of(kind + b"...") == codec for codec, kinds in MAGIC.items() for kind in kinds)
    assert has_known_suffix("a/disk.img.GZ") and not has_known_suffix("disk.gzip.img")


def test_the_server_compresses_while_it_reads(tmp_path):
    path = tmp_path / "source"
    path.write_bytes(DATA)
    packing = GzipStream(SourceStream(Source(str(path))))
    view, found = memoryview(bytearray(100)), b""
    assert packing.read(view, lambda: False) == 0
    while True:
        count = packing.read(view, lambda: True)
        if not count:
            break
        found += bytes(view[:count])
    assert gzip.decompress(found) == DATA
    packing.close()


# --- parts ------------------------------------------------------------------------------------------


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
    expected = bytearray(DATA[:size])
    for number, (start, end) in enumerate(pieces):
        if number % 3:
            put(store, start, DATA[start:end])
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
    store = target.begin(len(DATA[:600]))
    put(store, 0, DATA[:600])
    assert len(store._pool.each()) <= parts.MAX_OPEN
    assert sent(store, 0, 600) == DATA[:600]
    store.commit()
    store.close()
    assert b"".join(read_parts(tmp_path)) == DATA[:600]


def test_what_lies_behind_a_gap_is_somebody_elses(tmp_path):
    for name in ("disk_0", "disk_1", "disk_2", "disk_2024", "disk_03"):
        (tmp_path / name).write_bytes(b"old")
    target = split_target(tmp_path, 10)
    target.prepare()
    store = target.begin(5)
    put(store, 0, b"12345")
    store.commit()
    store.close()
    assert sorted(os.listdir(tmp_path)) == ["disk_0", "disk_03", "disk_2024"]


def test_a_run_that_is_given_up_leaves_the_old_parts(tmp_path):
    (tmp_path / "disk_0").write_bytes(b"old")
    target = split_target(tmp_path, 4)
    target.prepare()
    store = target.begin(8)
    put(store, 0, b"12345678")
    store.abort()
    assert os.listdir(tmp_path) == ["disk_0"] and (tmp_path / "disk_0").read_bytes() == b"old"
    with pytest.raises(TargetError):
        put(store, 0, b"1")


def begun_in_parts(folder):
    for index in range(2):
        (folder / ("disk_%d" % index)).write_bytes(b"old")
    target = split_target(folder, 4)
    target.prepare()
    store = target.begin(8)
    put(store, 0, b"12345678")
    return store


@pytest.mark.parametrize("code, fails", [(errno.EIO, True), (errno.EINVAL, False)])
def test_parts_in_a_directory_that_cannot_be_synced(tmp_path, monkeypatch, code, fails):
    store = begun_in_parts(tmp_path)
    real = os.fsync

    def fsync(fd):
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            raise OSError(code, os.strerror(code))
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
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
