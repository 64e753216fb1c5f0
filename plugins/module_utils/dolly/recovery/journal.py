# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node writes down about its target, for the run that comes after one that was broken off.

    {"dolly-journal": 1, "target": "file 1234", "size": 9437184, "chunk_size": 4194304, "chunks": [[0, 2]]}

`chunks` are pairs of chunk numbers, the end not included. A journal is a hint, never a proof: a run asks the
target itself, and a claim that is wrong costs one chunk read in vain. So reading is simple: what is not exactly
a journal of this target and an image of this shape claims nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Dict, Optional

from ..ranges import RangeSet, is_integer

VERSION = 1
_KEYS = frozenset(("dolly-journal", "target", "size", "chunk_size", "chunks"))
#: Every second one of 65,536 chunks, with large numbers: about 0.5 MB. A larger file is no journal.
MAX_LENGTH = 4 << 20


@dataclass(frozen=True)
class Shape:
    """What must be the same for a claim to make sense: the target, and how the image is cut up, in bytes."""

    target: str
    size: int
    chunk_size: int

    @property
    def chunk_count(self) -> int:
        """The number of chunks."""
        return -(-self.size // self.chunk_size)


def encode(shape: Shape, claimed: RangeSet) -> bytes:
    """The journal that claims the whole chunks in `claimed`, a set of bytes. ValueError: it would be too long."""
    fields = {
        "dolly-journal": VERSION,
        "target": shape.target,
        "size": shape.size,
        "chunk_size": shape.chunk_size,
        "chunks": _whole_chunks(shape, claimed).to_list(),
    }
    data = json.dumps(fields).encode("ascii")
    if len(data) > MAX_LENGTH:
        raise ValueError("a journal of %d bytes, more than the %d allowed" % (len(data), MAX_LENGTH))
    return data


def decode(data: bytes, shape: Shape) -> RangeSet:
    """The bytes that a journal claims for this shape, in whole chunks; none where it is not one, or another's."""
    fields = _read(data)
    if fields is None or fields.keys() != _KEYS:
        return RangeSet()
    expected = (VERSION, shape.target, shape.size, shape.chunk_size)
    found = tuple(fields[name] for name in ("dolly-journal", "target", "size", "chunk_size"))
    are_numbers = all(is_integer(fields[name]) for name in ("dolly-journal", "size", "chunk_size"))
    if found != expected or not are_numbers:  # true equals 1, and 1.0 does
        return RangeSet()
    try:
        chunks = RangeSet.from_list(fields["chunks"], shape.chunk_count)
    except ValueError:
        return RangeSet()
    step = shape.chunk_size
    return RangeSet((start * step, min(end * step, shape.size)) for start, end in chunks)


def merge(verified: RangeSet, unchecked: RangeSet) -> RangeSet:
    """What to claim: bytes that this run has verified, and those of an earlier one that it did not get to yet."""
    return verified | unchecked


def _read(data: bytes) -> Optional[Dict[str, Any]]:
    if len(data) > MAX_LENGTH:
        return None
    try:
        fields = json.loads(data.decode("ascii"))
    except (ValueError, RecursionError):
        return None
    return fields if isinstance(fields, dict) else None


def _whole_chunks(shape: Shape, claimed: RangeSet) -> RangeSet:
    chunks, step = RangeSet(), shape.chunk_size
    for start, end in claimed.within(0, shape.size):
        first = -(-start // step)
        last = shape.chunk_count if end == shape.size else end // step
        if first < last:
            chunks.add(first, last)
    return chunks
