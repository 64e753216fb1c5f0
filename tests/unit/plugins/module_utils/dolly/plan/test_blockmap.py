# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Block maps are read to the letter, or refused; an image is compared with its map."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import MapMismatch
from ansible_collections.dolly.ring.plugins.module_utils.dolly.plan import blockmap
from ansible_collections.dolly.ring.plugins.module_utils.dolly.ranges import RangeSet
from ansible_collections.dolly.ring.tests.unit.plugins.module_utils.dolly.plan.block_maps import (
    BLOCK,
    make_map,
    seal,
)

IMAGE = random.Random(5).randbytes(9 * BLOCK + 100)
RANGES = [(0, 1), (3, 3), (8, 9)]
GOOD = make_map(IMAGE, RANGES).decode()
VERSIONS = pytest.mark.parametrize(
    "version, kind", [("1.3", "sha1"), ("1.4", "sha256"), ("2.0", "sha256"), ("2.0", "sha512"), ("2.0", "sha1")]
)


@VERSIONS
def test_a_map(version, kind):
    found = blockmap.parse(make_map(IMAGE, RANGES, version, kind))
    assert (found.image_size, found.algorithm) == (len(IMAGE), kind)
    assert [(one.first, one.last) for one in found.ranges] == RANGES
    expected = [(0, 2 * BLOCK), (3 * BLOCK, 4 * BLOCK), (8 * BLOCK, len(IMAGE))]
    assert [(one.start, one.end) for one in found.ranges] == expected
    assert list(found.mapped()) == expected
    check(found, IMAGE)


def test_ranges_may_touch_and_lack_a_checksum():
    text = GOOD.replace(GOOD[GOOD.index(" chksum=") : GOOD.index("> 0-1")], "").replace("0-1", "0 - 2")
    found = blockmap.parse(seal(text.replace("> 5 <", "> 6 <")))
    assert [one.checksum == "" for one in found.ranges] == [True, False, False]
    assert list(found.mapped()) == [(0, 4 * BLOCK), (8 * BLOCK, len(IMAGE))]
    check(found, IMAGE)


def test_a_map_of_nothing():
    assert list(blockmap.parse(make_map(IMAGE, [])).mapped()) == []


@pytest.mark.parametrize("old, new, what", [
    ("2.0", "1.2", "version"), ("2.0", "3.0", "version"), (' version="2.0"', "", "version"),
    ("> %d <" % len(IMAGE), "> %d <" % (len(IMAGE) + BLOCK), "BlocksCount"),
    ("> %d <" % len(IMAGE), "> 0 <", "ImageSize"), ("> 4096 <", "> -4096 <", "BlockSize"),
    ("> 4096 <", "> 0x1000 <", "BlockSize"), ("> 4096 <", "> ٤٠٩٦ <", "BlockSize"),
    ("> 4096 <", "> 99999999999999999999 <", "BlockSize"), ("> 10 <", "> 11 <", "BlocksCount"),
    ("> 5 <", "> 6 <", "MappedBlocksCount"), ("> sha256 <", "> md5 <", "ChecksumType"),
    ("> sha256 <", "> shake_128 <", "ChecksumType"), ("> 0-1 <", "> 1-0 <", "out of order"),
    ("> 3 <", "> 1 <", "out of order"), ("> 8-9 <", "> 9-10 <", "beyond the image"),
    ("> 3 <", "> 3-3-3 <", "Range"), ("> 3 <", "> three <", "Range"), ("> 3 <", "><", "Range"),
    (' chksum="', ' md5="', "chksum"), (' chksum="', ' chksum="0', "chksum"), (' chksum="', ' a="" chksum="', "chksum"),
    ("<BlockMap>", "<BlockMap><Hole> 2 </Hole>", "does not belong"), ("</bmap>", "<x/></bmap>", "does not belong"),
    ("<BlockMap>", "<BlockMap a=''>", "attribute"), ("<BlockMap>", "<BlockMap> 7 ", "text"),
    ("</BlockMap>", "</BlockMap><BlockMap></BlockMap>", "does not belong"),
    ("> 3 <", "> 3<x/> <", "text beside"),
    ("<ImageSize>", "<ImageSize> 1 </ImageSize><ImageSize>", "does not belong"),
    ("<bmap ", "<map ", "does not belong"), ("</bmap>", "", "no XML"), ("</bmap>", "</bmap>junk", "no XML"),
    ('<?xml version="1.0" ?>', '<?xml version="1.0" encoding="utf-16"?>\x00', "no XML"),
])
def test_what_is_refused(old, new, what):
    assert old in GOOD
    with pytest.raises(ValueError, match=what):
        blockmap.parse(seal(GOOD.replace(old, new, 1)))


@pytest.mark.parametrize("name", ["ImageSize", "BlockSize", "BlocksCount", "MappedBlocksCount", "ChecksumType"])
def test_nothing_may_be_missing(name):
    start, end = GOOD.index("    <%s>" % name), GOOD.index("</%s>\n" % name) + len(name) + 4
    with pytest.raises(ValueError, match=name):
        blockmap.parse(seal(GOOD[:start] + GOOD[end:]))


def test_a_map_without_a_block_map():
    with pytest.raises(ValueError, match="BlockMap"):
        blockmap.parse(seal(GOOD[: GOOD.index("    <BlockMap>")] + "</bmap>"))


def test_entities_are_not_even_declared():
    bomb = '<!DOCTYPE bmap [<!ENTITY a "%s"><!ENTITY b "%s">]>\n<bmap' % ("ha" * 500, "&a;" * 10000)
    with pytest.raises(ValueError, match="DOCTYPE"):
        blockmap.parse(seal(GOOD.replace("<bmap", bomb).replace("> 3 <", "> &b; <")))
    with pytest.raises(ValueError, match="DOCTYPE"):
        blockmap.parse(seal(GOOD.replace("<bmap", '<!DOCTYPE bmap SYSTEM "http://localhost/x">\n<bmap')))


def test_a_map_of_any_size_is_not_read():
    with pytest.raises(ValueError, match="more than"):
        blockmap.parse(b" " * (blockmap.MAX_FILE + 1))


def test_too_many_ranges(monkeypatch):
    monkeypatch.setattr(blockmap, "MAX_MAPPED", 2)
    with pytest.raises(ValueError, match="3 ranges, expected at most 2"):
        blockmap.parse(GOOD.encode())


def test_nesting_without_end():
    with pytest.raises(ValueError, match="does not belong"):
        blockmap.parse(b"<a>" * 1000000)


def test_other_encodings():
    with pytest.raises(ValueError, match="UTF-8"):
        blockmap.parse(GOOD.encode("utf-16"))


@VERSIONS
def test_each_digit_counts(version, kind):
    """Whatever byte is damaged, the map is not believed."""
    good = make_map(IMAGE, RANGES, version, kind)
    for place in random.Random(3).sample(range(len(good)), 120):
        bad = bytearray(good)
        bad[place] ^= 1
        with pytest.raises(ValueError):
            blockmap.parse(bytes(bad))


def test_a_decoy_of_the_checksum():
    decoy = "<!-- <BmapFileChecksum> %s </BmapFileChecksum> -->\n<bmap" % ("0" * 64)
    with pytest.raises(ValueError, match="BmapFileChecksum"):
        blockmap.parse(seal(GOOD.replace("<bmap", decoy)))


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_garbage_is_a_value_error(data):
    with pytest.raises(ValueError):
        blockmap.parse(data)


BLOCKS = st.sets(st.integers(0, 40), max_size=40)


@settings(max_examples=80, deadline=None)
@given(BLOCKS, st.integers(1, 41 * 16), st.data())
def test_ranges_survive(blocks, size, data):
    """Whatever the ranges are, what they name is what is mapped, and the image passes in any pieces."""
    image = random.Random(size).randbytes(size)
    ranges = [(block, block) for block in sorted(blocks) if block * 16 < size]
    found = blockmap.parse(make_map(image, ranges, block=16))
    expected = RangeSet((block * 16, min(size, block * 16 + 16)) for block, _last in ranges)
    assert found.mapped() == expected
    check(found, image, data.draw(st.integers(1, 50)))


def check(block_map, image, step=1000):
    checker = blockmap.Checker(block_map, "image", "map")
    for start, end in block_map.mapped():
        for at in range(start, end, step):
            checker.update(at, memoryview(image)[at : min(at + step, end)])
    assert not checker._left


@pytest.mark.parametrize("step", [1, 100, BLOCK, 10 * BLOCK])
def test_another_image(step):
    """The range and the place of it are named; bytes that are not mapped do not matter."""
    found = blockmap.parse(GOOD.encode())
    other = bytearray(IMAGE)
    other[2 * BLOCK] ^= 1
    check(found, bytes(other), step)
    other[3 * BLOCK + 77] ^= 1
    with pytest.raises(MapMismatch, match="blocks 3 to 3, from byte %d on" % (3 * BLOCK)) as caught:
        check(found, bytes(other), step)
    assert (caught.value.fields["path"], caught.value.fields["name"]) == ("image", "map")
