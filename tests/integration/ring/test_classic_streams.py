# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compressed and split images and pipes in rings with originals."""

from __future__ import annotations

import gzip
import lzma
import shlex
import sys

import pytest

from ansible_collections.dolly.ring.tests.integration.ring import images
from ansible_collections.dolly.ring.tests.integration.ring.images import MIB
from ansible_collections.dolly.ring.tests.integration.ring.processes import Program

SIZE = 3 * MIB + 4321


def quick_xz(data):
    return lzma.compress(data, preset=0)


def dollytab(rack, *changes):
    text = rack.text()
    for old, new in changes:
        assert old.encode() in text
        text = text.replace(old.encode(), new.encode(), 1)
    path = rack.folder / "wanted"
    path.write_bytes(text)
    return path


def ended(rack, codes):
    rack.finish()
    assert [rack.server.code, *[rack.clients[index].code for index in sorted(rack.clients)]] == codes


@pytest.mark.parametrize("compress, suffix", [(gzip.compress, ".gz"), (quick_xz, ".xz"), (gzip.compress, "")])
def test_a_compressed_image_is_stored_decompressed(classic, compress, suffix):
    """Our nodes keep a window of the stream, for the original behind them wants it as it came."""
    image = classic.image(SIZE)
    archive = classic.folder / ("image" + suffix)
    archive.write_bytes(compress(image.read_bytes()))
    classic.start_ring("oxo")
    text = dollytab(classic, ("infile /image", "compressed infile " + str(archive)))
    classic.serve_original(archive, text=text.read_bytes())
    ended(classic, [0, 0, 0, 0])
    for index in (1, 3):
        classic.check_copy(index, image)
    assert classic.target(2).read_bytes() == archive.read_bytes()


def test_an_archive_that_is_broken(classic):
    archive = classic.folder / "image.gz"
    archive.write_bytes(gzip.compress(classic.image(SIZE).read_bytes())[:-100])
    classic.start_ring("o")
    text = dollytab(classic, ("infile /image", "compressed infile /image.gz"))
    classic.serve_original(archive, text=text.read_bytes())
    assert classic.clients[1].wait() == 4
    assert not classic.target(1).exists()
    classic.server.wait()
    assert "answer b''" in classic.server.log


def test_an_image_that_is_stored_compressed(classic):
    image = classic.image(SIZE)
    classic.start_ring("xo")
    path = dollytab(classic, ("outfile elsewhere.img", "compressed outfile elsewhere.img.gz"))
    classic.serve_ours(image, "-f", str(path))
    ended(classic, [0, 0, 0])
    for index in (1, 2):
        assert gzip.decompress(classic.target(index).read_bytes()) == image.read_bytes()


def test_both_compressed_is_stored_as_it_was(classic):
    """As an original does it: the server compresses once more, and each client decompresses once."""
    archive = classic.folder / "image.gz"
    archive.write_bytes(gzip.compress(classic.image(SIZE).read_bytes()))
    classic.start_ring("oo")
    path = dollytab(
        classic,
        ("infile /image", "compressed infile /image.gz"),
        ("outfile elsewhere.img", "compressed outfile elsewhere.img.gz"),
    )
    classic.serve_ours(archive, "-f", str(path))
    ended(classic, [0, 0, 0])
    for index in (1, 2):
        assert classic.target(index).read_bytes() == archive.read_bytes()


def test_parts(classic):
    """Read from three, written to four; the original in the middle writes one."""
    image = classic.image(SIZE)
    data = image.read_bytes()
    for number, start_at in enumerate(range(0, SIZE, 3 << 19)):
        (classic.folder / ("in_%d" % number)).write_bytes(data[start_at : start_at + (3 << 19)])
    classic.start_ring("oxo")
    path = dollytab(
        classic,
        ("infile /image", "infile %s split" % (classic.folder / "in")),
        ("outfile elsewhere.img", "outfile elsewhere.img split 1M"),
    )
    classic.serve_ours(classic.folder / "in", "-f", str(path))
    ended(classic, [0, 0, 0, 0])
    assert images.digest(classic.target(2)) == images.digest(image)
    for index in (1, 3):
        parts = [classic.node_folder(index) / ("out.img_%d" % number) for number in range(4)]
        assert [part.stat().st_size for part in parts] == [MIB, MIB, MIB, 4321]
        assert b"".join(part.read_bytes() for part in parts) == data
        assert not (classic.node_folder(index) / "out.img_4").exists()


def serve_pipe(rack, path, *options):
    rack.await_listening()
    command = [sys.executable, "-S", str(rack._engine), "--classic", "--port", str(rack.network.port), "-I", "-"]
    script = "cat %s | %s" % (shlex.quote(str(path)), " ".join(map(shlex.quote, [*command, *options])))
    rack.server = Program("server", ["sh", "-c", script], rack.node_folder(0))
    rack.programs.append(rack.server)


def test_from_a_pipe_to_a_pipe(classic):
    image = classic.image(SIZE)
    classic.start_ours(1, "-O", "-")
    classic.start_original(2)
    hosts = "%s,%s" % (classic.address(1), classic.address(2))
    serve_pipe(classic, image, "-S", classic.address(0), "-H", hosts, "-O", "elsewhere.img")
    ended(classic, [0, 0, 0])
    assert (classic.node_folder(1) / ".node1.out").read_bytes() == image.read_bytes()
    classic.check_copy(2, image)


def test_more_than_fits_into_any_window(classic):
    """From a pipe, through a node that cannot read back what it stored."""
    image = classic.image(80 * MIB)
    archive = classic.folder / "image.gz"
    archive.write_bytes(gzip.compress(image.read_bytes(), 0))
    classic.start_ring("ox")
    path = dollytab(classic, ("infile /image", "compressed infile /image.gz"))
    serve_pipe(classic, archive, "-f", str(path))
    ended(classic, [0, 0, 0])
    classic.check_copy(1, image)
    assert images.digest(classic.target(2)) == images.digest(archive)
