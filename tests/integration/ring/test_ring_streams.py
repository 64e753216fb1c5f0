# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pipes, compressed and split images, and runs without disks; with real processes at every end."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import hashlib
import json
import lzma
import os
import shutil
import subprocess

import pytest

from ansible_collections.dolly.ring.tests.integration.ring import images
from ansible_collections.dolly.ring.tests.integration.ring.images import CHUNK, MIB
from ansible_collections.dolly.ring.tests.integration.ring.processes import PATIENCE_S, results, until

SMALL = 3 * MIB + 77
#: Several chunks and an odd end.
SIZE = 9 * MIB + 1234
PACKERS = {
    "gzip": gzip.compress,
    "xz": lambda data: lzma.compress(data, preset=0),
    "bzip2": lambda data: bz2.compress(data, 1),
}


def config(**changes):
    """A fault that is none: what the sender is to know beside its options."""
    return "config=%s" % json.dumps(changes)


def compressed(**more):
    return config(infile={"kind": "compressed", **more})


def image_bytes(rack, size):
    return rack.image(size).read_bytes()


def check_done(rack, content):
    """Every node is done, and has these bytes under its target's name."""
    assert rack.finish() == 0
    for row in rack.rows().values():
        assert row.state == "done", row.reason
    for index in rack.clients:
        path = rack.target(index)
        assert path.read_bytes() == content
        assert not rack.partial(index).exists()


def piped(rack, content):
    """The server's standard input brings these bytes."""
    path = rack.folder / "piped"
    path.write_bytes(content)
    source = subprocess.Popen(["cat", str(path)], stdout=subprocess.PIPE)
    rack.stdin = source.stdout
    return source


def test_a_pipe_goes_to_files(loopback):
    content = image_bytes(loopback, SIZE)
    source = piped(loopback, content)
    loopback.start_clients(3)
    loopback.start_server("-")
    check_done(loopback, content)
    assert all(row.verified for row in loopback.rows().values())
    source.stdout.close()
    assert source.wait(PATIENCE_S) == 0


@pytest.mark.parametrize("size", [0, 1, CHUNK, CHUNK + 1])
def test_pipes_of_sizes_around_a_chunk(loopback, size):
    content = image_bytes(loopback, size)
    with piped(loopback, content):
        loopback.start_clients(2)
        loopback.start_server("-")
        check_done(loopback, content)


def test_tar_to_tar(loopback):
    """tar cf - | dolly | tar xf - on three nodes, zeros at the end of the archive included."""
    tree = loopback.folder / "tree"
    (tree / "deep").mkdir(parents=True)
    images.make_image(tree / "deep" / "one", 5 * MIB + 3)
    (tree / "empty").write_bytes(b"")
    (tree / "zeros").write_bytes(bytes(3 * MIB))
    takers = []
    for index in (1, 2, 3):
        taker = subprocess.Popen(["tar", "xf", "-", "-C", str(loopback.node_folder(index))], stdin=subprocess.PIPE)
        loopback.stdouts[index] = taker.stdin
        takers.append(taker)
    loopback.start_clients(3)
    with subprocess.Popen(["tar", "cf", "-", "-C", str(loopback.folder), "tree"], stdout=subprocess.PIPE) as giver:
        loopback.stdin = giver.stdout
        loopback.start_server("-", "-O", "-")
        assert loopback.finish() == 0
    assert giver.returncode == 0
    for index, taker in enumerate(takers, 1):
        taker.stdin.close()
        assert taker.wait(PATIENCE_S) == 0
        copy = loopback.node_folder(index) / "tree"
        assert subprocess.run(["diff", "-r", str(tree), str(copy)], check=False).returncode == 0
        assert loopback.rows()[index].state == "done"


def test_a_file_goes_to_the_standard_output(loopback):
    loopback.start_clients(2)
    loopback.start_server(loopback.image(SIZE), "-O", "-")
    assert loopback.finish() == 0
    for client in loopback.clients.values():
        assert client.out_path.read_bytes() == image_bytes(loopback, SIZE)
        row = next(iter(results(client.log).values()))
        assert row.state == "done" and row.verified


@pytest.mark.parametrize("codec", ["gzip", "xz", "bzip2", "zstd"])
def test_what_is_compressed_is_stored_plain(loopback, codec):
    content = image_bytes(loopback, SMALL) + bytes(MIB)
    packed = loopback.folder / "packed"
    if codec == "zstd":
        if shutil.which("zstd") is None:
            pytest.skip("missing here: zstd")
        packed.write_bytes(subprocess.run(["zstd", "-c", "-q"], input=content, check=True, capture_output=True).stdout)
    else:
        packed.write_bytes(PACKERS[codec](content))
    images.make_image(loopback.target(1), 2 * SMALL, seed=9)
    loopback.start_clients(2)
    loopback.start_server(packed, fault=[compressed()])
    check_done(loopback, content)


def test_a_compressed_pipe(loopback):
    content = image_bytes(loopback, SMALL)
    with piped(loopback, gzip.compress(content, 1)):
        loopback.start_clients(2)
        loopback.start_server("-", fault=[compressed()])
        check_done(loopback, content)


@pytest.mark.parametrize(
    "change, reason",
    [
        (lambda data: data[:-9], "middle of the archive"),
        (lambda data: data + b"and more", "behind the end"),
        (lambda data: data[:MIB] + bytes(64) + data[MIB + 64 :], ""),
    ],
    ids=["truncated", "trailing garbage", "damaged"],
)
def test_a_bad_archive_is_published_nowhere(loopback, change, reason):
    packed = loopback.folder / "packed.gz"
    packed.write_bytes(change(gzip.compress(image_bytes(loopback, SMALL), 1)))
    loopback.target(1).write_bytes(b"what was there before")
    loopback.start_clients(2)
    loopback.start_server(packed, fault=[compressed()])
    assert loopback.finish() == 4
    for row in loopback.rows().values():
        assert row.state == "failed"
        assert "at byte" in row.reason and reason in row.reason
    assert loopback.target(1).read_bytes() == b"what was there before"
    assert not loopback.target(2).exists()


def test_the_server_compresses(loopback):
    content = image_bytes(loopback, SMALL)
    loopback.start_clients(2)
    loopback.start_server(loopback.image(SMALL), fault=[config(outfile={"is_compressed": True})])
    assert loopback.finish() == 0
    for index in (1, 2):
        assert gzip.decompress(loopback.target(index).read_bytes()) == content


def parts_of(path):
    """The contents of all parts, in order; there is none behind a gap."""
    found = sorted(path.parent.glob(path.name + "_*"), key=lambda part: int(part.name.rpartition("_")[2]))
    assert [part.name for part in found] == ["%s_%d" % (path.name, index) for index in range(len(found))]
    return [part.read_bytes() for part in found]


@pytest.mark.parametrize(
    "size, part", [(4 * MIB + 100, 4096), (SIZE, 3 * MIB), (4 * MIB, 4 * MIB), (100, MIB)]
)
def test_an_output_in_parts(loopback, size, part):
    for index in range(8):
        loopback.target(1).with_name("out.img_%d" % index).write_bytes(b"old" * MIB)
    loopback.start_clients(2)
    loopback.start_server(loopback.image(size), fault=[config(outfile={"split_size": part})])
    assert loopback.finish() == 0
    content = image_bytes(loopback, size)
    for index in (1, 2):
        parts = parts_of(loopback.target(index))
        assert b"".join(parts) == content
        assert [len(one) for one in parts] == [min(part, size - at) for at in range(0, size, part)]
        assert not list(loopback.node_folder(index).glob(".*partial*"))
    assert all(row.verified for row in loopback.rows().values())


def test_blocks_that_cover_thousands_of_parts(loopback):
    """What the original does not survive: parts of 1 KiB, blocks of 4 MiB, from its own configuration file."""
    size = 5 * MIB + 333
    loopback.start_clients(2)
    tab = loopback.folder / "tab"
    lines = ["infile %s" % loopback.image(size), "outfile out.img split 1k", "server srv", "clients 2"]
    tab.write_text("\n".join([*lines, loopback.address(1), loopback.address(2), "endconfig", ""]))
    loopback.start_configured(tab, "-b", str(4 * MIB))
    assert loopback.finish() == 0
    content = image_bytes(loopback, size)
    for index in (1, 2):
        parts = parts_of(loopback.target(index))
        assert len(parts) == 5121 and {len(part) for part in parts[:-1]} == {1024}
        assert b"".join(parts) == content
    assert all(row.verified for row in loopback.rows().values())


def test_parts_to_one_file_and_compressed_parts_to_parts(loopback):
    content = image_bytes(loopback, SIZE)
    packed = gzip.compress(content, 1)
    for index, start in enumerate(range(0, len(packed), MIB + 1)):
        (loopback.folder / ("packed_%d" % index)).write_bytes(packed[start : start + MIB + 1])
    loopback.start_clients(2)
    loopback.start_server(
        loopback.folder / "packed",
        fault=[config(infile={"kind": "compressed", "is_split": True}, outfile={"split_size": 1000000})],
    )
    assert loopback.finish() == 0
    for index in (1, 2):
        assert b"".join(parts_of(loopback.target(index))) == content


def test_a_missing_part_is_noticed_before_anything_is_sent(loopback):
    for index in (0, 1, 3):
        (loopback.folder / ("parts_%d" % index)).write_bytes(b"part")
    loopback.start_client(1)
    server = loopback.start_server(loopback.folder / "parts", fault=[config(infile={"is_split": True})])
    assert server.wait() == 1
    assert "parts_2 is missing" in server.log
    assert not loopback.target(1).exists()


def test_split_and_compressed_together(loopback):
    """The server compresses, the nodes store that in parts."""
    loopback.start_clients(2)
    loopback.start_server(
        loopback.image(SMALL), fault=[config(outfile={"is_compressed": True, "split_size": 500000})]
    )
    assert loopback.finish() == 0
    for index in (1, 2):
        parts = parts_of(loopback.target(index))
        assert {len(part) for part in parts[:-1]} == {500000}
        assert gzip.decompress(b"".join(parts)) == image_bytes(loopback, SMALL)


@pytest.mark.parametrize("sizes", [{"dummy_size": 64 * MIB}, {"infile": {"kind": "dummy", "dummy_seconds": 1.0}}])
def test_a_run_without_disks(loopback, sizes):
    loopback.start_clients(2)
    infile = {"kind": "dummy"}
    loopback.start_server("dummy", fault=[config(**{"infile": infile, **sizes})])
    assert loopback.finish() == 0
    rows = loopback.rows()
    assert rows[1].size == rows[2].size and rows[1].size != "0 B"
    assert not rows[1].verified
    assert [path for path in loopback.node_folder(1).iterdir() if not path.name.startswith(".")] == []


def test_a_configuration_file_of_the_original(loopback):
    content = image_bytes(loopback, SMALL)
    (loopback.folder / "packed.gz").write_bytes(gzip.compress(content, 1))
    loopback.start_clients(2)
    lines = ["compressed infile %s" % (loopback.folder / "packed.gz"), "outfile out.img split 1M", "server srv"]
    lines += ["clients 2", loopback.address(1), loopback.address(2), "endconfig", ""]
    tab = loopback.folder / "tab"
    tab.write_text("\n".join(lines))
    loopback.start_configured(tab)
    assert loopback.finish() == 0
    for index in (1, 2):
        parts = parts_of(loopback.target(index))
        assert b"".join(parts) == content and [len(part) for part in parts[:-1]] == [MIB] * 3


def test_a_dummy_run_from_the_command_line(loopback):
    loopback.start_clients(1)
    loopback.start_server("unused", "--dummy", "20")
    assert loopback.finish() == 0
    assert loopback.rows()[1].size == "20 MB"


# --- windows and their faults -----------------------------------------------------------------------

RATE = 6 * MIB


@pytest.mark.parametrize("output", ["-", "out.img"])
@pytest.mark.parametrize("victim", [1, 2])
def test_a_node_is_killed_while_a_pipe_runs(loopback, victim, output):
    """Nothing can be read twice: what the dead one had passed on to nobody must still be with its parent."""
    content = image_bytes(loopback, 2 * SIZE)
    with piped(loopback, content):
        loopback.start_clients(4)
        loopback.start_server("-", "-O", output, fault=["slow-stream=%d" % RATE])

        def held():
            path = loopback.clients[4].out_path if output == "-" else loopback.partial(4)
            return images.allocated(path)

        until(lambda: held() >= 4 * MIB, "bytes on the last node")
        loopback.clients[victim].kill()
        assert loopback.finish(expected_to_run=[victim]) == 3
    for index in {1, 2, 3, 4} - {victim}:
        path = loopback.clients[index].out_path if output == "-" else loopback.target(index)
        assert path.read_bytes() == content
        assert loopback.rows()[index].state == "done"


def test_a_node_is_killed_in_front_of_windows_and_a_file(loopback):
    """What the window above has let go of comes from the server, which can read its file again."""
    image = loopback.image(2 * SIZE)
    loopback.start_clients(4)
    loopback.start_server(image, "-O", "-", fault=["slow-source=%d" % RATE])
    until(lambda: loopback.clients[4].out_path.stat().st_size >= 4 * MIB, "bytes on the last node")
    for victim in (2, 3):
        loopback.clients[victim].kill()
    assert loopback.finish(expected_to_run=[2, 3]) == 3
    for index in (1, 4):
        assert loopback.clients[index].out_path.read_bytes() == image.read_bytes()


def test_a_reader_that_goes_away_fails_its_node_alone(loopback):
    content = image_bytes(loopback, SIZE)
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as broken:
        loopback.stdouts[2] = broken
        loopback.start_clients(3)
        loopback.start_server(loopback.image(SIZE), "-O", "-")
        assert loopback.finish() == 3
    rows = loopback.rows()
    assert [rows[index].state for index in (1, 2, 3)] == ["done", "failed", "done"]
    assert "Broken pipe" in rows[2].reason
    for index in (1, 3):
        assert loopback.clients[index].out_path.read_bytes() == content


def test_a_reader_that_takes_nothing_is_left_behind(loopback):
    """Its node says that its own sink holds it up; those before and behind it are innocent."""
    reader, writer = os.pipe()
    with os.fdopen(writer, "wb") as stuck:
        loopback.stdouts[2] = stuck
        loopback.start_clients(3)
        loopback.start_server(loopback.image(SIZE), "-O", "-", "--stall-timeout", "2")
        until(lambda: "took nothing" in loopback.clients[1].log, "the parent to give it up")
        loopback.clients[2].kill()
        assert loopback.finish(expected_to_run=[2]) == 3
    os.close(reader)
    rows = loopback.rows()
    assert [rows[index].state for index in (1, 2, 3)] == ["done", "lost", "done"]


def test_a_node_without_a_standard_output_is_refused(loopback):
    with open(os.devnull, "wb") as nowhere:
        loopback.stdouts[1] = nowhere
        loopback.start_clients(2)
        loopback.start_server(loopback.image(SMALL), "-O", "-")
        assert loopback.finish() == 4
    # The reason of the run has it, so the row of the node does not say it again.
    assert "missing: %s (Refused the standard output" % loopback.address(1) in loopback.server.log
    assert "Refused the standard output" in loopback.clients[1].log


def test_a_long_stream_needs_a_bounded_memory(loopback):
    """Three windows full of a gzip stream that comes through a pipe and leaves three nodes decompressed."""
    packed, expected = loopback.folder / "long.gz", hashlib.sha256()
    piece = image_bytes(loopback, MIB)
    with gzip.open(packed, "wb", compresslevel=0) as file:
        for _count in range(192):
            file.write(piece)
            expected.update(piece)
    with contextlib.ExitStack() as stack:
        takers = []
        for index in (1, 2, 3):
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
            takers.append(stack.enter_context(subprocess.Popen(["sha256sum"], **pipes)))
            loopback.stdouts[index] = takers[-1].stdin
        loopback.stdin = stack.enter_context(subprocess.Popen(["cat", str(packed)], stdout=subprocess.PIPE)).stdout
        loopback.start_clients(3)
        loopback.start_server("-", "-O", "-", fault=[compressed()])
        assert loopback.finish() == 0
        for taker in takers:
            taker.stdin.close()
            assert taker.stdout.read().split()[0].decode() == expected.hexdigest()
    for program in loopback.programs:
        assert 0 < program.peak_kib < 128 * 1024, program.name
