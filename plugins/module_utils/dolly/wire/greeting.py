# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The three messages of the handshake as bytes; handshake.py explains what they mean.

::

    message    "DLR1"  type u8  length u16  fields, each: length u16, bytes
    HELLO      1       version u16, run id, from, to, kind, lane u16, nonce
    CHALLENGE  2       nonce, epoch u64, MAC
    PROOF      3       epoch u64, MAC

Big-endian; a message is at most 4096 bytes. Each message has exactly one valid encoding; others are refused.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import List, Optional, Sequence, Tuple

from ..errors import AuthError
from .fields import MAX_LANE
from .keys import MAC_LENGTH, with_mac

VERSION = 1
NONCE_LENGTH = 32
MAX_MESSAGE = 4096
MAX_EPOCH = (1 << 64) - 1
KINDS = ("link", "lane", "adopt", "probe")
HELLO, CHALLENGE, PROOF = 1, 2, 3

_MAGIC = b"DLR1"
_HEAD = struct.Struct(">4sBH")
_U16 = struct.Struct(">H")
_U64 = struct.Struct(">Q")
_MAX_NAME = 512
_TYPE_AT = len(_MAGIC)


@dataclass(frozen=True)
class Hello:
    """Which node dials which, and for what kind of connection. ValueError: a field cannot be sent.

    The nonce must be fresh. A listener must not trust any field before the handshake is over.
    """

    run_id: str
    sender: str
    to: str
    kind: str
    lane: int
    nonce: bytes = field(repr=False)

    def __post_init__(self) -> None:
        for name in (self.run_id, self.sender, self.to):
            # Names are logged before the peer is authenticated, so they must not contain control characters.
            if not name.isprintable() or not 0 < len(name.encode("utf-8")) <= _MAX_NAME:
                raise ValueError(f"{name!r:.60} cannot be a name")
        if self.kind not in KINDS:
            raise ValueError(f"{self.kind!r:.60} is no kind of connection")
        if not 0 <= self.lane <= (MAX_LANE if self.kind == "lane" else 0):
            raise ValueError(f"lane {self.lane} of a {self.kind} connection")
        if len(self.nonce) != NONCE_LENGTH:
            raise ValueError(f"a nonce of {len(self.nonce)} bytes")


def checked_nonce(nonce: bytes) -> bytes:
    """Return the nonce; ValueError if its length is not NONCE_LENGTH."""
    if len(nonce) != NONCE_LENGTH:
        raise ValueError(f"a nonce has {NONCE_LENGTH} bytes, not {len(nonce)}")
    return nonce


def size(beginning: bytes, expected: int) -> Optional[int]:
    """Return the size of a message of the expected type from its beginning, or None if it is not known yet.

    AuthError at the first wrong byte: a port scan or a stray HTTP client is rejected at once.
    """
    if not _MAGIC.startswith(beginning[: len(_MAGIC)]):
        raise AuthError("it does not speak this protocol")
    if len(beginning) > _TYPE_AT and beginning[_TYPE_AT] != expected:
        raise AuthError(f"it sent message {beginning[_TYPE_AT]} where {expected} is due")
    if len(beginning) < _HEAD.size:
        return None
    length: int = _HEAD.unpack_from(beginning)[2]
    if _HEAD.size + length > MAX_MESSAGE:
        raise AuthError(f"it announced a message of {_HEAD.size + length} bytes")
    return _HEAD.size + length


def missing(beginning: bytes) -> int:
    """Return how many more bytes, at least 1, certainly belong to the message with this beginning."""
    if len(beginning) < _HEAD.size:
        return _HEAD.size - len(beginning)
    length: int = _HEAD.unpack_from(beginning)[2]
    return max(1, _HEAD.size + length - len(beginning))


def pack_hello(hello: Hello) -> bytes:
    """Return HELLO."""
    names = [name.encode("utf-8") for name in (hello.run_id, hello.sender, hello.to, hello.kind)]
    return _pack(HELLO, [_U16.pack(VERSION), *names, _U16.pack(hello.lane), hello.nonce])


def unpack_hello(message: bytes) -> Hello:
    """Return the Hello in a whole HELLO message, or raise AuthError."""
    parts = _split(message)
    if len(parts[0]) != _U16.size or _U16.unpack(parts[0])[0] != VERSION:
        raise AuthError(f"it speaks version 0x{parts[0][:8].hex()} of the protocol, we speak {VERSION}")
    if len(parts) != 7 or len(parts[5]) != _U16.size:
        raise AuthError("its first message is malformed")
    try:
        run_id, sender, to, kind = (part.decode("utf-8") for part in parts[1:5])
        return Hello(run_id, sender, to, kind, _U16.unpack(parts[5])[0], parts[6])
    except ValueError as error:
        raise AuthError(f"its first message is malformed: {error}") from error


def pack_challenge(nonce: bytes, epoch: int, key: bytes, transcript: bytes) -> bytes:
    """Return CHALLENGE, sealed over the transcript before it."""
    return _pack_sealed(CHALLENGE, [nonce, _U64.pack(epoch)], key, transcript)


def pack_proof(epoch: int, key: bytes, transcript: bytes) -> bytes:
    """Return PROOF, sealed over the transcript before it."""
    return _pack_sealed(PROOF, [_U64.pack(epoch)], key, transcript)


def unpack_challenge_epoch(message: bytes) -> int:
    """Return the epoch in a whole CHALLENGE, or raise AuthError."""
    return _epoch_in(message, (NONCE_LENGTH, _U64.size, MAC_LENGTH))


def unpack_proof_epoch(message: bytes) -> int:
    """Return the epoch in a whole PROOF, or raise AuthError."""
    return _epoch_in(message, (_U64.size, MAC_LENGTH))


def _epoch_in(message: bytes, lengths: Tuple[int, ...]) -> int:
    """Return the epoch, the field before the MAC, of a message whose fields have these lengths."""
    parts = _split(message)
    if tuple(len(part) for part in parts) != lengths:
        raise AuthError("its message is malformed")
    epoch: int = _U64.unpack(parts[-2])[0]
    return epoch


def _pack(kind: int, parts: Sequence[bytes]) -> bytes:
    body = b"".join(_U16.pack(len(part)) + part for part in parts)
    return _HEAD.pack(_MAGIC, kind, len(body)) + body


def _pack_sealed(kind: int, parts: Sequence[bytes], key: bytes, transcript: bytes) -> bytes:
    return with_mac(key, transcript, _pack(kind, [*parts, bytes(MAC_LENGTH)])[:-MAC_LENGTH])


def _split(message: bytes) -> List[bytes]:
    """Return the fields of a whole message, at least one."""
    parts = []
    at = _HEAD.size
    while at + _U16.size <= len(message):
        start = at + _U16.size
        at = start + _U16.unpack_from(message, at)[0]
        parts.append(message[start:at])
    if at != len(message) or not parts:
        raise AuthError("the fields of its message do not fill it")
    return parts
