# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The block map of an image, a .bmap file as bmaptool writes it. It lists the blocks to be cloned.

::

    <bmap version="2.0">
        <ImageSize> 821752 </ImageSize>             bytes
        <BlockSize> 4096 </BlockSize>               bytes
        <BlocksCount> 201 </BlocksCount>            the last block may be shorter
        <MappedBlocksCount> 117 </MappedBlocksCount>
        <ChecksumType> sha256 </ChecksumType>
        <BmapFileChecksum> 64 digits </BmapFileChecksum>     of this file, with 64 times 0 in this place
        <BlockMap>
            <Range chksum="64 digits"> 0-1 </Range>          blocks, the last one included
            <Range chksum="64 digits"> 3 </Range>

Version 1.4 has the same format. In 1.3 the checksums are SHA-1, called BmapFileSHA1 and sha1, without
ChecksumType. Earlier versions have no checksum of the file.

Parsing is strict, because blocks outside the map are not written: one wrong digit would leave old bytes on a
disk.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Dict, List, Tuple
from xml.etree import ElementTree

from ..errors import MapMismatch
from ..ranges import RangeSet
from .job import MAX_MAPPED, MAX_SIZE

#: A range takes about 100 bytes.
MAX_FILE = 16 << 20
MAX_BLOCK = 1 << 30

_ALGORITHMS = ("sha1", "sha224", "sha256", "sha384", "sha512")
#: By version: the element with the checksum of the file, and the attribute with the checksum of a range.
_NAMES = {
    "1.3": ("BmapFileSHA1", "sha1"),
    "1.4": ("BmapFileChecksum", "chksum"),
    "2.0": ("BmapFileChecksum", "chksum"),
}
_NUMBER = re.compile(r"[0-9]{1,19}\Z")
_RANGE = re.compile(r"([0-9]{1,19})(?:\s*-\s*([0-9]{1,19}))?\Z")
_HEX = re.compile(r"[0-9a-f]+\Z")


@dataclass(frozen=True)
class MappedRange:
    """Blocks ``first`` to ``last``, the bytes [``start``, ``end``). ``checksum`` in hex, empty if unknown."""

    first: int
    last: int
    start: int
    end: int
    checksum: str


@dataclass(frozen=True)
class BlockMap:
    """A map of an image of ``image_size`` bytes; ``ranges`` ascend and do not overlap, but may touch."""

    image_size: int
    algorithm: str
    ranges: Tuple[MappedRange, ...]

    def mapped(self) -> RangeSet:
        """Return the bytes that are to be cloned."""
        return RangeSet((one.start, one.end) for one in self.ranges)


class Checker:
    """Compares an image with its map while the image is read. ``image`` and ``name`` are for the error."""

    def __init__(self, block_map: BlockMap, image: str, name: str) -> None:
        self._algorithm = block_map.algorithm
        self._left = [one for one in reversed(block_map.ranges) if one.checksum]
        self._image = image
        self._name = name
        self._digest = _new(self._algorithm)

    def update(self, offset: int, data: memoryview) -> None:
        """Check mapped bytes, given in ascending order without gaps inside a range. Raises MapMismatch."""
        end = offset + len(data)
        while self._left and self._left[-1].start < end:
            one = self._left[-1]
            self._digest.update(data[max(0, one.start - offset) : one.end - offset])
            if end < one.end:
                return
            self._finish(self._left.pop())

    def _finish(self, one: MappedRange) -> None:
        actual = self._digest.hexdigest()
        if actual != one.checksum:
            raise MapMismatch(self._image, self._name, one.first, one.last, one.start, one.checksum, actual)
        self._digest = _new(self._algorithm)


def parse(data: bytes) -> BlockMap:
    """Return the map in a .bmap file. ValueError: it is no block map, is damaged, or contradicts itself."""
    if len(data) > MAX_FILE:
        raise ValueError("it has more than the %d bytes allowed" % MAX_FILE)
    reader = _read(data)
    if reader.version not in _NAMES:
        raise ValueError("its version is %.20r, expected one of %s" % (reader.version, ", ".join(_NAMES)))
    own, attribute = _NAMES[reader.version]
    algorithm = "sha1" if reader.version == "1.3" else reader.take("ChecksumType").lower()
    if algorithm not in _ALGORITHMS:
        raise ValueError("its ChecksumType is %.20r, expected one of %s" % (algorithm, ", ".join(_ALGORITHMS)))
    _check_file(data, own, algorithm, reader.take(own))
    size = reader.number("ImageSize", MAX_SIZE)
    block = reader.number("BlockSize", MAX_BLOCK)
    count = reader.number("BlocksCount", MAX_SIZE)
    mapped = reader.number("MappedBlocksCount", MAX_SIZE, 0)
    reader.check_empty()
    if count != -(-size // block):
        raise ValueError("BlocksCount is %d, but %d bytes are not so many blocks of %d" % (count, size, block))
    ranges = _ranges(reader.ranges, attribute, _new(algorithm).digest_size * 2, block, size)
    if mapped != sum(one.last - one.first + 1 for one in ranges):
        raise ValueError("MappedBlocksCount is %d, but its ranges have another number of blocks" % mapped)
    return BlockMap(size, algorithm, tuple(ranges))


class _Reader:
    """The target of the XML parser. It builds no tree, and raises ValueError at the first unexpected item."""

    def __init__(self) -> None:
        self.version = ""
        self.ranges: List[Tuple[Dict[str, str], str]] = []
        self._fields: Dict[str, str] = {}
        self._attributes: Dict[str, str] = {}
        self._path: Tuple[str, ...] = ()
        self._text = ""
        self._has_map = False

    def doctype(self, name: str, public: str, system: str) -> None:
        """Refuse a DOCTYPE: it may declare entities, of which a few lines can expand to any size."""
        raise ValueError("it has a DOCTYPE, which no block map has")

    def start(self, tag: str, attributes: Dict[str, str]) -> None:
        """Handle the start of an element."""
        self._check_blank()
        self._path += (tag,)
        if self._path == ("bmap",):
            self.version = attributes.pop("version", "")
        elif self._path == ("bmap", "BlockMap") and not self._has_map:
            self._has_map = True
        elif self._path == ("bmap", "BlockMap", "Range"):
            self._attributes, attributes = attributes, {}
        elif len(self._path) != 2 or tag in self._fields or tag == "BlockMap":
            raise ValueError("it has an element %.80s that does not belong there" % "/".join(self._path))
        if attributes:
            raise ValueError("%s has an attribute %.40s" % (tag, next(iter(attributes))))

    def data(self, text: str) -> None:
        """Handle text, which may come in several parts."""
        self._text += text

    def end(self, tag: str) -> None:
        """Handle the end of an element."""
        if len(self._path) == 3:
            self.ranges.append((self._attributes, self._text.strip()))
        elif len(self._path) == 2 and tag != "BlockMap":
            self._fields[tag] = self._text.strip()
        else:
            self._check_blank()
        self._text = ""
        self._path = self._path[:-1]

    def close(self) -> None:
        """Handle the end of the file."""
        if not self._has_map:
            raise ValueError("it has no BlockMap")

    def take(self, name: str) -> str:
        """Return the text of an element and remove it."""
        if name not in self._fields:
            raise ValueError("it has no %s" % name)
        return self._fields.pop(name)

    def number(self, name: str, highest: int, lowest: int = 1) -> int:
        """Return the number in an element and remove it."""
        text = self.take(name)
        if not _NUMBER.match(text) or not lowest <= int(text) <= highest:
            raise ValueError("%s is %.40r, expected a number from %d to %d" % (name, text, lowest, highest))
        return int(text)

    def check_empty(self) -> None:
        """Raise ValueError if an element was not taken."""
        for name in self._fields:
            raise ValueError("it has an element %.80s that does not belong there" % name)

    def _check_blank(self) -> None:
        if self._text.strip():
            raise ValueError("it has text beside its elements: %.40r" % self._text.strip())
        self._text = ""


def _read(data: bytes) -> _Reader:
    reader = _Reader()
    parser = ElementTree.XMLParser(target=reader)
    try:
        # Decode it here, so that no encoding declaration in the file is used.
        parser.feed(data.decode("utf-8"))
        parser.close()
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    except ElementTree.ParseError as error:
        raise ValueError("it is no XML: %s" % error) from None
    return reader


def _check_file(data: bytes, name: str, algorithm: str, expected: str) -> None:
    """Compare the checksum of the file, which was computed with zeros in its own place."""
    tag = name.encode("ascii")
    found = list(re.finditer(rb"<%s>\s*([0-9A-Fa-f]+)\s*</%s>" % (tag, tag), data))
    length = _new(algorithm).digest_size * 2
    if len(found) != 1 or len(expected) != length:
        raise ValueError("its %s is not one checksum of %d digits" % (name, length))
    start, end = found[0].span(1)
    digest = _new(algorithm)
    for part in (data[:start], b"0" * length, data[end:]):
        digest.update(part)
    if digest.hexdigest() != expected.lower():
        raise ValueError("it is damaged: its %s is %s, and %s was expected" % (name, digest.hexdigest(), expected))


def _ranges(
    found: List[Tuple[Dict[str, str], str]], attribute: str, digits: int, block: int, size: int
) -> List[MappedRange]:
    if len(found) > MAX_MAPPED:
        raise ValueError("it has %d ranges, expected at most %d" % (len(found), MAX_MAPPED))
    ranges: List[MappedRange] = []
    after = 0
    for attributes, text in found:
        match = _RANGE.match(text)
        if match is None:
            raise ValueError("a Range is %.60r, expected numbers of blocks" % text)
        first, last = int(match.group(1)), int(match.group(2) or match.group(1))
        if not after <= first <= last or last * block >= size:
            raise ValueError("Range %s is empty, out of order or beyond the image" % text)
        checksum = attributes.pop(attribute, "").lower()
        if attributes or (checksum and not (len(checksum) == digits and _HEX.match(checksum))):
            raise ValueError("Range %s has no %s of %d digits, or more than that" % (text, attribute, digits))
        ranges.append(MappedRange(first, last, first * block, min((last + 1) * block, size), checksum))
        after = last + 1
    return ranges


def _new(algorithm: str) -> "hashlib._Hash":
    # usedforsecurity=False, because OpenSSL in FIPS mode would refuse the SHA-1 of old maps.
    return hashlib.new(algorithm, usedforsecurity=False)
