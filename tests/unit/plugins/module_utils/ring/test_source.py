# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What dolly_server says of an image, and how it finds out that it is another one."""

from __future__ import annotations

import dataclasses
import hashlib
import sys

import pytest

pytest.importorskip("ansible", reason="ansible-core is not installed")

from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import (
    ChecksumMismatch,
    MapMismatch,
    Refused,
    UsageError,
)
from ansible_collections.dolly.ring.plugins.module_utils.dolly.integrity import gmac
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage import source as image
from ansible_collections.dolly.ring.plugins.module_utils.ring import source
from ansible_collections.dolly.ring.tests.unit.plugins.module_utils.dolly.plan.block_maps import make_map
from ansible_collections.dolly.ring.tests.unit.plugins.module_utils.server_options import params_for

IMAGE = b"image" * 1000


def test_the_checksum_of_parts_is_that_of_the_image(tmp_path):
    for index, part in enumerate((b"one", b"two")):
        (tmp_path / ("a_%d" % index)).write_bytes(part)
    params = params_for(source=str(tmp_path / "a"), source_split=True)
    assert source._sha256_of(params) == hashlib.sha256(b"onetwo").hexdigest()
    assert source.inspect(params)["source"]["written"] == {"size": 6, "codec": "", "is_split": False}


def test_check_mode_compares_the_checksum(tmp_path):
    image = tmp_path / "a.img"
    image.write_bytes(b"image" * 1000)
    good = "sha256:" + hashlib.sha256(image.read_bytes()).hexdigest()
    returned = source.predict(params_for(source=str(image), checksum=good))
    assert returned["changed"] is True and returned["state"] == "predicted" and returned["size"] == 5000
    with pytest.raises(ChecksumMismatch):
        source.predict(params_for(source=str(image), checksum="sha256:" + "0" * 64))


def test_the_source_must_be_absolute():
    with pytest.raises(UsageError, match=r"source is 'a.img'"):
        source.inspect(params_for(source="a.img"))


@pytest.mark.parametrize("chunk_size", [4096, "4k", "1G"])
def test_digests_of_a_size_that_can_be(tmp_path, chunk_size):
    with (tmp_path / "a.img").open("wb") as file:
        file.truncate(4096 * 65536)
    assert source.inspect(params_for(source=str(tmp_path / "a.img"), chunk_size=chunk_size))["size"]


@pytest.mark.parametrize("chunk_size", [1, 4096])
def test_digests_that_are_too_many(tmp_path, chunk_size):
    with (tmp_path / "a.img").open("wb") as file:
        file.truncate(4096 * 65536 + 1)
    with pytest.raises(UsageError, match=r"chunk_size is %d, but must be " % chunk_size):
        source.inspect(params_for(source=str(tmp_path / "a.img"), chunk_size=chunk_size))


def test_a_disk_that_is_mounted_for_writing_is_refused_by_the_check(tmp_path, monkeypatch):
    (tmp_path / "a.img").write_bytes(IMAGE)
    facts = image.inspect_source(str(tmp_path / "a.img"))
    monkeypatch.setattr(image, "_facts", lambda *arguments: dataclasses.replace(facts, kind="block"))
    monkeypatch.setattr(image.Devices, "written_at", lambda devices, device: {"/srv"})
    for look in (source.inspect, source.predict):
        with pytest.raises(Refused, match=r"mounted for writing \(/srv\).*remount,ro /srv"):
            look(params_for(source=str(tmp_path / "a.img")))


@pytest.fixture
def mapped(tmp_path):
    (tmp_path / "a.img").write_bytes(IMAGE)
    (tmp_path / "a.bmap").write_bytes(make_map(IMAGE, [(1, 1)]))
    return params_for(source=str(tmp_path / "a.img"), bmap=str(tmp_path / "a.bmap"))


def test_a_block_map_is_looked_at_with_the_image(mapped):
    """A node needs room for the mapped blocks alone."""
    returned = source.inspect(mapped)
    assert (returned["size"], returned["source"]["allocated"]) == (5000, 5000 - 4096)
    with pytest.raises(UsageError, match=r"bmap is 'a.bmap'"):
        source.inspect({**mapped, "bmap": "a.bmap"})
    with pytest.raises(UsageError, match="No such file"):
        source.inspect({**mapped, "bmap": mapped["bmap"] + "x"})


def test_a_block_map_of_another_size(mapped, tmp_path):
    (tmp_path / "a.img").write_bytes(IMAGE + b"x")
    with pytest.raises(UsageError, match="it is for 5000 bytes"):
        source.inspect(mapped)


def test_check_mode_compares_the_mapped_blocks(mapped, tmp_path):
    assert source.predict(mapped)["state"] == "predicted"
    (tmp_path / "a.img").write_bytes(b"x" + IMAGE[1:])
    assert source.predict(mapped)["state"] == "predicted"
    (tmp_path / "a.img").write_bytes(IMAGE[:-1] + b"x")
    with pytest.raises(MapMismatch, match="blocks 1 to 1, from byte 4096 on"):
        source.predict(mapped)


def test_a_python_that_cannot_verify_by_mac_is_refused_with_the_first_look(monkeypatch, tmp_path):
    image = tmp_path / "a.img"
    image.write_bytes(b"image")
    params = params_for(source=str(image), verify="mac")
    monkeypatch.setitem(sys.modules, "_hashlib", None)
    gmac.check.cache_clear()
    gmac._library.cache_clear()
    with pytest.raises(Refused, match=r"verify mac.*_hashlib.*What would allow it: verify readback"):
        source.inspect(params)
    assert source.inspect({**params, "protocol": "classic"})["size"] == 5  # it verifies nothing anyway
