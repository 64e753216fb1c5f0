# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Block maps as bmaptool writes them, without any help of the engine."""

from __future__ import annotations

import hashlib
from typing import Iterable, Tuple

BLOCK = 4096

_HEAD = """<?xml version="1.0" ?>
<!-- This file contains the block map for an image file: <MappedBlocksCount> blocks instead of <BlocksCount>. -->

<bmap version="%s">
    <!-- Image size in bytes -->
    <ImageSize> %d </ImageSize>

    <!-- Size of a block in bytes -->
    <BlockSize> %d </BlockSize>

    <!-- Count of blocks in the image file -->
    <BlocksCount> %d </BlocksCount>
    <MappedBlocksCount> %d </MappedBlocksCount>
"""


def make_map(
    image: bytes, ranges: Iterable[Tuple[int, int]], version: str = "2.0", kind: str = "sha256", block: int = BLOCK
) -> bytes:
    """The map of an image; `ranges` are the first and the last block of each."""
    ranges = list(ranges)
    is_old = version == "1.3"
    kind = "sha1" if is_old else kind
    own = "BmapFileSHA1" if is_old else "BmapFileChecksum"
    mapped = sum(last - first + 1 for first, last in ranges)
    text = _HEAD % (version, len(image), block, -(-len(image) // block), mapped)
    if not is_old:
        text += "    <ChecksumType> %s </ChecksumType>\n" % kind
    zeros = "0" * len(hashlib.new(kind).hexdigest())
    text += "    <%s> %s </%s>\n    <BlockMap>\n" % (own, zeros, own)
    for first, last in ranges:
        checksum = hashlib.new(kind, image[first * block : (last + 1) * block]).hexdigest()
        where = "%d" % first if first == last else "%d-%d" % (first, last)
        text += '        <Range %s="%s"> %s </Range>\n' % ("sha1" if is_old else "chksum", checksum, where)
    return seal(text + "    </BlockMap>\n</bmap>\n", own, kind)


def seal(text: str, own: str = "BmapFileChecksum", kind: str = "sha256") -> bytes:
    """Put the checksum of the file where the zeros are; for a text that was changed put the zeros back first."""
    start = text.index("<%s>" % own) + len(own) + 3
    length = len(hashlib.new(kind).hexdigest())
    blank = text[:start] + "0" * length + text[start + length :]
    return blank.replace("0" * length, hashlib.new(kind, blank.encode()).hexdigest(), 1).encode()
