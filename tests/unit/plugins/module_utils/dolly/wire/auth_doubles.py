# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two who shake hands, and their messages written from the documentation."""

from __future__ import annotations

import hashlib
import hmac
import struct

from ansible_collections.dolly.ring.plugins.module_utils.dolly.wire.handshake import (
    DialerHandshake,
    Established,
    Hello,
    HelloReceived,
    ListenerHandshake,
    Reply,
)
from ansible_collections.dolly.ring.plugins.module_utils.dolly.wire.keys import hkdf

SECRET = b"s" * 32
WRONG = b"w" * 32
DIALER_NONCE = bytes(range(32))
LISTENER_NONCE = bytes(range(32, 64))
HELLO = Hello("run-1", "rack3-n1", "rack3-n2", "link", 0, DIALER_NONCE)
LANE = Hello("run-1", "rack3-n1", "rack3-n2", "lane", 2, DIALER_NONCE)
ADOPT = Hello("run-1", "rack3-n9", "rack3-n2", "adopt", 0, DIALER_NONCE)
PROBE = Hello("run-1", "rack3-n9", "rack3-n2", "probe", 0, DIALER_NONCE)


def above(current: int) -> int:
    return current + 1


def same(current: int) -> int:
    return current


def dial(hello=HELLO, secret=SECRET, choose=above):
    return DialerHandshake(secret, hello, choose)


def listen(hello_bytes, secret=SECRET, epoch=3, nonce=LISTENER_NONCE):
    """A listener that got HELLO, and its CHALLENGE."""
    listener = ListenerHandshake(nonce)
    listener.feed(hello_bytes)
    event = listener.next()
    assert isinstance(event, HelloReceived)
    return listener, listener.challenge(secret, epoch)


def shake(hello=HELLO, epoch=3, choose=above, nonce=LISTENER_NONCE):
    """A whole handshake: both ends, and the three messages."""
    dialer = dial(hello, choose=choose)
    first = dialer.start()
    listener, second = listen(first, epoch=epoch, nonce=nonce)
    dialer.feed(second)
    reply = dialer.next()
    assert isinstance(reply, Reply)
    listener.feed(reply.data)
    event = listener.next()
    assert isinstance(event, Established)
    return reply.established, event, (first, second, reply.data)


# By the documentation, not with the code under test.


def spell(kind: int, *parts: bytes) -> bytes:
    body = b"".join(struct.pack(">H", len(part)) + part for part in parts)
    return b"DLR1" + struct.pack(">BH", kind, len(body)) + body


def sha(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def mac(key: bytes, data: bytes) -> bytes:
    return hmac.new(key, data, hashlib.sha256).digest()


def sign(role: str, before: bytes, kind: int, *parts: bytes, secret: bytes = SECRET) -> bytes:
    unsigned = spell(kind, *parts, bytes(32))[:-32]
    return unsigned + mac(hkdf(secret, sha(b"run-1"), b"dolly handshake " + role.encode()), before + unsigned)


def u64(number: int) -> bytes:
    return struct.pack(">Q", number)


SPELT_HELLO = spell(
    1, b"\0\1", b"run-1", b"rack3-n1", b"rack3-n2", b"link", b"\0\0", DIALER_NONCE
)  # fmt: skip
