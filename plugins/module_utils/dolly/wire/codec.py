# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames: sealing pieces and messages for one direction of one connection, and opening them again.

::

     0     1      2         4       8        16        24      40
     +-----+------+---------+-------+--------+---------+-------+------------
     |kind |flags |reserved |length |offset  |sequence |MAC    | payload ...
     |u8   |u8    |u16      |u32    |u64     |u64      |16     |
     +-----+------+---------+-------+--------+---------+-------+------------

Big-endian. flags: bit 0 is MORE, the rest is 0; reserved is 0. The sequence counts the frames of one
direction of one connection from 0. The MAC is HMAC-SHA256, cut to 16 bytes, over the 24 bytes before it and,
for a message, over the payload.

A lane carries only DATA and ZERO: length raw bytes follow a DATA header outside the MAC (the digests in
Manifest cover them), no bytes follow a ZERO header. A link carries only messages: offset is 0, a frame is at
most 64 KiB, and a longer message is split into full frames with MORE and a last frame without.
"""

from __future__ import annotations

import enum
import hmac
import struct
from typing import Final, NamedTuple, Optional, Tuple, Union

from ..errors import ProtocolError
from .messages import CAPS, DATA, MAX_DATA, MAX_ZERO, ZERO

HEADER = struct.Struct(">BBHIQQ16s")
HEADER_LENGTH = HEADER.size
MAX_PAYLOAD = 65536 - HEADER_LENGTH
"""Most bytes of a message in one frame."""
KEY_LENGTH = 32
MORE = 1

_COVERED = struct.Struct(">BBHIQQ")
_MAC_LENGTH = 16
_END_OF_OFFSETS = 1 << 63
_NO_KIND = 0

Bytes = Union[bytes, bytearray, memoryview]


class NeedMore(enum.Enum):
    """The type of NEED_MORE; an enum, so that type checkers see what `is NEED_MORE` leaves."""

    NEED_MORE = "NEED_MORE"

    def __repr__(self) -> str:
        return "NEED_MORE"


NEED_MORE: Final = NeedMore.NEED_MORE
"""The third answer of a decoder, beside an event and an error: feed me."""


class PieceHeader(NamedTuple):
    """What a frame on a lane announces; offset and length in bytes."""

    kind: int
    offset: int
    length: int


def _mac(key: bytes, covered: bytes) -> bytes:
    return hmac.digest(key, covered, "sha256")[:_MAC_LENGTH]


def _checked_key(key: bytes) -> bytes:
    if len(key) != KEY_LENGTH:
        raise ValueError(f"a frame key has {KEY_LENGTH} bytes, not {len(key)}")
    return bytes(key)


def _longest(kind: int) -> int:
    if kind == DATA:
        return MAX_DATA
    return MAX_ZERO if kind == ZERO else 0


class Sealer:
    """Seals the frames of one direction of one connection. Not thread-safe.

    ValueError: the caller asked for a frame that the peer would have to refuse; the sequence is unchanged.
    """

    def __init__(self, key: bytes) -> None:
        self._key = _checked_key(key)
        self._sequence = 0

    def data(self, kind: int, offset: int, length: int) -> bytes:
        """Return the header of a DATA or ZERO piece; the raw bytes of DATA follow it on the lane."""
        if not 0 < length <= _longest(kind):
            raise ValueError(f"no piece of kind {kind} has {length} bytes")
        if not 0 <= offset < _END_OF_OFFSETS - length:
            raise ValueError(f"no piece of {length} bytes lies at {offset}")
        covered = _COVERED.pack(kind, 0, 0, length, offset, self._sequence)
        self._sequence += 1
        return covered + _mac(self._key, covered)

    def control(self, kind: int, payload: bytes) -> bytes:
        """Return a message as one or more whole frames."""
        cap = CAPS.get(kind)
        if cap is None or len(payload) > cap:
            raise ValueError(f"no message of kind {kind} has {len(payload)} bytes")
        frames = []
        last = max(len(payload) - 1, 0) // MAX_PAYLOAD * MAX_PAYLOAD
        for start in range(0, last + 1, MAX_PAYLOAD):
            part = payload[start : start + MAX_PAYLOAD]
            covered = _COVERED.pack(kind, MORE if start < last else 0, 0, len(part), 0, self._sequence)
            self._sequence += 1
            frames += [covered, _mac(self._key, covered + part), part]
        return b"".join(frames)


class LaneOpener:
    """Opens the headers that arrive on a lane. A lane that failed once stays failed."""

    def __init__(self, key: bytes, peer: str) -> None:
        self._key = _checked_key(key)
        self._peer = peer
        self._sequence = 0
        self._failure: Optional[ProtocolError] = None

    def open(self, header: Bytes) -> PieceHeader:
        """Return the piece that a header of exactly HEADER_LENGTH bytes announces, or raise ProtocolError."""
        if self._failure is not None:
            raise self._failure
        kind, flags, reserved, length, offset, sequence, mac = HEADER.unpack(_whole(header))
        if not hmac.compare_digest(mac, _mac(self._key, bytes(header[: _COVERED.size]))):
            raise self._fail("sent a piece whose MAC is wrong")
        if sequence != self._sequence:
            raise self._fail(f"sent piece {sequence} in place of {self._sequence}")
        if flags or reserved:
            raise self._fail(f"sent a piece with flags {flags} and reserved {reserved}")
        if not 0 < length <= _longest(kind):
            raise self._fail(f"sent a piece of kind {kind} and {length} bytes")
        if offset + length >= _END_OF_OFFSETS:
            raise self._fail(f"sent a piece of {length} bytes at {offset}")
        self._sequence += 1
        return PieceHeader(kind, offset, length)

    def _fail(self, what: str) -> ProtocolError:
        self._failure = ProtocolError(self._peer, what)
        return self._failure


def _whole(header: Bytes) -> Bytes:
    if len(header) != HEADER_LENGTH:
        raise ValueError(f"a header has {HEADER_LENGTH} bytes, not {len(header)}")
    return header


class ControlOpener:
    """Reassembles the messages of a link. A link that failed once stays failed.

    Before the MAC is checked, a length is trusted up to MAX_PAYLOAD. A message in several frames grows only
    by frames whose MAC was right, up to the cap of its kind.
    """

    def __init__(self, key: bytes, peer: str) -> None:
        self._key = _checked_key(key)
        self._peer = peer
        self._sequence = 0
        self._buffer = bytearray()
        self._kind = _NO_KIND
        self._message = bytearray()
        self._failure: Optional[ProtocolError] = None

    def feed(self, data: Bytes) -> None:
        """Buffer any number of bytes from the connection; next() decodes them."""
        if self._failure is None:
            self._buffer += data

    def next(self) -> Union[Tuple[int, bytes], NeedMore]:
        """Return the kind and the payload of the next whole message, NEED_MORE, or raise ProtocolError."""
        if self._failure is not None:
            raise self._failure
        try:
            while True:
                more = self._next_frame()
                if more is None:
                    return NEED_MORE
                if not more:
                    return self._finish()
        except ProtocolError as error:
            self._failure = error
            self._buffer.clear()
            self._message.clear()
            raise

    def _next_frame(self) -> Optional[bool]:
        """Move one frame from the buffer to the message; return its MORE, or None if it is incomplete."""
        if len(self._buffer) < HEADER_LENGTH:
            return None
        kind, flags, reserved, length, offset, sequence, mac = HEADER.unpack_from(self._buffer)
        self._check_kind(kind)
        self._check_shape(flags, reserved, length, offset)
        if len(self._message) + length > CAPS[kind]:
            raise ProtocolError(self._peer, f"sent a message of kind {kind} that is too long")
        end = HEADER_LENGTH + length
        if len(self._buffer) < end:
            return None
        payload = bytes(self._buffer[HEADER_LENGTH:end])
        if not hmac.compare_digest(mac, _mac(self._key, bytes(self._buffer[: _COVERED.size]) + payload)):
            raise ProtocolError(self._peer, "sent a frame whose MAC is wrong")
        if sequence != self._sequence:
            raise ProtocolError(self._peer, f"sent frame {sequence} in place of {self._sequence}")
        del self._buffer[:end]
        self._sequence += 1
        self._kind = kind
        self._message += payload
        return bool(flags & MORE)

    def _check_kind(self, kind: int) -> None:
        if kind in (DATA, ZERO):
            raise ProtocolError(self._peer, "sent a piece on a link, not on a lane")
        if kind not in CAPS:
            raise ProtocolError(self._peer, f"sent a frame of unknown kind {kind}")
        if self._kind not in (_NO_KIND, kind):
            raise ProtocolError(self._peer, f"sent kind {kind} amid a message of kind {self._kind}")

    def _check_shape(self, flags: int, reserved: int, length: int, offset: int) -> None:
        if flags & ~MORE or reserved or offset:
            raise ProtocolError(self._peer, f"sent flags {flags}, reserved {reserved}, offset {offset}")
        if length > MAX_PAYLOAD:
            raise ProtocolError(self._peer, f"sent a frame of {length} bytes")
        # There is only one valid way to split a message: otherwise a peer could keep us busy with empty
        # frames.
        if flags & MORE and length != MAX_PAYLOAD:
            raise ProtocolError(self._peer, f"sent a continued frame of only {length} bytes")
        if self._kind != _NO_KIND and not length:
            raise ProtocolError(self._peer, "continued a message with an empty frame")

    def _finish(self) -> Tuple[int, bytes]:
        kind, payload = self._kind, bytes(self._message)
        self._kind = _NO_KIND
        self._message = bytearray()
        return kind, payload
