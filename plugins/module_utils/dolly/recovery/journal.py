# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal that a node keeps of its target, so that a run after an interrupted one can resume.

    {"dolly-journal": 1, "target": "file 1234", "size": 9437184, "chunk_size": 4194304, "chunks": [[0, 2]]}

`chunks` are pairs of chunk numbers, the end not included. A journal is a hint, never a proof: a run reads the
target itself, and a wrong claim costs one chunk read in vain. So decoding is simple: a file that is not
exactly a journal of this target and of an image of this shape claims nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Dict, Optional

from ..ranges import RangeSet, is_integer

VERSION = 1
_KEYS = frozenset(("dolly-journal", "target", "size", "chunk_size", "chunks"))
#: A journal of every second one of 65,536 chunks takes about 0.5 MB. A larger file than this is no journal.
MAX_LENGTH = 4 << 20


@dataclass(frozen=True)
class Shape:
    """What must match for a claim to be valid: the target, and the sizes of image and chunk in bytes."""

    target: str
    size: int
    chunk_size: int

    @property
    def chunk_count(self) -> int:
        """The number of chunks."""
        return -(-self.size // self.chunk_size)


def encode(shape: Shape, claimed: RangeSet) -> bytes:
    """The journal that claims the whole chunks in `claimed`, a set of bytes. ValueError: it is too long."""
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
    """The bytes, in whole chunks, that a journal claims for this shape; none if `data` is no such journal."""
    fields = _read(data)
    if fields is None or fields.keys() != _KEYS:
        return RangeSet()
    expected = (VERSION, shape.target, shape.size, shape.chunk_size)
    found = tuple(fields[name] for name in ("dolly-journal", "target", "size", "chunk_size"))
    are_numbers = all(is_integer(fields[name]) for name in ("dolly-journal", "size", "chunk_size"))
    if found != expected or not are_numbers:  # in Python, True and 1.0 equal 1
        return RangeSet()
    try:
        chunks = RangeSet.from_list(fields["chunks"], shape.chunk_count)
    except ValueError:
        return RangeSet()
    step = shape.chunk_size
    return RangeSet((start * step, min(end * step, shape.size)) for start, end in chunks)


def merge(verified: RangeSet, unchecked: RangeSet) -> RangeSet:
    """What to claim: the bytes that this run verified, and an earlier run's claims not checked yet."""
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
