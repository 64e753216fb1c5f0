# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The messages between the two ends of a link, and the encoding of each message as bytes.

A payload is one compact JSON object whose keys are exactly the message's fields::

    Need       {"serial":7,"wanted":[[0,4096]],"repair":[],"received":{"0":12},"safe":0,"below":0}
    Manifest   u32 first chunk, then 32 bytes per chunk: no JSON, digests are most of what a link carries

Decoding is strict, because it is the only check between a peer and a node's decisions: unknown, missing and
duplicate keys, booleans as numbers, NaN, numbers beyond 64 bits, ranges out of order and deep nesting are
refused. An encoded message is decoded by the same rules before it is sent, so our own errors fail locally.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any, ClassVar, Dict, Optional, Tuple, Type, Union

from ..errors import ProtocolError
from . import fields as rules
from .fields import Check, Fields, Range

DATA = 1
ZERO = 2

MAX_DATA = 8 << 20
MAX_ZERO = 1 << 30

#: Most ranges that one NEED lists as wanted, and as repairs; further ranges are requested later. Decoding a
#: full NEED takes a parent some 20 ms, during which its reactor is blocked.
MAX_RANGES = 2048

DIGEST_LENGTH = 32
MAX_DIGESTS = 2046
"""As many digests as fit one frame beside the number of the first chunk."""


@dataclass(frozen=True)
class Setup:
    """Down, first: the image, the ring and the options. `is_late`: after Start; a new node becomes a leaf.

    `known`: the newest snapshot of the child in the ring; the child's own snapshots must supersede it.
    """

    KIND: ClassVar[int] = 10
    plan: Fields
    is_late: bool = False
    known: Optional[Fields] = None


@dataclass(frozen=True)
class Start:
    """Down, once: start, with the ranks that take part, ascending; or abort, with the reason."""

    KIND: ClassVar[int] = 11
    members: Tuple[int, ...]
    abort: Optional[Fields] = None


@dataclass(frozen=True)
class Need:
    """Up: the first ranges wanted on this link, replacing the previous Need; pieces received by lane.

    The child will never want a byte below `safe`, and its children none below `below`: a parent with a window
    may discard these bytes.
    """

    KIND: ClassVar[int] = 12
    serial: int
    wanted: Tuple[Range, ...]
    repair: Tuple[Range, ...] = ()
    received: Dict[int, int] = field(default_factory=dict)
    safe: int = 0
    below: int = 0


@dataclass(frozen=True)
class Gone:
    """Down: the sender no longer has the bytes from start up to end."""

    KIND: ClassVar[int] = 13
    start: int
    end: int


@dataclass(frozen=True)
class Manifest:
    """Down: the SHA-256 digests of consecutive chunks, 1 to MAX_DIGESTS of them."""

    KIND: ClassVar[int] = 14
    first: int
    digests: bytes


@dataclass(frozen=True)
class End:
    """Down: the final size in bytes, where it was unknown."""

    KIND: ClassVar[int] = 15
    size: int


@dataclass(frozen=True)
class Status:
    """Up: the changed snapshots of nodes in the subtree."""

    KIND: ClassVar[int] = 16
    snapshots: Tuple[Fields, ...]


@dataclass(frozen=True)
class Ping:
    """Both ways: sent when nothing else was sent for a while."""

    KIND: ClassVar[int] = 17


@dataclass(frozen=True)
class Pong:
    """Both ways: the answer to a Ping."""

    KIND: ClassVar[int] = 18


@dataclass(frozen=True)
class Bye:
    """Both ways: the last message of a direction, with the reason."""

    KIND: ClassVar[int] = 19
    reason: str
    error: Optional[Fields] = None


@dataclass(frozen=True)
class Demotion:
    """Down: the receiver is a leaf from now on, and the sender adopts its children."""

    KIND: ClassVar[int] = 20


Message = Union[Setup, Start, Need, Gone, Manifest, End, Status, Ping, Pong, Bye, Demotion]

CAPS: Dict[int, int] = {
    Setup.KIND: 16 << 20,
    Start.KIND: 1 << 20,
    Need.KIND: 512 << 10,
    Gone.KIND: 64 << 10,
    Manifest.KIND: 4 + MAX_DIGESTS * DIGEST_LENGTH,
    End.KIND: 64 << 10,
    Status.KIND: 16 << 20,
    Ping.KIND: 64 << 10,
    Pong.KIND: 64 << 10,
    Bye.KIND: 64 << 10,
    Demotion.KIND: 64 << 10,
}
"""Largest whole payload in bytes by kind of message, over all its frames."""


def encode(message: Message) -> Tuple[int, bytes]:
    """Return the kind and the payload of a message; ValueError if the peer would have to refuse it."""
    payload = _write_manifest(message) if isinstance(message, Manifest) else rules.write_json(vars(message))
    _read(message.KIND, payload)
    return message.KIND, payload


def decode(kind: int, payload: bytes, peer: str) -> Message:
    """Return the message in a payload that peer sent; ProtocolError, and no other error, if it is invalid."""
    try:
        return _read(kind, payload)
    except ValueError as error:
        raise ProtocolError(peer, f"sent a bad message of kind {kind}: {error}") from error


def _read(kind: int, payload: bytes) -> Message:
    cap = CAPS.get(kind)
    if cap is None:
        raise ValueError("no such kind")
    if len(payload) > cap:
        raise ValueError(f"{len(payload)} bytes are more than the {cap} allowed")
    if kind == Manifest.KIND:
        return _read_manifest(payload)
    make, checks = _SHAPES[kind]
    fields = rules.read_json(payload)
    if fields.keys() != checks.keys():
        raise ValueError(f"has fields {sorted(fields)[:20]!r:.200}, not {sorted(checks)}")
    message: Message = make(**{name: check(name, fields[name]) for name, check in checks.items()})
    if isinstance(message, Gone) and message.start >= message.end:
        raise ValueError("the range is empty")
    return message


def _write_manifest(message: Manifest) -> bytes:
    if not 0 <= message.first < 1 << 32:
        raise ValueError(f"chunk {message.first} is not a u32")
    return struct.pack(">I", message.first) + message.digests


def _read_manifest(payload: bytes) -> Manifest:
    count, rest = divmod(len(payload) - 4, DIGEST_LENGTH)
    if count < 1 or rest:
        raise ValueError(f"{len(payload)} bytes are no number and whole digests")
    first: int = struct.unpack_from(">I", payload)[0]
    if first + count > 1 << 32:
        raise ValueError("chunk numbers leave u32")
    return Manifest(first, bytes(payload[4:]))


_SHAPES: Dict[int, Tuple[Type[Any], Dict[str, Check]]] = {
    Setup.KIND: (Setup, {"plan": rules.json_object, "is_late": rules.flag, "known": rules.object_or_none}),
    Start.KIND: (Start, {"members": rules.members, "abort": rules.object_or_none}),
    Need.KIND: (
        Need,
        {
            "serial": rules.integer,
            "wanted": rules.ranges(MAX_RANGES),
            "repair": rules.ranges(MAX_RANGES),
            "received": rules.lanes,
            "safe": rules.integer,
            "below": rules.integer,
        },
    ),
    Gone.KIND: (Gone, {"start": rules.integer, "end": rules.integer}),
    End.KIND: (End, {"size": rules.integer}),
    Status.KIND: (Status, {"snapshots": rules.objects}),
    Ping.KIND: (Ping, {}),
    Pong.KIND: (Pong, {}),
    Bye.KIND: (Bye, {"reason": rules.text, "error": rules.object_or_none}),
    Demotion.KIND: (Demotion, {}),
}
