# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the server says of its source, chunk by chunk, although it looks at runs of known zeros at once."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.dolly.ring.plugins.module_utils.dolly.plan.job import Image
from ansible_collections.dolly.ring.plugins.module_utils.dolly.ranges import RangeSet
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay.digester import Digester
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay.ledger import Ledger

CHUNK = 8


class Source:
    path = "image"

    def __init__(self, data):
        self.data = data
        self.read_at = set()
        self.checks = 0

    def read(self, offset, view):
        self.read_at.add(offset // CHUNK)
        piece = self.data[offset : offset + len(view)]
        view[: len(piece)] = piece
        return len(piece)

    def check_unchanged(self):
        self.checks += 1


@st.composite
def images(draw):
    """Data, and which of its chunks are known to be holes."""
    kinds = draw(st.lists(st.sampled_from(("data", "zeros", "hole")), min_size=1, max_size=40))
    data = b"".join(bytes([1 + index]) * CHUNK if kind == "data" else bytes(CHUNK) for index, kind in enumerate(kinds))
    size = len(data) - draw(st.integers(0, CHUNK - 1))
    found = [index for index, kind in enumerate(kinds) if kind == "hole"]
    return data[:size], RangeSet((index * CHUNK, min(size, (index + 1) * CHUNK)) for index in found)


@given(images(), st.booleans(), st.integers(0, 3))
def test_every_chunk_gets_its_digest_once_and_in_order(image, wants_sha256, known):
    data, holes = image
    ledger = Ledger(Image(len(data), CHUNK), False)
    ledger.hold(RangeSet(), holes)
    chunks = [data[start : start + CHUNK] for start in range(0, len(data), CHUNK)]
    expected = [hashlib.sha256(chunk).digest() for chunk in chunks]
    ledger.learn(0, b"".join(expected[:known]))
    source, published = Source(data), []

    def publish(first, digests):
        assert first == len(published)
        published.extend(digests[at : at + 32] for at in range(0, len(digests), 32))

    digester = Digester(source, ledger, publish)
    digester.digest_all(wants_sha256)
    assert published == expected
    assert source.checks == 2  # before the last digests, and at the end
    assert digester.sha256 == (hashlib.sha256(data).hexdigest() if wants_sha256 else None)
    is_hole = [holes.covers(at * CHUNK, min(len(data), (at + 1) * CHUNK)) for at in range(len(chunks))]
    if not wants_sha256:
        assert source.read_at == {at for at in range(known, len(chunks)) if not is_hole[at]}
    for at, chunk in enumerate(chunks[known:], known):
        assert ledger.is_zero(at * CHUNK, at * CHUNK + len(chunk)) == (not any(chunk))
