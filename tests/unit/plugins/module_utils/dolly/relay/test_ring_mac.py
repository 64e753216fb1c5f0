# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rings that verify by MAC: all that a ring with SHA-256 finds they find, and no digest is left of them."""

from __future__ import annotations

import hashlib

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.plan.job import Image
from ansible_collections.dolly.ring.plugins.module_utils.dolly.ranges import RangeSet
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay.image.ledger import Ledger
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay.image.resume import check_claim, claim
from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay.server import Policy
from ansible_collections.dolly.ring.plugins.module_utils.dolly.run.receiver import result_of as member_result
from ansible_collections.dolly.ring.plugins.module_utils.dolly.run.sender import result_of as root_result
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.memory import MemoryStore
from ansible_collections.dolly.ring.tests.unit.plugins.module_utils.dolly.relay.relay_doubles import (
    CHUNK,
    assert_all_done,
    flipping,
    make_context,
    make_image,
)

IMAGE = make_image(3 * CHUNK) + bytes(CHUNK) + make_image(700, seed=2)


@pytest.fixture
def ring(make_ring):
    return lambda image=IMAGE, count=3, **options: make_ring(image, count, verify="mac", **options)


def assert_all_verified(bench):
    assert_all_done(bench)
    assert all(member_result(member.node)["verified"] is True for member in bench.members.values())


@pytest.mark.parametrize("size", [0, 1, CHUNK, CHUNK + 1, 9 * CHUNK])
def test_sizes(ring, size):
    assert_all_verified(ring(make_image(size), 2).join())


def test_results(ring):
    bench = ring(fanout=2, policy=Policy(wants_sha256=True)).join()
    assert_all_verified(bench)
    result = root_result(bench.root.node)
    assert result["digest"] is None and result["sha256"] == hashlib.sha256(IMAGE).hexdigest()
    assert [(entry["verified"], entry["digest"]) for entry in bench.root.node.nodes()] == [(True, "")] * 3
    assert bench.root.node.sent == 2 * (len(IMAGE) - CHUNK)  # zeros go by name


def test_an_expected_checksum(ring):
    assert_all_verified(ring(policy=Policy(checksum=hashlib.sha256(IMAGE).hexdigest())).join())


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_a_flipped_byte_is_repaired(ring, rank):
    bench = ring(targets={rank: flipping(2 * CHUNK + 5)}).join()
    assert_all_verified(bench)
    assert bench.root.node.nodes()[rank - 1]["repaired"] == 1


def test_a_disk_that_lies_for_good(ring):
    bench = ring(targets={2: flipping(2 * CHUNK + 5, 100)}).join()
    assert bench.states == ["done", "failed", "done"]
    assert bench.root.node.nodes()[1]["error"]["kind"] == "BadChunk"


def test_the_digests_are_those_of_the_run(ring):
    """Neither SHA-256 nor anything that another run could use."""
    bench = ring(count=1).join()
    hashing = make_context().hashing(bench.plan)
    one = hashing.new()
    one.update(IMAGE[:CHUNK])
    known = bench.root.node.ledger.manifest
    assert known.get(0) == one.digest() != hashlib.sha256(IMAGE[:CHUNK]).digest()
    assert known.get(3) == hashing.zero(CHUNK)


class TestClaims:
    """What a target held before: digested with the keys of this run."""

    def settled(self, content):
        image = Image(2 * CHUNK, CHUNK)
        hashing = make_context().hashing(RunOf("mac"))
        ledger, store = Ledger(image, True, hashing=hashing), MemoryStore(2 * CHUNK)
        store._image[:] = content
        digests = []
        for data in (IMAGE[:CHUNK], bytes(CHUNK)):
            one = hashing.new()
            one.update(data)
            digests.append(one.digest())
        claim(ledger, RangeSet.span(0, 2 * CHUNK))
        ledger.learn(0, b"".join(digests))
        for _index in range(2):
            check_claim(store, ledger, ledger.next_chunk(0), memoryview(bytearray(100)))
        return ledger

    def test_right_ones(self):
        ledger = self.settled(IMAGE[:CHUNK] + bytes(CHUNK))
        assert ledger.is_complete and ledger.resumed == 2 * CHUNK
        assert list(ledger.zeros) == [(CHUNK, 2 * CHUNK)]

    def test_a_wrong_bit(self):
        wrong = bytearray(IMAGE[:CHUNK] + bytes(CHUNK))
        wrong[5] ^= 1
        assert list(self.settled(wrong).missing()) == [(0, CHUNK)]


class RunOf:
    run_id = "run"

    def __init__(self, verify):
        self.verify = verify
