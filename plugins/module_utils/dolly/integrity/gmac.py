# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""GMAC: the tag of AES-256-GCM over associated data alone (NIST SP 800-38D), by the OpenSSL of Python's own hashlib.

Processors have instructions for GMAC: it takes at most a quarter of the time of SHA-256. The standard library
has no GMAC, but `_hashlib` is linked with libcrypto, which has it and can be called through `_hashlib`.

With one nonce for many messages, as here, tags reveal the key. They must not leave the process.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from typing import Any, Tuple

from ..errors import CryptoError, Refused

TAG_LENGTH = 16
KEY_LENGTH = 32
_NONCE = bytes(12)
_GET_TAG = 0x10  # EVP_CTRL_AEAD_GET_TAG of openssl/evp.h
_MOST = 1 << 30  # a length is an int there
#: From NIST's gcmEncryptExtIV256.rsp, the first with 128 bits of associated data and no text: key, nonce, data, tag.
_KNOWN = (
    "78dc4e0aaf52d935c3c01eea57428f00ca1fd475f5da86a49c8dd73d68c8e223",
    "d79cf22d504cc793c3fb6c8a",
    "b96baa8c1c75a671bfb2d08d06be5f36",
    "3e5d486aa2e30b22e040b85723a06e76",
)


class Gmac:
    """The MAC of one message, fed in pieces like a hashlib object, but for one thread and one `digest`.

    Use a key for one purpose and one run. Raises Refused if there is no library, CryptoError if it fails.
    """

    def __init__(self, key: bytes, nonce: bytes = _NONCE) -> None:
        self._context = None
        if len(key) != KEY_LENGTH or len(nonce) != len(_NONCE):
            raise ValueError("a key of %d and a nonce of %d bytes" % (len(key), len(nonce)))
        self._crypto, self._ctypes = _library()
        self._length = self._ctypes.c_int()
        self._context = self._crypto.EVP_CIPHER_CTX_new()
        if not self._context:
            raise CryptoError("EVP_CIPHER_CTX_new")
        self._call("EVP_EncryptInit_ex", self._crypto.EVP_aes_256_gcm(), None, key, nonce)

    def update(self, data: Any) -> None:
        """Add these bytes to the message. The interpreter's lock is released meanwhile."""
        with memoryview(data) as view:
            for start in range(0, len(view), _MOST):
                with view[start : start + _MOST] as piece:
                    place = bytes(piece) if piece.readonly else self._ctypes.c_char.from_buffer(piece)
                    address = place if piece.readonly else self._ctypes.addressof(place)
                    self._call("EVP_EncryptUpdate", None, self._ctypes.byref(self._length), address, len(piece))
                    del place, address  # otherwise the view could not be released

    def digest(self) -> bytes:
        """Return the tag. No call may follow."""
        tag = self._ctypes.create_string_buffer(TAG_LENGTH)
        self._call("EVP_EncryptFinal_ex", tag, self._ctypes.byref(self._length))
        self._call("EVP_CIPHER_CTX_ctrl", _GET_TAG, TAG_LENGTH, tag)
        self._free()
        return bytes(tag.raw)

    def _call(self, name: str, *arguments: Any) -> None:
        if not self._context or getattr(self._crypto, name)(self._context, *arguments) != 1:
            raise CryptoError(name)

    def _free(self) -> None:
        context, self._context = self._context, None
        if context:
            self._crypto.EVP_CIPHER_CTX_free(context)

    def __del__(self) -> None:
        self._free()


@lru_cache(maxsize=1)
def check() -> None:
    """Raise Refused if this Python has no GMAC, or its GMAC fails a known-answer test."""
    key, nonce, data, expected = (bytes.fromhex(text) for text in _KNOWN)
    one = Gmac(key, nonce)
    one.update(data)
    if one.digest() != expected:
        raise _lacking("a wrong result of AES-256-GCM for a known message")


@lru_cache(maxsize=1)
def _library() -> Tuple[Any, Any]:
    """Return libcrypto with typed functions, and ctypes. Loaded on first use, because few runs need it."""
    try:
        import _hashlib
        import ctypes

        # A `_hashlib` built into the interpreter has no file; then libcrypto's functions are in the program
        # itself.
        return _typed(ctypes.CDLL(getattr(_hashlib, "__file__", None)), ctypes), ctypes
    except (ImportError, OSError, AttributeError) as error:
        raise _lacking(str(error)) from error


def _typed(crypto: Any, ctypes: Any) -> Any:
    pointer, number = ctypes.c_void_p, ctypes.c_int
    length = ctypes.POINTER(number)
    for name, result, arguments in (
        ("EVP_CIPHER_CTX_new", pointer, []),
        ("EVP_CIPHER_CTX_free", None, [pointer]),
        ("EVP_aes_256_gcm", pointer, []),
        ("EVP_EncryptInit_ex", number, [pointer, pointer, pointer, ctypes.c_char_p, ctypes.c_char_p]),
        ("EVP_EncryptUpdate", number, [pointer, pointer, length, pointer, number]),
        ("EVP_EncryptFinal_ex", number, [pointer, pointer, length]),
        ("EVP_CIPHER_CTX_ctrl", number, [pointer, number, number, pointer]),
    ):
        function = getattr(crypto, name)
        function.restype, function.argtypes = result, arguments
    return crypto


def _lacking(found: str) -> Refused:
    version = "%d.%d.%d" % sys.version_info[:3]
    what = "verify mac, for the Python %s at %s has no AES-256-GCM that dolly could call" % (version, sys.executable)
    return Refused(what, found, "verify readback, which compares SHA-256")
