# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What strangers say to the handshake, and what it says to our own mistakes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import AuthError, IllegalTransition
from ansible_collections.dolly.ring.plugins.module_utils.dolly.wire.codec import NEED_MORE
from ansible_collections.dolly.ring.plugins.module_utils.dolly.wire.handshake import (
    Established,
    Hello,
    HelloReceived,
    ListenerHandshake,
    Reply,
)
from ansible_collections.dolly.ring.tests.unit.plugins.module_utils.dolly.wire.auth_doubles import (
    DIALER_NONCE,
    LISTENER_NONCE,
    SECRET,
    SPELT_HELLO,
    dial,
    listen,
    shake,
    sign,
    spell,
)

STRANGERS = {
    "http": b"GET / HTTP/1.1\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01",
    "one byte": b"X",
    "old magic": b"DLR0",
    "wrong type": b"DLR1\x02",
    "type 0": b"DLR1\x00",
    "too long": b"DLR1\x01\x0f\xfa",
    "far too long": b"DLR1\x01\xff\xff",
    "no body": b"DLR1\x01\0\0",
    "half a length": b"DLR1\x01\0\x01\0",
    "empty version": spell(1, b""),
    "version 0": spell(1, b"\0\0"),
    "version 2": spell(1, b"\0\2", b"whatever comes then"),
    "long version": spell(1, b"\0\0\1"),
    "version only": spell(1, b"\0\1"),
    "a field less": spell(1, b"\0\1", b"r", b"a", b"b", b"link", b"\0\0"),
    "a field more": spell(1, b"\0\1", b"r", b"a", b"b", b"link", b"\0\0", bytes(32), b""),
    "empty run": spell(1, b"\0\1", b"", b"a", b"b", b"link", b"\0\0", bytes(32)),
    "empty name": spell(1, b"\0\1", b"r", b"", b"b", b"link", b"\0\0", bytes(32)),
    "long name": spell(1, b"\0\1", b"r", b"a" * 513, b"b", b"link", b"\0\0", bytes(32)),
    "newline": spell(1, b"\0\1", b"r\n", b"a", b"b", b"link", b"\0\0", bytes(32)),
    "escape": spell(1, b"\0\1", b"r", b"\x1b[2J", b"b", b"link", b"\0\0", bytes(32)),
    "no utf-8": spell(1, b"\0\1", b"r", b"\xff", b"b", b"link", b"\0\0", bytes(32)),
    "kind": spell(1, b"\0\1", b"r", b"a", b"b", b"Link", b"\0\0", bytes(32)),
    "long lane": spell(1, b"\0\1", b"r", b"a", b"b", b"lane", b"\0\0\0", bytes(32)),
    "lane of a link": spell(1, b"\0\1", b"r", b"a", b"b", b"link", b"\0\1", bytes(32)),
    "lane of a knock": spell(1, b"\0\1", b"r", b"a", b"b", b"adopt", b"\0\1", bytes(32)),
    "short nonce": spell(1, b"\0\1", b"r", b"a", b"b", b"link", b"\0\0", bytes(31)),
    "nonce beyond the end": SPELT_HELLO[:-33] + b"\x21" + DIALER_NONCE,
    "stray byte": SPELT_HELLO[:6] + bytes([SPELT_HELLO[6] + 1]) + SPELT_HELLO[7:] + b"\0",
    "lane of a probe": spell(1, b"\0\1", b"r", b"a", b"b", b"probe", b"\0\1", bytes(32)),
    "field too long": spell(1, b"\0\1")[:-3] + b"\3\0\1",
}


@pytest.mark.parametrize("name", STRANGERS)
def test_a_stranger_is_refused_at_once(name):
    listener = ListenerHandshake(LISTENER_NONCE)
    listener.feed(STRANGERS[name])
    for _unused in range(2):
        with pytest.raises(AuthError):
            listener.next()
    with pytest.raises(IllegalTransition):
        listener.challenge(SECRET, 3)


def test_an_unknown_version_is_named():
    listener = ListenerHandshake(LISTENER_NONCE)
    listener.feed(STRANGERS["version 2"])
    with pytest.raises(AuthError, match="0x0002"):
        listener.next()


def test_the_largest_hello_is_taken():
    hello = Hello("r" * 512, "a" * 512, "b" * 512, "lane", 65535, DIALER_NONCE)
    listener, _challenge = listen(dial(hello).start())
    assert listener.next() is NEED_MORE


def feed_often(side, data):
    for _unused in range(5):
        side.feed(data)


@pytest.mark.parametrize("chunk", [1000, 5000])
def test_more_than_one_message_is_not_kept(chunk):
    listener, dialer = ListenerHandshake(LISTENER_NONCE), dial()
    dialer.start()
    decided = ListenerHandshake(LISTENER_NONCE)
    decided.feed(SPELT_HELLO)
    decided.next()
    for side in (listener, dialer, decided):
        with pytest.raises(AuthError, match="4096"):
            feed_often(side, bytes(chunk))
        side.feed(bytes(chunk))
    for side in (listener, dialer):
        with pytest.raises(AuthError, match="4096"):
            side.next()


@pytest.mark.parametrize("size", [0, 1, 9])
def test_a_malformed_challenge_or_proof_is_refused(size):
    dialer = dial()
    dialer.feed(sign("listener", dialer.start(), 2, LISTENER_NONCE, bytes(size)))
    with pytest.raises(AuthError, match="malformed"):
        dialer.next()
    listener, challenge = listen(SPELT_HELLO)
    listener.feed(sign("dialer", SPELT_HELLO + challenge, 3, bytes(size)))
    with pytest.raises(AuthError, match="malformed"):
        listener.next()


@settings(deadline=None)
@given(st.lists(st.binary(max_size=100), max_size=9), st.integers(0, 4), st.binary(max_size=9), st.booleans())
def test_no_bytes_raise_anything_but_auth_error(parts, kind, tail, framed):
    data = spell(kind, *parts) + tail if framed else b"".join(parts) + tail
    dialer, (waiting, _challenge) = dial(), listen(SPELT_HELLO)
    dialer.start()
    for side in (ListenerHandshake(LISTENER_NONCE), waiting, dialer):
        try:
            side.feed(data)
            assert side.next() is NEED_MORE
        except AuthError:
            pass


@settings(deadline=None)
@given(st.data())
def test_damaged_messages_raise_nothing_but_auth_error(data):
    _dialer, _listener, messages = shake()
    which = data.draw(st.integers(0, 2))
    damaged = bytearray(messages[which])
    at = data.draw(st.integers(0, len(damaged)))
    damaged[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    dialer, (waiting, _challenge) = dial(), listen(SPELT_HELLO)
    dialer.start()
    side = (ListenerHandshake(LISTENER_NONCE), dialer, waiting)[which]
    try:
        side.feed(damaged)
        event = side.next()
    except AuthError:
        return
    whole = (HelloReceived, Reply, Established)[which]
    if isinstance(event, whole) and which:
        assert bytes(damaged).startswith(messages[which])
    else:
        assert event is NEED_MORE or isinstance(event, HelloReceived)


# Our own mistakes


@pytest.mark.parametrize(
    "fields",
    [
        ("", "a", "b", "link", 0, bytes(32)), ("r", "", "b", "link", 0, bytes(32)),
        ("r", "a", "b\n", "link", 0, bytes(32)), ("r", "a", "b" * 513, "link", 0, bytes(32)),
        ("r", "a", "\udc80", "link", 0, bytes(32)), ("r", "a", "b", "data", 0, bytes(32)),
        ("r", "a", "b", "link", 1, bytes(32)), ("r", "a", "b", "lane", -1, bytes(32)),
        ("r", "a", "b", "lane", 65536, bytes(32)), ("r", "a", "b", "link", 0, bytes(31)),
    ],
)  # fmt: skip
def test_a_hello_that_cannot_be_sent_is_a_value_error(fields):
    with pytest.raises(ValueError):
        Hello(*fields)


def test_a_short_secret_or_nonce_is_a_value_error():
    with pytest.raises(ValueError):
        dial(secret=b"s" * 31)
    with pytest.raises(ValueError):
        ListenerHandshake(bytes(31))
    listener = ListenerHandshake(LISTENER_NONCE)
    listener.feed(SPELT_HELLO)
    listener.next()
    with pytest.raises(ValueError):
        listener.challenge(b"", 0)


def test_steps_out_of_turn_are_illegal_transitions():
    dialer, listener = dial(), ListenerHandshake(LISTENER_NONCE)
    steps = [dialer.next, lambda: listener.challenge(SECRET, 0)]
    for step in steps:
        with pytest.raises(IllegalTransition):
            step()
    listener.feed(dialer.start())
    listener.next()
    with pytest.raises(IllegalTransition, match="decision"):
        listener.next()
    dialer.feed(listener.challenge(SECRET, 0))
    reply = dialer.next()
    listener.feed(reply.data)
    listener.next()
    for step in [
        dialer.start, dialer.next, lambda: dialer.feed(b"x"),
        listener.next, lambda: listener.feed(b"x"), lambda: listener.challenge(SECRET, 0),
    ]:  # fmt: skip
        with pytest.raises(IllegalTransition):
            step()
