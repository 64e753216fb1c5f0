# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The image of the demo is one that firmware would accept, and its reader refuses one that is not."""

from __future__ import annotations

import importlib.util
import io
import struct
import zlib
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
SIZE = 4 << 20
LAST = SIZE // 512 - 1


@pytest.fixture(scope="module")
def disk_image() -> ModuleType:
    path = ROOT / "demo" / "disk_image.py"
    spec = importlib.util.spec_from_file_location("disk_image", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def image(disk_image: ModuleType) -> io.BytesIO:
    image = io.BytesIO(bytes(SIZE))
    disk_image.write_table(image, SIZE, disk_image.Partition(1 << 20, 2 << 20))
    return image


def test_what_was_written_is_read(disk_image: ModuleType, image: io.BytesIO) -> None:
    assert disk_image.read_partition(image, SIZE) == (1 << 20, 2 << 20)
    assert len(image.getvalue()) == SIZE


def test_protective_mbr(image: io.BytesIO) -> None:
    sector = image.getvalue()[:512]
    assert sector[446 + 4] == 0xEE
    assert struct.unpack_from("<II", sector, 446 + 8) == (1, LAST)
    assert sector[510:] == b"\x55\xaa"


@pytest.mark.parametrize(("own", "other", "table"), [(1, LAST, 2), (LAST, 1, LAST - 32)])
def test_headers_by_the_offsets_of_the_specification(
    image: io.BytesIO, own: int, other: int, table: int
) -> None:
    disk = image.getvalue()
    header = disk[own * 512 : own * 512 + 92]
    assert header[:8] == b"EFI PART"
    assert struct.unpack_from("<QQQQ", header, 24) == (own, other, 34, LAST - 33)
    assert struct.unpack_from("<QII", header, 72) == (table, 128, 128)
    entries = disk[table * 512 : table * 512 + 128 * 128]
    assert struct.unpack_from("<I", header, 88)[0] == zlib.crc32(entries)
    assert struct.unpack_from("<I", header, 16)[0] == zlib.crc32(header[:16] + bytes(4) + header[20:])
    assert struct.unpack_from("<QQ", entries, 32) == (2048, 2048 + 4096 - 1)
    assert entries[56:64] == "root".encode("utf-16-le")


@pytest.mark.parametrize(
    ("at", "message"),
    [
        (510, "no boot signature"),
        (512, "no GPT header"),
        (512 + 60, "does not match its checksum"),
        (1024 + 40, "table at sector 2 does not match"),
        (LAST * 512, "no GPT header"),
        ((LAST - 32) * 512, "does not match its checksum"),
    ],
)
def test_damage_is_seen(disk_image: ModuleType, image: io.BytesIO, at: int, message: str) -> None:
    image.getbuffer()[at] ^= 0xFF
    with pytest.raises(disk_image.TableError, match=message):
        disk_image.read_partition(image, SIZE)


def test_a_cut_off_image_is_seen(disk_image: ModuleType, image: io.BytesIO) -> None:
    image.truncate(SIZE - 512)
    with pytest.raises(disk_image.TableError, match="ends before"):
        disk_image.read_partition(image, SIZE)
