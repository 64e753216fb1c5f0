# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Digests of chunks, the manifest that collects them, the root over them."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import ProtocolError, Refused
from ansible_collections.dolly.ring.plugins.module_utils.dolly.integrity import gmac
from ansible_collections.dolly.ring.plugins.module_utils.dolly.integrity import manifest as integrity
from ansible_collections.dolly.ring.plugins.module_utils.dolly.plan.job import Image
from ansible_collections.dolly.ring.plugins.module_utils.dolly.ranges import RangeSet
from ansible_collections.dolly.ring.plugins.module_utils.dolly.wire import keys
from ansible_collections.dolly.ring.tests.unit.plugins.module_utils.dolly.integrity import gmac_reference


def digest(index):
    return hashlib.sha256(b"%d" % index).digest()


def run_of(first, end):
    return b"".join(digest(index) for index in range(first, end))


def manifest(size, chunk_size=10, *runs):
    result = integrity.Manifest(Image(size, chunk_size))
    for first, end in runs:
        result.add(first, run_of(first, end))
    return result


@given(st.permutations(range(7)))
def test_complete_in_any_order(order):
    found = manifest(65)
    for count, index in enumerate(order):
        assert not found.is_complete and found.known_count == count
        found.add(index, digest(index))
    assert found.is_complete and not found.missing()
    assert found.root() == hashlib.sha256(run_of(0, 7)).hexdigest()
    assert [found.get(index) for index in range(8)] == [digest(index) for index in range(7)] + [None]


def test_root_of_nothing():
    assert manifest(0).root() == hashlib.sha256(b"").hexdigest()


@pytest.mark.parametrize("found", [manifest(65, 10, (0, 6)), manifest(None, 10, (0, 6)), manifest(None)])
def test_no_root_while_incomplete(found):
    with pytest.raises(ValueError, match="no root digest"):
        found.root()


def test_saying_the_same_twice_is_no_contradiction():
    found = manifest(65, 10, (0, 5), (3, 7))
    assert found.known_count == 7


def test_a_contradiction_changes_nothing():
    found = manifest(65, 10, (2, 4))
    with pytest.raises(ProtocolError, match="chunk 3"):
        found.add(0, run_of(0, 3) + digest(99))
    assert found.known_count == 2 and found.get(0) is None and found.get(3) == digest(3)


@pytest.mark.parametrize("first, digests, what", [
    (0, b"x" * 33, "33 bytes"), (-1, run_of(0, 2), "-1 to 0"), (6, run_of(0, 2), "6 to 7"),
    (2 ** 70, run_of(0, 1), "not all in the image"),
])
def test_broken_manifests_are_the_sender_s_fault(first, digests, what):
    found = manifest(65)
    with pytest.raises(ProtocolError, match=what):
        found.add(first, digests)
    assert found.known_count == 0


def test_an_empty_slice_is_harmless():
    found = manifest(0)
    found.add(0, b"")
    assert found.is_complete


def test_missing_bytes():
    assert list(manifest(65, 10, (1, 3), (5, 6)).missing()) == [(0, 10), (30, 50), (60, 65)]
    assert list(manifest(65, 10, (6, 7)).missing()) == [(0, 60)]
    assert list(manifest(None, 10, (1, 3), (5, 6)).missing()) == [(0, 10), (30, 50)]


def test_size_that_becomes_known_at_the_end():
    found = manifest(None, 10, (0, 3))
    assert not found.is_complete
    with pytest.raises(ProtocolError, match="behind the end"):
        found.end(20)
    found.end(35)
    assert found.image.size == 35 and list(found.missing()) == [(30, 35)]
    found.end(35)
    with pytest.raises(ProtocolError, match="35 and at 36"):
        found.end(36)
    found.add(3, digest(3))
    assert found.is_complete


def test_slices_are_cut_and_carry_their_first_chunk():
    found = manifest(30000, 10, (0, 2500), (2600, 2601))
    slices = list(found.slices())
    assert [(first, len(digests) // 32) for first, digests in slices] == [
        (0, 1024), (1024, 1024), (2048, 452), (2600, 1)]
    assert all(digests == run_of(first, first + len(digests) // 32) for first, digests in slices)


def test_slices_of_wanted_bytes():
    found = manifest(65, 10, (0, 4), (5, 7))
    assert list(found.slices(RangeSet([(9, 11), (39, 51), (64, 65)]))) == [
        (0, run_of(0, 2)), (3, run_of(3, 4)), (5, run_of(5, 7))]
    assert list(found.slices(RangeSet())) == []


def test_a_parent_can_answer_what_a_child_misses():
    parent, child = manifest(650, 10, (0, 65)), manifest(650, 10, (3, 60))
    for first, digests in parent.slices(child.missing()):
        child.add(first, digests)
    assert child.root() == parent.root()


class Source:
    """A source that returns at most ``most`` bytes per read and notes the reads."""

    def __init__(self, data, most):
        self.data, self.most, self.reads = data, most, []

    def read(self, offset, view):
        part = self.data[offset:offset + min(len(view), self.most)]
        view[:len(part)] = part
        self.reads.append((offset, len(view)))
        return len(part)


@given(st.binary(max_size=200), st.integers(1, 64), st.integers(1, 64), st.data())
def test_digest_of_a_region(data, most, buffer_size, draw):
    start = draw.draw(st.integers(0, len(data)))
    end = draw.draw(st.integers(start, len(data)))
    source = Source(data, most)
    found = integrity.digest_regions(source.read, [(start, end)], bytearray(buffer_size))
    assert found == hashlib.sha256(data[start:end]).digest()
    assert all(offset + length <= end for offset, length in source.reads)


def test_digest_reads_piece_by_piece():
    size = 2 * integrity.PIECE + 175712
    source = Source(bytes(size), 10 ** 9)
    buffer = bytearray(2 * integrity.PIECE)
    integrity.digest_regions(source.read, [(0, size)], buffer)
    assert source.reads == [
        (0, integrity.PIECE), (integrity.PIECE, integrity.PIECE), (2 * integrity.PIECE, 175712),
    ]
    buffer.extend(b"the buffer is not exported any more")


def test_a_source_that_ends_early_is_an_error_that_names_the_offset():
    with pytest.raises(EOFError, match="offset 50"):
        integrity.digest_regions(Source(bytes(50), 20).read, [(10, 60)], bytearray(16))


@pytest.mark.parametrize("answer", [-1, 17])
def test_a_read_that_lies_is_an_error(answer):
    with pytest.raises(EOFError, match="offset 0"):
        integrity.digest_regions(lambda offset, view: answer, [(0, 16)], bytearray(16))


@pytest.mark.parametrize("start, end, size", [(0, 5, 0), (5, 4, 8), (-1, 4, 8)])
def test_impossible_regions_are_refused(start, end, size):
    with pytest.raises(ValueError):
        integrity.digest_regions(Source(bytes(50), 20).read, [(start, end)], bytearray(size))


def test_digest_of_several_regions():
    source = Source(bytes(range(50)), 7)
    found = integrity.digest_regions(source.read, [(3, 9), (20, 21), (40, 50)], bytearray(4))
    assert found == hashlib.sha256(source.data[3:9] + source.data[20:21] + source.data[40:]).digest()
    assert integrity.digest_regions(source.read, [], bytearray(4)) == hashlib.sha256().digest()


@pytest.mark.parametrize("length", [0, 1, 4096, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 4 << 20])
def test_zero_digest(length):
    assert integrity.SHA256.zero(length) == hashlib.sha256(bytes(length)).digest()


def test_zero_digest_is_computed_once():
    assert integrity.SHA256.zero(12345) is integrity.SHA256.zero(12345)
    with pytest.raises(ValueError, match="-1"):
        integrity.SHA256.zero(-1)


def test_parse_checksum():
    assert integrity.parse_checksum("sha256:" + "aB" * 32) == "ab" * 32


@pytest.mark.parametrize("text", [
    "", "ab" * 32, "md5:" + "ab" * 16, "sha256:", "sha256:" + "ab" * 31, "sha256:" + "ab" * 32 + "\n",
    "sha256:" + "gg" * 32, "SHA256:" + "ab" * 32,
])
def test_parse_checksum_refuses(text):
    with pytest.raises(ValueError, match="expected sha256:"):
        integrity.parse_checksum(text)


# --- with a key -----------------------------------------------------------------------------------

SECRET = bytes(range(32))


def mac_of(data, secret=SECRET, run_id="run-1"):
    """By the documentation: HMAC over GMAC, with two keys of the run."""
    salt = hashlib.sha256(run_id.encode()).digest()
    first, second = (keys.hkdf(secret, salt, b"dolly chunk " + label) for label in (b"gmac", b"hmac"))
    return hmac.new(second, gmac_reference.gmac(first, bytes(12), data), "sha256").digest()


MAC = integrity.hashing_of("mac", SECRET, "run-1")


@given(st.binary(max_size=200), st.integers(1, 64), st.integers(1, 64))
def test_a_mac_of_regions_read_in_any_pieces(data, most, buffer_size):
    cut = len(data) // 3
    regions = [(0, cut), (cut, cut), (2 * cut, len(data))]
    found = integrity.digest_regions(Source(data, most).read, regions, bytearray(buffer_size), MAC)
    assert found == mac_of(data[:cut] + data[2 * cut:]) and len(found) == integrity.DIGEST_SIZE


@pytest.mark.parametrize("secret, run_id", [(SECRET[1:] + b"x", "run-1"), (SECRET, "run-2")])
def test_another_run_has_other_macs(secret, run_id):
    other = integrity.hashing_of("mac", secret, run_id).new()
    other.update(b"data")
    assert other.digest() == mac_of(b"data", secret, run_id) != mac_of(b"data")


@pytest.mark.parametrize("length", [0, 1, 16, 12345])
def test_macs_of_zeros(length):
    assert MAC.zero(length) == mac_of(bytes(length))
    assert MAC.zero(length) is MAC.zero(length)  # computed once
    assert MAC.zero(length) != integrity.SHA256.zero(length)


def test_only_a_mac_needs_more_than_every_python_has(monkeypatch):
    def check():
        raise Refused("verify mac", "nothing")

    monkeypatch.setattr(gmac, "check", check)
    for verify in ("readback", "none"):
        integrity.hashing_of(verify, SECRET, "run-1").check()
    with pytest.raises(Refused):
        integrity.hashing_of("mac", SECRET, "run-1").check()


def test_a_root_as_results_name_it():
    """One over MACs would be taken for a fingerprint of the image."""
    assert manifest(30, 10, (0, 2)).run_root() == ""
    whole = manifest(30, 10, (0, 3))
    assert whole.told_root(whole.run_root()) == {"digest": whole.root(), "keyed_digest": ""}
    keyed = integrity.Manifest(Image(30, 10), MAC)
    keyed.add(0, run_of(0, 3))
    assert keyed.told_root(keyed.run_root()) == {"digest": "", "keyed_digest": keyed.root()}
