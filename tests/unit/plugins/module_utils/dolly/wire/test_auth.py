# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The handshake: two who hold the secret meet, and nobody else gets in."""

from __future__ import annotations

import hashlib
import hmac
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import (
    AuthError,
    IllegalTransition,
    ProtocolError,
)
from ansible_collections.dolly.ring.plugins.module_utils.dolly.wire.auth import (
    DialerHandshake,
    Established,
    Hello,
    HelloReceived,
    ListenerHandshake,
    Reply,
)
from ansible_collections.dolly.ring.plugins.module_utils.dolly.wire.codec import (
    NEED_MORE,
    ControlOpener,
    LaneOpener,
    Sealer,
)
from ansible_collections.dolly.ring.plugins.module_utils.dolly.wire.keys import hkdf
from ansible_collections.dolly.ring.plugins.module_utils.dolly.wire.messages import DATA

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


# RFC 5869, appendix A, cases 1 to 3


RFC_5869 = [
    (
        b"\x0b" * 22, bytes(range(13)), bytes(range(0xF0, 0xFA)), 42,
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
    ),
    (
        bytes(range(0x50)), bytes(range(0x60, 0xB0)), bytes(range(0xB0, 0x100)), 82,
        (
            "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c"
            "59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87"
        ),
    ),
    (
        b"\x0b" * 22, b"", b"", 42,
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("secret", "salt", "info", "length", "output"), RFC_5869)
def test_hkdf_gives_the_vectors_of_rfc_5869(secret, salt, info, length, output):
    assert hkdf(secret, salt, info, length).hex() == output
    assert hkdf(secret, salt, info).hex() == output[:64]


@pytest.mark.parametrize("length", [0, -1, 255 * 32 + 1])
def test_hkdf_gives_no_other_length(length):
    with pytest.raises(ValueError):
        hkdf(b"s", b"", b"", length)


# Both hold the secret


@pytest.mark.parametrize(
    ("hello", "epoch", "choose", "agreed"),
    [
        (HELLO, 0, above, 1),
        (HELLO, 3, above, 4),
        (HELLO, 3, lambda current: (1 << 64) - 1, (1 << 64) - 1),
        (LANE, 3, same, 3),
        (ADOPT, 3, lambda current: 0, 0),
        (ADOPT, 0, same, 0),
        (PROBE, 3, lambda current: 0, 0),
    ],
)
def test_both_agree(hello, epoch, choose, agreed):
    dialer, listener, _messages = shake(hello, epoch, choose)
    assert dialer.hello == listener.hello == hello
    assert dialer.epoch == listener.epoch == agreed
    assert dialer.send_key == listener.receive_key
    assert dialer.receive_key == listener.send_key
    assert dialer.send_key != dialer.receive_key
    assert len(dialer.send_key) == len(dialer.receive_key) == 32
    assert dialer.leftover == listener.leftover == b""


def test_the_messages_and_keys_are_the_documented_ones():
    dialer, _listener, (first, second, third) = shake()
    assert first == SPELT_HELLO
    assert second == sign("listener", first, 2, LISTENER_NONCE, u64(3))
    assert third == sign("dialer", first + second, 3, u64(4))
    salt = sha(first + second + third)
    assert dialer.send_key == hkdf(SECRET, salt, b"dolly frame from dialer link\0\0")
    assert dialer.receive_key == hkdf(SECRET, salt, b"dolly frame from listener link\0\0")


CUTTINGS = {
    "whole": lambda data: [data],
    "byte by byte": lambda data: [data[at : at + 1] for at in range(len(data))],
    "halves": lambda data: [data[: len(data) // 2], data[len(data) // 2 :]],
}


def feed_all(side, data, cutting):
    """Feed in pieces, expect NEED_MORE before the last one; the event after it."""
    pieces = CUTTINGS[cutting](data)
    for piece in pieces[:-1]:
        side.feed(piece)
        assert side.next() is NEED_MORE
    side.feed(pieces[-1])
    return side.next()


@pytest.mark.parametrize("cutting", CUTTINGS)
@pytest.mark.parametrize("trailing", [b"", b"\0", b"frames" * 20000])
def test_the_dialogue_in_any_pieces(cutting, trailing):
    dialer, listener = dial(), ListenerHandshake(LISTENER_NONCE)
    assert dialer.start() == SPELT_HELLO
    assert dialer.next() is NEED_MORE
    assert listener.next() is NEED_MORE
    assert feed_all(listener, SPELT_HELLO, cutting) == HelloReceived(HELLO)
    challenge = listener.challenge(SECRET, 3)
    assert listener.next() is NEED_MORE
    reply = feed_all(dialer, challenge, cutting)
    assert isinstance(reply, Reply)
    pieces = CUTTINGS[cutting](reply.data)
    for piece in pieces[:-1]:
        listener.feed(piece)
        assert listener.next() is NEED_MORE
    listener.feed(pieces[-1] + trailing)
    established = listener.next()
    assert established == Established(
        HELLO, 4, reply.established.receive_key, reply.established.send_key, trailing
    )


def test_missing_leads_exactly_to_the_end_of_each_message():
    dialer, listener = dial(), ListenerHandshake(LISTENER_NONCE)
    reads = []

    def read(side, stream):
        event = side.next()
        while event is NEED_MORE:
            reads.append(side.missing)
            side.feed(stream[: side.missing])
            stream = stream[reads[-1] :]
            event = side.next()
        return event, stream

    event, rest = read(listener, dialer.start())
    assert (event, rest) == (HelloReceived(HELLO), b"")
    reply, rest = read(dialer, listener.challenge(SECRET, 3))
    assert rest == b""
    event, rest = read(listener, reply.data + b"frames")
    assert (event.leftover, rest) == (b"", b"frames")
    assert len(reads) == 6


@pytest.mark.parametrize(
    "beginning", [b"", b"DLR1\x01\0", b"DLR1\x01\0\0", b"DLR1\x01\xff\xff", b"DLR1\x01\0\0more"]
)
def test_missing_is_at_least_one_byte(beginning):
    listener = ListenerHandshake(LISTENER_NONCE)
    listener.feed(beginning)
    assert listener.missing >= 1


def test_the_listener_refuses_bytes_behind_hello():
    listener = ListenerHandshake(LISTENER_NONCE)
    listener.feed(SPELT_HELLO + b"\0")
    with pytest.raises(AuthError):
        listener.next()


def test_the_dialer_refuses_bytes_behind_challenge():
    dialer = dial()
    _listener, challenge = listen(dialer.start())
    dialer.feed(challenge + b"\0")
    with pytest.raises(AuthError):
        dialer.next()


def test_keys_do_not_show_in_a_log_line():
    dialer, _listener, (_first, _second, _proof) = shake()
    shown = repr(dialer) + repr(HELLO)
    for key in (dialer.send_key, dialer.receive_key, DIALER_NONCE):
        assert repr(key)[2:-1] not in shown
    assert "rack3-n2" in shown


# Somebody does not hold it


def test_the_dialer_refuses_a_listener_without_the_secret_and_sends_no_proof():
    dialer = dial()
    _listener, challenge = listen(dialer.start(), secret=WRONG)
    dialer.feed(challenge)
    with pytest.raises(AuthError):
        dialer.next()


def test_a_fake_listener_learns_nothing_from_the_choice_of_an_epoch():
    asked = []
    dialer = dial(choose=asked.append)
    _listener, challenge = listen(dialer.start(), secret=WRONG)
    dialer.feed(challenge)
    with pytest.raises(AuthError):
        dialer.next()
    assert asked == []


def test_the_listener_refuses_a_dialer_without_the_secret():
    listener, challenge = listen(SPELT_HELLO)
    listener.feed(sign("dialer", SPELT_HELLO + challenge, 3, u64(4), secret=WRONG))
    with pytest.raises(AuthError):
        listener.next()


def test_another_run_with_the_same_secret_is_refused():
    other = Hello("run-2", "rack3-n1", "rack3-n2", "link", 0, DIALER_NONCE)
    dialer = dial(other)
    dialer.start()
    _listener, challenge = listen(SPELT_HELLO)
    dialer.feed(challenge)
    with pytest.raises(AuthError):
        dialer.next()


def test_hello_reflected_as_challenge_is_refused():
    dialer = dial()
    dialer.feed(dialer.start())
    with pytest.raises(AuthError):
        dialer.next()


def test_challenge_reflected_as_proof_is_refused():
    listener, challenge = listen(SPELT_HELLO)
    listener.feed(challenge)
    with pytest.raises(AuthError):
        listener.next()


def test_a_listeners_mac_does_not_serve_as_a_dialers():
    listener, challenge = listen(SPELT_HELLO)
    listener.feed(sign("listener", SPELT_HELLO + challenge, 3, u64(4)))
    with pytest.raises(AuthError):
        listener.next()


def test_a_dialers_mac_does_not_serve_as_a_listeners():
    dialer = dial()
    dialer.feed(sign("dialer", dialer.start(), 2, LISTENER_NONCE, u64(3)))
    with pytest.raises(AuthError):
        dialer.next()


def test_a_challenge_for_another_hello_is_refused():
    _listener, challenge = listen(SPELT_HELLO)
    dialer = dial(Hello("run-1", "rack3-n1", "rack3-n2", "link", 0, LISTENER_NONCE))
    dialer.start()
    dialer.feed(challenge)
    with pytest.raises(AuthError):
        dialer.next()


def test_a_proof_is_good_for_one_nonce_only():
    _dialer, _listener, (first, _second, proof) = shake()
    again, _challenge = listen(first, nonce=b"n" * 32)
    again.feed(proof)
    with pytest.raises(AuthError):
        again.next()


def test_a_refused_listener_stays_refused():
    listener, challenge = listen(SPELT_HELLO)
    listener.feed(sign("dialer", SPELT_HELLO + challenge, 3, u64(4), secret=WRONG))
    for _unused in range(2):
        with pytest.raises(AuthError):
            listener.next()
        listener.feed(sign("dialer", SPELT_HELLO + challenge, 3, u64(4)))


def is_refused_with_flip(messages, which, bit):
    """Play the dialogue with one bit flipped; whether neither side that got it is established by it."""
    flipped = bytearray(messages[which])
    flipped[bit // 8] ^= 1 << bit % 8
    sent = [*messages[:which], bytes(flipped), *messages[which + 1 :]]
    listener, dialer = ListenerHandshake(LISTENER_NONCE), dial()
    dialer.start()
    try:
        listener.feed(sent[0])
        if not isinstance(listener.next(), HelloReceived):
            return True
        challenge = listener.challenge(SECRET, 3)
        dialer.feed(sent[1] if which == 1 else challenge)
        if which < 2:
            return dialer.next() is NEED_MORE
        listener.feed(sent[2])
        return listener.next() is NEED_MORE
    except AuthError:
        return True


@pytest.mark.parametrize("which", [0, 1, 2])
def test_every_flipped_bit_is_refused(which):
    _dialer, _listener, messages = shake()
    for bit in range(8 * len(messages[which])):
        assert is_refused_with_flip(messages, which, bit), bit


# Epochs


@pytest.mark.parametrize(
    ("hello", "current", "claimed"),
    [
        (HELLO, 3, 3), (HELLO, 3, 2), (HELLO, 3, 0), (HELLO, 0, 0),
        (LANE, 3, 2), (LANE, 3, 4), (LANE, 0, 0), (LANE, 3, 0),
        (ADOPT, 3, 3), (ADOPT, 3, 4), (ADOPT, 0, 1), (PROBE, 3, 3), (PROBE, 3, 4),
    ],
)  # fmt: skip
def test_a_wrong_epoch_is_refused_on_both_sides(hello, current, claimed):
    dialer = dial(hello, choose=lambda _current: claimed)
    first = dialer.start()
    listener, challenge = listen(first, epoch=current)
    listener.feed(sign("dialer", first + challenge, 3, u64(claimed)))
    with pytest.raises(AuthError, match="epoch"):
        listener.next()
    dialer.feed(challenge)
    with pytest.raises(AuthError, match="epoch"):
        dialer.next()


def test_the_choice_is_made_from_the_proven_current_epoch():
    asked = []
    shake(epoch=7, choose=lambda current: asked.append(current) or 12)
    assert asked == [7]


@pytest.mark.parametrize("epoch", [-1, 1 << 64])
def test_an_epoch_beyond_u64_is_our_own_mistake(epoch):
    listener = ListenerHandshake(LISTENER_NONCE)
    listener.feed(SPELT_HELLO)
    listener.next()
    with pytest.raises(ValueError):
        listener.challenge(SECRET, epoch)
    dialer = dial(choose=lambda _current: epoch)
    dialer.start()
    dialer.feed(listener.challenge(SECRET, 3))
    with pytest.raises(ValueError):
        dialer.next()


# Frames stay in their connection


def test_a_frame_opens_only_in_its_connection_its_direction_and_once():
    dialer, listener, _messages = shake(LANE, 3, same)
    _other_dialer, other_listener, _messages = shake(LANE, 3, same, nonce=b"n" * 32)
    header = Sealer(dialer.send_key).data(DATA, 0, 1)
    lane = LaneOpener(listener.receive_key, "rack3-n1")
    assert lane.open(header) == (DATA, 0, 1)
    with pytest.raises(ProtocolError):
        lane.open(header)
    with pytest.raises(ProtocolError):
        LaneOpener(dialer.receive_key, "rack3-n2").open(header)
    with pytest.raises(ProtocolError):
        LaneOpener(other_listener.receive_key, "rack3-n1").open(header)


def test_a_message_opens_only_in_its_connection_and_direction():
    dialer, listener, _messages = shake()
    _other_dialer, other_listener, _messages = shake(nonce=b"n" * 32)
    frame = Sealer(listener.send_key).control(17, b"{}")
    for key, opens in (
        (dialer.receive_key, True),
        (dialer.send_key, False),
        (other_listener.send_key, False),
    ):
        opener = ControlOpener(key, "peer")
        opener.feed(frame)
        if opens:
            assert opener.next() == (17, b"{}")
        else:
            with pytest.raises(ProtocolError):
                opener.next()


def test_kind_and_lane_have_keys_of_their_own():
    second = Hello("run-1", "rack3-n1", "rack3-n2", "lane", 3, DIALER_NONCE)
    keys = set()
    for hello, choose in ((HELLO, above), (LANE, same), (second, same), (ADOPT, lambda _current: 0)):
        dialer, _listener, _messages = shake(hello, 3, choose)
        keys |= {dialer.send_key, dialer.receive_key}
    assert len(keys) == 8


# Strangers


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
