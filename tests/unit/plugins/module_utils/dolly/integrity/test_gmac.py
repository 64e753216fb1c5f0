# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""GMAC by the library is that of the standard, whatever pieces it comes in; and what is refused without it."""

from __future__ import annotations

import sys
import types

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.dolly.ring.plugins.module_utils.dolly.buffers import make_buffer
from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import CryptoError, Refused
from ansible_collections.dolly.ring.plugins.module_utils.dolly.integrity import gmac
from ansible_collections.dolly.ring.tests.unit.plugins.module_utils.dolly.integrity import (
    gmac_reference as reference,
)

KEY = bytes(range(32))
NONCE = bytes(12)
LIBRARY = gmac._library()

#: Key, nonce, data, tag: NIST's gcmEncryptExtIV256.rsp (no text, 128 bits of data), and case 13 of the GCM paper.
VECTORS = [
    (
        "78dc4e0aaf52d935c3c01eea57428f00ca1fd475f5da86a49c8dd73d68c8e223", "d79cf22d504cc793c3fb6c8a",
        "b96baa8c1c75a671bfb2d08d06be5f36", "3e5d486aa2e30b22e040b85723a06e76",
    ),
    ("00" * 32, "00" * 12, "", "530f8afbc74536b9a963b4f1c4cb738b"),
]  # fmt: skip


def tag_of(data, key=KEY, nonce=NONCE):
    one = gmac.Gmac(key, nonce)
    one.update(data)
    return one.digest()


@pytest.fixture
def fresh():
    """What was found out about the library is found out again, before and after."""
    found = (gmac.check, gmac._library)
    for one in found:
        one.cache_clear()
    yield
    for one in found:
        one.cache_clear()


def test_the_reference_encrypts_as_fips_197_does():
    block = bytes.fromhex("00112233445566778899aabbccddeeff")
    assert reference.aes(KEY, block).hex() == "8ea2b7ca516745bfeafc49904b496089"


@pytest.mark.parametrize("vector", VECTORS)
def test_known_tags(vector):
    key, nonce, data, tag = (bytes.fromhex(text) for text in vector)
    assert reference.gmac(key, nonce, data) == tag
    assert tag_of(data, key, nonce) == tag


@given(st.binary(min_size=32, max_size=32), st.lists(st.binary(max_size=70), max_size=6))
def test_any_pieces_give_the_tag_of_the_whole(key, pieces):
    one = gmac.Gmac(key)
    for piece in pieces:
        one.update(piece)
    assert one.digest() == reference.gmac(key, NONCE, b"".join(pieces))


@given(st.binary(min_size=1, max_size=100), st.data())
def test_another_bit_or_another_length_is_another_tag(data, draw):
    bit = draw.draw(st.integers(0, 8 * len(data) - 1))
    flipped = bytearray(data)
    flipped[bit // 8] ^= 1 << bit % 8
    assert len({tag_of(data), tag_of(flipped), tag_of(data + b"\0"), tag_of(data[:-1])}) == 4


def test_another_key_is_another_tag():
    assert tag_of(b"data", bytes(32)) != tag_of(b"data", bytes(31) + b"\1")


def test_memory_that_may_be_written_is_read_in_place_and_let_go():
    buffer = make_buffer(100)
    buffer[:] = bytes(range(100))
    with buffer[3:90] as part:
        assert tag_of(part) == tag_of(bytes(range(3, 90)))
    buffer.release()
    grown = bytearray(5)
    tag_of(grown)
    grown.extend(b"it is not exported any more")


def test_a_length_that_no_int_holds_goes_in_parts(monkeypatch):
    monkeypatch.setattr(gmac, "_MOST", 7)
    assert tag_of(bytearray(range(50))) == reference.gmac(KEY, NONCE, bytes(range(50)))


def test_after_the_tag_nothing_follows():
    one = gmac.Gmac(KEY)
    one.digest()
    for call in (one.digest, lambda: one.update(b"x")):
        with pytest.raises(CryptoError):
            call()


@pytest.mark.parametrize("key, nonce", [(KEY[:31], NONCE), (KEY + b"x", NONCE), (KEY, NONCE[:11])])
def test_keys_of_other_lengths(key, nonce):
    with pytest.raises(ValueError, match="a key of"):
        gmac.Gmac(key, nonce)


class Crypto:
    """The library, but that one function returns something else; it counts what is allocated and freed."""

    def __init__(self, name="", result=None):
        self.name, self.result, self.count = name, result, 0

    def __getattr__(self, name):
        function = getattr(LIBRARY[0], name)

        def call(*arguments):
            self.count += {"EVP_CIPHER_CTX_new": 1, "EVP_CIPHER_CTX_free": -1}.get(name, 0)
            return self.result if name == self.name else function(*arguments)

        return call


def use(monkeypatch, crypto):
    monkeypatch.setattr(gmac, "_library", lambda: (crypto, LIBRARY[1]))


@pytest.mark.parametrize("name, result", [
    ("EVP_CIPHER_CTX_new", None), ("EVP_EncryptInit_ex", 0), ("EVP_EncryptUpdate", 0), ("EVP_EncryptFinal_ex", 0),
    ("EVP_CIPHER_CTX_ctrl", 0), ("EVP_CIPHER_CTX_ctrl", -1),
])  # fmt: skip
def test_each_call_that_fails_is_an_error(monkeypatch, name, result):
    use(monkeypatch, Crypto(name, result))
    with pytest.raises(CryptoError, match=name):
        tag_of(b"data")


def test_each_context_is_freed_once(monkeypatch):
    crypto = Crypto()
    use(monkeypatch, crypto)
    tag_of(b"data")
    gmac.Gmac(KEY).update(b"given up")
    assert crypto.count == 0


def test_it_can_be_had_here(fresh):
    gmac.check()


@pytest.mark.parametrize("module", ["_hashlib", "ctypes"])
def test_a_python_without_the_library_is_refused(fresh, monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(Refused, match=r"%s.*%s.*What would allow it: verify readback" % (sys.executable, module)):
        gmac.check()


def test_a_library_without_the_functions_is_refused(fresh, monkeypatch):
    monkeypatch.setitem(sys.modules, "_hashlib", types.SimpleNamespace(__file__="/nonexistent/_hashlib.so"))
    with pytest.raises(Refused, match=r"/nonexistent/_hashlib\.so"):
        gmac.check()


def test_a_library_with_other_results_is_refused(fresh, monkeypatch):
    monkeypatch.setattr(gmac, "_KNOWN", (*gmac._KNOWN[:3], "00" * 16))
    with pytest.raises(Refused, match="wrong result"):
        gmac.check()
