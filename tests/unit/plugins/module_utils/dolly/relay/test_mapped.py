# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""With a block map: mapped bytes travel and are verified, the others are nobody's business."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import (
    MapMismatch,
    ProtocolError,
    Refused,
)
from ansible_collections.dolly.ring.plugins.module_utils.dolly.plan.blockmap import Checker, parse
from ansible_collections.dolly.ring.plugins.module_utils.dolly.plan.job import Image
from ansible_collections.dolly.ring.plugins.module_utils.dolly.ranges import RangeSet
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay.down.scheduler import Scheduler
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay.image.ledger import Ledger
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay.server import Policy
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay.up.upstream import wanted
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay.work.digester import Digester
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay.work.verifier import Verifier
from ansible_collections.dolly.ring.plugins.module_utils.dolly.run.receiver import result_of as member_result
from ansible_collections.dolly.ring.plugins.module_utils.dolly.run.sender import result_of as root_result
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.source import Source
from ansible_collections.dolly.ring.plugins.module_utils.dolly.wire.messages import Need
from ansible_collections.dolly.ring.tests.unit.plugins.module_utils.dolly.plan.block_maps import (
    BLOCK,
    make_map,
)
from ansible_collections.dolly.ring.tests.unit.plugins.module_utils.dolly.relay.relay_doubles import (
    CHUNK,
    FlippingStore,
    MemoryTarget,
    UsedStore,
    make_image,
)

SMALL = 10
SIZE = 57
SETS = st.lists(st.tuples(st.integers(0, SIZE), st.integers(0, SIZE)).map(sorted).map(tuple), max_size=8)
PER_CHUNK = CHUNK // BLOCK

IMAGE = make_image(6 * CHUNK + 777)
#: Chunk 0 in two parts, 2 in part, 3 whole, 1, 4 and 5 not at all, the last one whole.
RANGES = [(1, 2), (5, 5), (2 * PER_CHUNK + 3, 4 * PER_CHUNK - 1), (6 * PER_CHUNK, 6 * PER_CHUNK)]


def as_set(ranges):
    return {byte for start, end in ranges for byte in range(start, end)}


def digests_of(data, image):
    found = []
    for index in range(image.chunk_count):
        found.append(hashlib.sha256(b"".join(data[a:b] for a, b in image.chunk_parts(index))).digest())
    return b"".join(found)


class TestLedger:
    @settings(deadline=None)
    @given(SETS, SETS)
    def test_what_is_asked_for_names_all_that_is_missing_and_nothing_else(self, mapped, arrived):
        """But it may name bytes that are not mapped, so that it has no more ranges than there are holes in it."""
        mapped = RangeSet(mapped)
        ledger = Ledger(Image(SIZE, SMALL, mapped=mapped), True)
        for start, end in RangeSet(arrived) & mapped:
            ledger.add(start, end)
        missing = as_set(mapped) - as_set(arrived)
        assert as_set(ledger.missing()) == missing
        asked = wanted(ledger, ledger.missing())
        assert as_set(asked & mapped) == missing
        assert all(mapped.overlaps(*one) for one in asked)
        assert len(list(asked)) <= len(list(RangeSet(arrived) & mapped)) + 1
        assert ledger.arrived == len(as_set(mapped) & as_set(arrived))

    @settings(deadline=None)
    @given(SETS, st.lists(st.tuples(st.booleans(), st.integers(0, 5)), max_size=20))
    def test_figures_count_mapped_bytes(self, mapped, steps):
        image = Image(SIZE, SMALL, mapped=RangeSet(mapped))
        ledger = Ledger(image, True)
        verified = set()
        for is_good, index in steps:
            (ledger.accept if is_good else ledger.reject)(index)
            (verified.add if is_good else verified.discard)(index)
        mine = [image.chunk_parts(index) for index in verified]
        assert ledger.confirmed == sum(end - start for parts in mine for start, end in parts)
        assert as_set(ledger.missing()) == as_set(mapped)

    def test_an_empty_chunk_is_verified_by_its_digest(self):
        """Or a node could be done before the server has looked at its source for the last time."""
        image = Image(30, 10, mapped=RangeSet([(0, 4)]))
        ledger = Ledger(image, True)
        ledger.add(0, 4)
        ledger.learn(0, digests_of(bytes(4), image)[:32])
        assert ledger.next_chunk(0.0) == 0
        ledger.accept(0)
        assert not ledger.is_complete
        ledger.learn(1, hashlib.sha256().digest() * 2)
        for index in (1, 2):
            assert ledger.next_chunk(0.0) == index
            ledger.accept(index)
        assert ledger.is_complete and ledger.confirmed == 4

    def test_a_stream_has_no_place_for_what_is_left_out(self):
        ledger = Ledger(Image(30, 10, mapped=RangeSet([(0, 4)])), True)
        ledger.open_window(None)
        with pytest.raises(Refused, match="stream"):
            ledger.open_window(20)

    def test_another_digest_of_an_empty_chunk_is_refused(self):
        ledger = Ledger(Image(30, 10, mapped=RangeSet([(0, 4)])), True)
        with pytest.raises(ProtocolError, match="chunk 2"):
            ledger.learn(1, hashlib.sha256().digest() + bytes(32))
        assert ledger.manifest.known_count == 0


@settings(deadline=None)
@given(SETS, SETS, SETS)
def test_nobody_is_served_what_is_not_mapped(mapped, held, wanted):
    """Whoever asks for it: on a disk that is what was there before."""
    mapped = RangeSet(mapped)
    ledger = Ledger(Image(SIZE, SMALL, mapped=mapped), True)
    for start, end in RangeSet(held) & mapped:
        ledger.add(start, end)
    claims = Scheduler(ledger)
    claims.open_lane(1)
    claims.replace(Need(1, tuple(RangeSet(wanted))))
    served = set()
    while claims._find() is not None:
        piece = claims.claim(1)
        served |= set(range(piece.start, piece.end))
    assert served == as_set(mapped) & as_set(held) & as_set(wanted)


def test_the_verifier_reads_mapped_bytes_alone():
    data = make_image(SIZE)
    image = Image(SIZE, SMALL, mapped=RangeSet([(2, 5), (8, 23), (56, 57)]))
    ledger, store, reads = Ledger(image, True), UsedStore(SIZE), []
    for start, end in image.mapped:
        store._image[start:end] = data[start:end]
        ledger.add(start, end)
    ledger.learn(0, digests_of(data, image))
    read = store.read
    store.read = lambda offset, view: reads.append((offset, offset + len(view))) or read(offset, view)
    Verifier(store, ledger, lambda index: pytest.fail("chunk %d" % index)).run()
    assert as_set(reads) == as_set(image.mapped)
    assert ledger.is_complete


class Bench:
    """A digester over a file."""

    def __init__(self, tmp_path, image, ranges, map_of=None, holes=()):
        path = tmp_path / "image"
        path.write_bytes(image)
        block_map = parse(make_map(map_of or image, ranges or RANGES))
        self.source = Source(str(path))
        self.ledger = Ledger(Image(len(image), CHUNK, mapped=block_map.mapped()), False)
        self.ledger.hold(RangeSet(), RangeSet(holes))
        self.published = {}
        checker = Checker(block_map, str(path), "map")
        self.digester = Digester(self.source, self.ledger, self.published.__setitem__, None, checker)


@pytest.fixture
def digesting(tmp_path):
    made = []

    def make(*arguments, **options):
        made.append(Bench(tmp_path, *arguments, **options))
        return made[-1]

    yield make
    for bench in made:
        bench.source.close()


class TestDigester:
    def test_digests_cover_mapped_bytes_the_sha256_all(self, digesting):
        bench = digesting(IMAGE, RANGES)
        bench.digester.digest_all(True)
        assert b"".join(bench.published.values()) == digests_of(IMAGE, bench.ledger.image)
        assert bench.digester.sha256 == hashlib.sha256(IMAGE).hexdigest()
        assert bench.ledger.is_complete
        bench.digester.doubt([(0, CHUNK + 1), (3 * CHUNK, len(IMAGE))])
        assert bench.ledger.verified == RangeSet.span(2 * CHUNK, 3 * CHUNK)
        bench.digester.recheck()
        assert bench.ledger.verified == RangeSet.span(0, len(IMAGE)) and not bench.digester.has_doubts

    def test_holes_are_compared_too(self, digesting):
        """What the file system says is no reason to believe that the map fits."""
        image = bytes(CHUNK) + IMAGE[CHUNK:]
        holes = [(0, CHUNK)]
        digesting(image, RANGES, holes=holes).digester.digest_all(False)
        bench = digesting(image, RANGES, map_of=IMAGE, holes=holes)
        with pytest.raises(MapMismatch, match="blocks 1 to 2, from byte 4096 on"):
            bench.digester.digest_all(False)

    @pytest.mark.parametrize("place", [BLOCK, 2 * CHUNK + 3 * BLOCK, 4 * CHUNK - 1, len(IMAGE) - 1])
    def test_no_digest_of_the_last_chunk_of_a_bad_range_is_published(self, digesting, place):
        other = bytearray(IMAGE)
        other[place] ^= 1
        bench = digesting(bytes(other), RANGES, map_of=IMAGE)
        with pytest.raises(MapMismatch):
            bench.digester.digest_all(False)
        known = bench.ledger.manifest
        assert known.get(place // CHUNK) is None and not known.is_complete

    def test_bytes_that_are_not_mapped_may_differ(self, digesting):
        other = bytearray(IMAGE)
        other[CHUNK + 5] ^= 1
        digesting(bytes(other), RANGES, map_of=IMAGE).digester.digest_all(False)


@pytest.fixture
def ring(make_ring):
    def make(image=IMAGE, ranges=None, map_of=None, count=3, **options):
        block_map = parse(make_map(map_of or image, ranges or RANGES))
        checker = Checker(block_map, "image", "map")
        policy = Policy(checker=checker, **options.pop("policy", {}))
        return make_ring(image, count, mapped=block_map.mapped(), policy=policy, **options)

    return make


def used(count=3):
    return {rank: MemoryTarget(UsedStore) for rank in range(1, count + 1)}


def check_copy(bench, rank):
    """Mapped bytes are the image's, all others are what they were."""
    expected = bytearray(UsedStore.OLD * len(IMAGE))
    for start, end in bench.plan.image.mapped:
        expected[start:end] = IMAGE[start:end]
    assert bench.content(rank) == bytes(expected)
    assert "commit" in bench.targets[rank].store.events


class TestRing:
    @pytest.mark.parametrize("fanout", [1, 2])
    def test_unmapped_bytes_stay_as_they_were(self, ring, fanout):
        bench = ring(targets=used(), fanout=fanout, policy={"wants_sha256": True}).join()
        assert bench.states == ["done"] * 3
        mapped = bench.plan.image.mapped.total
        for rank in (1, 2, 3):
            check_copy(bench, rank)
            assert bench.targets[rank].store.received == mapped
            result = member_result(bench.members[rank].node)
            assert (result["bytes"], result["verified"]) == (mapped, True)
            assert result["covers"] == "mapped blocks, %d of %d bytes" % (mapped, len(IMAGE))
        result = root_result(bench.root.node)
        assert (result["bytes"], result["covers"]) == (mapped, bench.plan.image.coverage)
        assert result["sha256"] == hashlib.sha256(IMAGE).hexdigest()
        assert result["sent"] == mapped * fanout
        assert [node["verified_bytes"] for node in result["nodes"]] == [mapped] * 3
        assert result["digest"] == bench.members[2].node.word.digest != ""

    def test_a_bad_chunk_is_repaired_by_its_mapped_bytes(self, ring):
        targets = used()
        place = 2 * CHUNK + 5 * BLOCK
        targets[2] = MemoryTarget(lambda size: FlippingStore(size, place))
        bench = ring(targets=targets).join()
        assert bench.states == ["done"] * 3
        assert bench.root.node.nodes()[1]["repaired"] == 1
        check_copy(bench, 1)
        assert bench.content(2)[place] == IMAGE[place]

    def test_a_map_of_nothing(self, ring):
        bench = ring(ranges=[], targets=used()).join()
        assert bench.states == ["done"] * 3
        check_copy(bench, 3)
        assert member_result(bench.members[3].node)["digest"] != ""

    @pytest.mark.parametrize("place", [BLOCK, len(IMAGE) - 1])
    def test_no_node_is_done_with_the_image_of_another_map(self, ring, place):
        other = bytearray(IMAGE)
        other[place] ^= 1
        bench = ring(map_of=bytes(other)).join()
        assert bench.root.node.state == "failed"
        error = bench.root.node.error
        assert isinstance(error, MapMismatch)
        assert error.fields["offset"] == place - place % BLOCK
        assert [bench.state_of(rank) for rank in (1, 2, 3)] == ["failed"] * 3
        assert not any("commit" in target.store.events for target in bench.targets.values() if target.store)

    def test_with_a_checksum_it_is_refused_before_anything_is_touched(self, ring):
        other = bytearray(IMAGE)
        other[BLOCK] ^= 1
        checksum = hashlib.sha256(IMAGE).hexdigest()
        bench = ring(map_of=bytes(other), policy={"checksum": checksum}).join()
        assert isinstance(bench.root.node.error, MapMismatch)
        assert not any("begin" in target.calls for target in bench.targets.values())
