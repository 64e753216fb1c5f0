# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the server says of its source, chunk by chunk, although it looks at runs of known zeros at once."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import SourceChanged
from ansible_collections.dolly.ring.plugins.module_utils.dolly.plan.job import MAX_SIZE, Image
from ansible_collections.dolly.ring.plugins.module_utils.dolly.ranges import RangeSet
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay.image.ledger import Ledger
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay.work.digester import Digester

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


class Doubts:
    """A digester of eight chunks and a bit; `on_publish` is called with it when a group of digests goes out."""

    SIZE = 8 * CHUNK + 3

    def __init__(self, on_publish=lambda doubts: None):
        self.source = Source(bytearray(range(self.SIZE)))
        self.ledger = Ledger(Image(self.SIZE, CHUNK), False)
        self.digester = Digester(self.source, self.ledger, lambda first, digests: on_publish(self))

    @property
    def verified(self):
        return list(self.ledger.verified)


class TestDoubts:
    def test_a_chunk_is_no_repair_until_it_was_read_again(self):
        doubts = Doubts()
        doubts.digester.digest_all(False)
        assert not doubts.digester.has_doubts
        doubts.digester.doubt([(CHUNK + 1, 2 * CHUNK), (8 * CHUNK, Doubts.SIZE)])
        assert doubts.digester.has_doubts
        assert doubts.verified == [(0, CHUNK), (2 * CHUNK, 8 * CHUNK)]
        assert list(doubts.ledger.held) == [(0, Doubts.SIZE)]  # for whom nothing has come out wrong
        doubts.source.read_at.clear()
        doubts.digester.recheck()
        assert doubts.source.read_at == {1, 8}
        assert doubts.verified == [(0, Doubts.SIZE)] and not doubts.digester.has_doubts

    def test_a_chunk_that_is_another_one_now_never_is(self):
        doubts = Doubts()
        doubts.digester.digest_all(False)
        doubts.source.data[3 * CHUNK + 7] ^= 1
        doubts.digester.doubt([(CHUNK, 4 * CHUNK)])
        with pytest.raises(SourceChanged, match="changed at byte %d " % (3 * CHUNK)):
            doubts.digester.recheck()
        assert doubts.verified == [(0, 3 * CHUNK), (4 * CHUNK, Doubts.SIZE)]

    def test_they_are_looked_at_while_the_rest_is_read(self):
        """Of a large image that takes minutes, in which a node would wait, or give up."""

        def change(doubts):
            doubts.source.data[0] ^= 1
            doubts.digester.doubt([(0, CHUNK)])

        doubts = Doubts(change)
        with pytest.raises(SourceChanged):
            doubts.digester.digest_all(False)
        assert max(doubts.source.read_at) < 5

    def test_a_digest_that_was_known_before_is_no_second_look(self):
        doubts = Doubts()
        doubts.digester.digest_all(True)  # for an expected checksum, before anything is sent
        doubts.source.check_unchanged = lambda: doubts.digester.doubt([(0, CHUNK)])
        doubts.digester.digest_all(False)
        assert doubts.verified == [(CHUNK, Doubts.SIZE)]

    def test_what_nobody_was_sent_is_not_looked_at(self):
        doubts = Doubts()
        doubts.digester.doubt([(0, MAX_SIZE)])
        assert not doubts.digester.has_doubts


@given(images())
def test_holes_do_not_go_out_ahead_of_the_data_between_them(image):
    """Or each child would lack as many ranges as there are extents, and name them all."""
    data, holes = image
    ledger = Ledger(Image(len(data), CHUNK), False)
    ledger.know_zeros(holes)
    seen = []
    digester = Digester(Source(data), ledger, lambda first, digests: seen.append(list(ledger.held)))
    digester.digest_all(False)
    assert all(len(ranges) == 1 and ranges[0][0] == 0 for ranges in seen)
    assert ledger.held == RangeSet.span(0, len(data)) == ledger.verified
