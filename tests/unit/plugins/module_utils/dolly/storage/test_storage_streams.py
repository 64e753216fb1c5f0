# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Windows, pipes and archives: what goes in comes out, and what is broken is said to be."""

from __future__ import annotations

import bz2
import errno
import gzip
import lzma
import os
import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import (
    BadArchive,
    BadChunk,
    SourceError,
    TargetError,
    TimedOut,
)
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage import stream, window
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.compressed import (
    MAGIC,
    DecompressSink,
    GzipStream,
    SourceStream,
    codec_of,
    has_known_suffix,
)
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.source import Source
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.target import open_target
from ansible_collections.dolly.ring.tests.unit.plugins.module_utils.dolly.storage.storage_doubles import (
    IMAGE,
    fill,
    sent,
)

PACKERS = {"gzip": gzip.compress, "xz": lzma.compress, "bzip2": bz2.compress}
needs_zstd = pytest.mark.skipif(shutil.which("zstd") is None, reason="missing here: zstd")


class Collector:
    """A sink that keeps what it gets."""

    path = "collector"
    is_lasting = True

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
        fill(store, IMAGE[start : start + 50], start)
        assert sent(store, start, 50) == IMAGE[start : start + 50]
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
    assert sink.content == IMAGE[:200] + bytes(20) and sink.finished == 220
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
    packed = PACKERS[codec](IMAGE[:500])
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
    packed = subprocess.run(["zstd", "-cq"], input=IMAGE, check=True, capture_output=True).stdout
    assert codec_of(packed) == "zstd"
    assert decompress("zstd", packed + packed, 1000) == IMAGE + IMAGE
    for bad in (packed[:-3], packed + b"garbage behind", packed[:20] + b"\xff" * 20 + packed[40:]):
        with pytest.raises(BadArchive):
            decompress("zstd", bad, 1000)


class _Forgetful:
    """A store whose target returns another byte at `bad` than it was given."""

    def __init__(self, store, bad):
        self._store = store
        self._bad = bad

    def __getattr__(self, name):
        return getattr(self._store, name)

    def read(self, offset, view):
        count = self._store.read(offset, view)
        if offset <= self._bad < offset + count:
            view[self._bad - offset] ^= 1
        return count


@pytest.mark.parametrize("bad", [0, 5000, len(IMAGE) - 1])
@pytest.mark.parametrize("verifies", [True, False])
def test_what_comes_out_of_an_archive_is_read_back(tmp_path, bad, verifies):
    """The digests of a run are those of the archive: of what is on the target they say nothing."""
    target = open_target(str(tmp_path / "image"))
    target.prepare()
    sink = stream.StoreSink(_Forgetful(target.begin(None), bad), verifies)
    try:
        if verifies:
            with pytest.raises(BadChunk, match="wrong bytes for the chunk at byte") as caught:
                for start in range(0, len(IMAGE), 4000):
                    sink.write(memoryview(IMAGE)[start : start + 4000], start)
            assert caught.value.fields["offset"] == bad // 4000 * 4000
        else:
            sink.write(memoryview(IMAGE), 0)
            sink.finish(len(IMAGE))
    finally:
        sink.abort() if verifies else sink.close()
    assert (tmp_path / "image").exists() == (not verifies)


def test_names_and_kinds():
    assert codec_of(b"") == codec_of(b"hello") == ""
    assert all(codec_of(kind + b"...") == codec for codec, kinds in MAGIC.items() for kind in kinds)
    assert has_known_suffix("a/disk.img.GZ") and not has_known_suffix("disk.gzip.img")


def test_the_server_compresses_while_it_reads(tmp_path):
    path = tmp_path / "source"
    path.write_bytes(IMAGE)
    packing = GzipStream(SourceStream(Source(str(path))))
    view, found = memoryview(bytearray(100)), b""
    assert packing.read(view, lambda: False) == 0
    while True:
        count = packing.read(view, lambda: True)
        if not count:
            break
        found += bytes(view[:count])
    assert gzip.decompress(found) == IMAGE
    packing.close()
