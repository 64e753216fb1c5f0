# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The handshake: two who hold the secret meet, and nobody else gets in."""

from __future__ import annotations

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import AuthError, ProtocolError
from ansible_collections.dolly.ring.plugins.module_utils.dolly.wire.codec import (
    NEED_MORE,
    ControlOpener,
    LaneOpener,
    Sealer,
)
from ansible_collections.dolly.ring.plugins.module_utils.dolly.wire.handshake import (
    Established,
    Hello,
    HelloReceived,
    ListenerHandshake,
    Reply,
)
from ansible_collections.dolly.ring.plugins.module_utils.dolly.wire.keys import hkdf
from ansible_collections.dolly.ring.plugins.module_utils.dolly.wire.messages import DATA
from ansible_collections.dolly.ring.tests.unit.plugins.module_utils.dolly.wire.auth_doubles import (
    ADOPT,
    DIALER_NONCE,
    HELLO,
    LANE,
    LISTENER_NONCE,
    PROBE,
    SECRET,
    SPELT_HELLO,
    WRONG,
    above,
    dial,
    listen,
    same,
    sha,
    shake,
    sign,
    u64,
)

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
