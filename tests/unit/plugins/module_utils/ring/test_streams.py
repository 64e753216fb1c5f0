# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules make of the options for compressed images and images in parts."""

from __future__ import annotations

import bz2
import gzip
import lzma

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import Refused, UsageError
from ansible_collections.dolly.ring.plugins.module_utils.dolly.plan.streams import Infile, Outfile
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.facts import TargetFacts
from ansible_collections.dolly.ring.plugins.module_utils.ring import streams
from ansible_collections.dolly.ring.plugins.module_utils.ring.streams import Written

IMAGE = b"image" * 2000


def params_for(**more):
    params = {name: one.get("default") for name, one in streams.spec().items()}
    return {**params, "source": "/a", "bmap": None, "compare": False, "checksum": "", "protocol": "native", **more}


def test_options_say_what_is_read_and_written():
    assert streams.files_of(params_for()) == (Infile(), Outfile())
    asked = {"compressed": True, "uncompressed_size": "1G", "source_split": True, "dest_split": "2k"}
    assert streams.files_of(params_for(**asked)) == (
        Infile("compressed", is_split=True, uncompressed_size=1 << 30),
        Outfile(split_size=2048),
    )
    assert streams.files_of(params_for(dest_compressed=True)) == (Infile(), Outfile(True))


@pytest.mark.parametrize(
    "more, option",
    [
        ({"dest_split": "some"}, "dest_split"),
        ({"dest_split": "-1"}, "dest_split"),
        ({"dest_split": "99999999T"}, "dest_split"),
        ({"compressed": True, "uncompressed_size": "1X"}, "uncompressed_size"),
        ({"uncompressed_size": "1G"}, "uncompressed_size"),
        ({"compressed": True, "bmap": "/m"}, "bmap"),
        ({"source_split": True, "bmap": "/m"}, "bmap"),
        ({"dest_compressed": True, "bmap": "/m"}, "bmap"),
        ({"compressed": True, "compare": True}, "compare"),
        ({"dest_compressed": True, "compare": True}, "compare"),
        ({"dest_split": "1M", "compare": True}, "compare"),
        ({"dest_compressed": True, "checksum": "sha256:" + "0" * 64}, "checksum"),
        ({"compressed": True, "protocol": "classic"}, "compressed"),
        ({"dest_split": "1M", "protocol": "classic"}, "dest_split"),
    ],
)
def test_options_that_do_not_go_together_are_refused(more, option):
    with pytest.raises(UsageError, match=r"^%s is " % option):
        streams.files_of(params_for(**more))


def test_a_compressed_image_that_is_stored_as_it_is_can_be_compared():
    both = {"compressed": True, "dest_compressed": True, "compare": True, "checksum": "sha256:" + "0" * 64}
    assert streams.files_of(params_for(**both)) == (Infile("compressed"), Outfile(True))


@pytest.mark.parametrize(
    "more, expected",
    [
        ({"compressed": False}, Written(len(gzip.compress(IMAGE, mtime=0)))),
        ({"compressed": True}, Written(None, "gzip")),
        ({"compressed": True, "uncompressed_size": "10000"}, Written(10000, "gzip")),
        ({"compressed": True, "dest_compressed": True}, Written(len(gzip.compress(IMAGE, mtime=0)))),
        ({"compressed": False, "dest_compressed": True, "dest_split": "1M"}, Written(None, is_split=True)),
    ],
)
def test_nodes_hear_what_they_will_write(tmp_path, more, expected):
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(IMAGE, mtime=0))
    found, written = streams.inspect(params_for(source=str(path), **more))
    assert found.size == path.stat().st_size
    assert Written.of_source({"written": written}, 1) == expected


def test_a_source_in_parts_is_one_image(tmp_path):
    packed = gzip.compress(IMAGE, mtime=0)
    (tmp_path / "a_0").write_bytes(packed[:2])
    (tmp_path / "a_1").write_bytes(packed[2:])
    params = params_for(source=str(tmp_path / "a"), source_split=True, compressed=False)
    found, written = streams.inspect(params)
    assert (found.size, written["size"], written["codec"]) == (len(packed), len(packed), "")
    assert streams.inspect({**params, "compressed": True})[1]["codec"] == "gzip"
    (tmp_path / "a_0").rename(tmp_path / "a_2")
    with pytest.raises(UsageError, match="a_0 is missing"):
        streams.inspect(params)


def test_a_source_that_is_not_compressed_is_refused(tmp_path):
    (tmp_path / "a").write_bytes(IMAGE)
    with pytest.raises(UsageError, match="gzip, xz, bzip2, zstd"):
        streams.inspect(params_for(source=str(tmp_path / "a"), compressed=True))


@pytest.mark.parametrize(
    "packed",
    [gzip.compress(IMAGE, mtime=0), lzma.compress(IMAGE), bz2.compress(IMAGE), b"\x28\xb5\x2f\xfd.."],
    ids=["gzip", "xz", "bzip2", "zstd"],
)
@pytest.mark.parametrize("more", [{}, {"dest_compressed": True}, {"source_split": True}])
def test_an_archive_is_refused_where_nobody_said_what_becomes_of_it(tmp_path, packed, more):
    path = tmp_path / "a_0"
    path.write_bytes(packed)
    source = str(tmp_path / "a") if more.get("source_split") else str(path)
    with pytest.raises(Refused, match=r"compressed: true .* or false .*dolly_ring_compressed"):
        streams.inspect(params_for(source=source, **more))


@pytest.mark.parametrize("more, archive", [({}, "gzip"), ({"dest_compressed": True}, "")])
def test_an_archive_that_is_to_stay_one_is_named_for_the_nodes(tmp_path, more, archive):
    path = tmp_path / "a.img"
    path.write_bytes(gzip.compress(IMAGE))
    found, dummy = streams.inspect(params_for(source=str(path), compressed=False, **more))
    assert found.archive == archive
    path.write_bytes(IMAGE)
    assert streams.inspect(params_for(source=str(path)))[0].archive == ""


@pytest.mark.parametrize("more", [{}, {"compressed": True}, {"dest_compressed": True}, {"source_split": True}])
def test_an_empty_source_is_refused(tmp_path, more):
    (tmp_path / "a_0").write_bytes(b"")
    source = str(tmp_path / "a") if more.get("source_split") else str(tmp_path / "a_0")
    with pytest.raises(Refused, match="is empty"):
        streams.inspect(params_for(source=source, **more))


def facts_of(kind):
    return TargetFacts(path="/d", real_path="/d", kind=kind, size=1, boot_id="b")


def test_a_node_refuses_what_it_cannot_do(monkeypatch):
    Written(None, "gzip", True).check(facts_of("file"), False)
    Written(5).check(facts_of("block"), True)
    with pytest.raises(Refused, match="needs files"):
        Written(5, is_split=True).check(facts_of("block"), False)
    with pytest.raises(UsageError, match="move_gpt"):
        Written(None, "xz").check(facts_of("block"), True)
    monkeypatch.setattr(streams.compressed, "new_zstd", lambda: None)
    monkeypatch.setattr(streams.compressed, "find_zstd", lambda: None)
    with pytest.raises(Refused, match="no way to decompress zstd"):
        Written(None, "zstd").check(facts_of("file"), False)


def test_what_was_said_of_a_source_is_checked():
    assert Written.of_source(None, None) == Written(None)
    assert Written.of_source({"size": 7}, 7) == Written(7)
    for said in ({"size": -1}, {"size": "7"}, {"size": 7, "other": 1}, ["size"]):
        with pytest.raises(UsageError, match=r"source\.written"):
            Written.of_source({"written": said}, 7)


def test_parts_are_looked_at_by_their_first_name():
    assert (Written(1).path("/d"), Written(1, is_split=True).path("/d")) == ("/d", "/d_0")


def test_a_run_without_disks_has_a_size_or_a_time():
    def asked(**more):
        return params_for(source=None, **more)

    by_size, by_time = asked(dummy_size="10M"), asked(dummy_seconds=2.5)
    assert streams.files_of(by_size) == (Infile("dummy"), Outfile())
    assert streams.dummy_bytes(by_size) == 10 << 20
    assert streams.files_of(by_time) == (Infile("dummy", dummy_seconds=2.5), Outfile())
    assert streams.dummy_bytes(by_time) is None
    assert streams.is_dummy(by_time) and streams.is_dummy(by_size) and not streams.is_dummy(asked())


@pytest.mark.parametrize(
    "more, option",
    [
        ({"dummy_size": "1M", "dummy_seconds": 1.0}, "dummy_seconds"),
        ({"dummy_seconds": -1.0}, "dummy_seconds"),
        ({"dummy_seconds": float("nan")}, "dummy_seconds"),
        ({"dummy_size": "0"}, "dummy_seconds"),
        ({"dummy_size": "much"}, "dummy_size"),
        ({"dummy_size": "1M", "source": "/a"}, "source"),
        ({"dummy_size": "1M", "source_facts": {"size": 1}}, "source_facts"),
        ({"dummy_size": "1M", "dest": "/a"}, "dest"),
        ({"dummy_size": "1M", "checksum": "sha256:" + "0" * 64}, "checksum"),
        ({"dummy_size": "1M", "sha256": True}, "sha256"),
        ({"dummy_size": "1M", "bmap": "/m"}, "bmap"),
        ({"dummy_seconds": 1.0, "compare": True}, "compare"),
        ({"dummy_seconds": 1.0, "source_split": True}, "source_split"),
        ({"dummy_seconds": 1.0, "dest_split": "1M"}, "dest_split"),
        ({"dummy_seconds": 1.0, "protocol": "classic"}, "dummy_seconds"),
    ],
)
def test_a_run_without_disks_has_nothing_to_do_with_images(more, option):
    with pytest.raises(UsageError, match=r"^%s is " % option):
        streams.files_of(params_for(**{"source": None, **more}))
