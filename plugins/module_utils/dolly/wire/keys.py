# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deriving all keys of the protocol from the run's secret, with a label for each purpose."""

from __future__ import annotations

import hashlib
import hmac
import struct
from typing import Tuple

from ..errors import AuthError

SECRET_LENGTH = 32
"""The least that is taken as a secret, in bytes."""
MAC_LENGTH = 32


def hkdf(secret: bytes, salt: bytes, info: bytes, length: int = 32) -> bytes:
    """Return a key of length bytes for the purpose info, by RFC 5869 with SHA-256."""
    if not 0 < length <= 255 * 32:
        raise ValueError(f"HKDF gives no {length} bytes")
    key = hmac.digest(salt or bytes(32), secret, "sha256")
    block, output = b"", b""
    for counter in range(1, -(-length // 32) + 1):
        block = hmac.digest(key, block + info + bytes([counter]), "sha256")
        output += block
    return output[:length]


def checked_secret(secret: bytes) -> bytes:
    """Return the secret; ValueError if it is too short."""
    if len(secret) < SECRET_LENGTH:
        raise ValueError(f"a secret has {SECRET_LENGTH} bytes, not {len(secret)}")
    return secret


def mac_key(secret: bytes, run_id: str, role: str) -> bytes:
    """Return the key with which a role, listener or dialer, authenticates itself in a run."""
    salt = hashlib.sha256(run_id.encode("utf-8")).digest()
    return hkdf(secret, salt, b"dolly handshake " + role.encode("ascii"))


def with_mac(key: bytes, transcript: bytes, message: bytes) -> bytes:
    """Return message with a MAC appended, which covers the transcript and the message."""
    return message + hmac.digest(key, transcript + message, "sha256")


def check_mac(key: bytes, transcript: bytes, message: bytes) -> None:
    """Raise AuthError if message does not end with the MAC that with_mac would append."""
    wanted = hmac.digest(key, transcript + message[:-MAC_LENGTH], "sha256")
    if not hmac.compare_digest(wanted, message[-MAC_LENGTH:]):
        raise AuthError("it does not hold the key of this run")


def frame_keys(secret: bytes, transcript: bytes, kind: str, lane: int) -> Tuple[bytes, bytes]:
    """Return the keys for frames from the dialer and from the listener, for one connection."""
    salt = hashlib.sha256(transcript).digest()
    purpose = kind.encode("ascii") + struct.pack(">H", lane)
    from_dialer = hkdf(secret, salt, b"dolly frame from dialer " + purpose)
    return from_dialer, hkdf(secret, salt, b"dolly frame from listener " + purpose)


def chunk_keys(secret: bytes, run_id: str) -> Tuple[bytes, bytes]:
    """Return the keys of the chunks' MACs in a run: for GMAC, and for the HMAC that hides its tag."""
    salt = hashlib.sha256(run_id.encode("utf-8")).digest()
    return hkdf(secret, salt, b"dolly chunk gmac"), hkdf(secret, salt, b"dolly chunk hmac")
