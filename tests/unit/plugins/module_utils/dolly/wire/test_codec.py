# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames: sealed, opened, and refused when anything about them is wrong."""

from __future__ import annotations

import hashlib
import hmac
import struct
import time
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import ProtocolError
from ansible_collections.dolly.ring.plugins.module_utils.dolly.wire.codec import (
    HEADER_LENGTH,
    MAX_PAYLOAD,
    NEED_MORE,
    ControlOpener,
    LaneOpener,
    PieceHeader,
    Sealer,
)
from ansible_collections.dolly.ring.plugins.module_utils.dolly.wire.messages import (
    CAPS,
    DATA,
    MAX_DATA,
    MAX_ZERO,
    ZERO,
)

KEY = bytes(range(32))
OTHER_KEY = bytes(range(1, 33))
SETUP, MANIFEST, STATUS, PING, BYE = 10, 14, 16, 17, 19
HALF = 1 << 63


def forge(kind, length, offset=0, sequence=0, payload=b"", flags=0, reserved=0, key=KEY):
    """A frame with the right MAC and whatever else; written from the documentation, not with the codec."""
    covered = struct.pack(">BBHIQQ", kind, flags, reserved, length, offset, sequence)
    return covered + hmac.new(key, covered + payload, hashlib.sha256).digest()[:16] + payload


def opener():
    return ControlOpener(KEY, "node7")


def drain(control):
    messages = []
    while True:
        event = control.next()
        if event is NEED_MORE:
            return messages
        messages.append(event)


# Lanes


PIECES = [
    (DATA, 0, 1),
    (DATA, 4096, MAX_DATA),
    (ZERO, 0, MAX_ZERO),
    (DATA, HALF - 2, 1),
    (ZERO, HALF - 1 - MAX_ZERO, MAX_ZERO),
]


@pytest.mark.parametrize("piece", PIECES)
def test_a_piece_is_sealed_as_documented_and_opens(piece):
    header = Sealer(KEY).data(*piece)
    assert header == forge(piece[0], piece[2], piece[1])
    assert LaneOpener(KEY, "node7").open(header) == PieceHeader(*piece)
    assert LaneOpener(KEY, "node7").open(memoryview(bytearray(header))) == PieceHeader(*piece)


def test_pieces_are_counted():
    sealer, lane = Sealer(KEY), LaneOpener(KEY, "node7")
    for number in range(300):
        header = sealer.data(DATA, number, 1)
        assert struct.unpack_from(">Q", header, 16) == (number,)
        assert lane.open(header).offset == number


@pytest.mark.parametrize(
    "piece",
    [
        (DATA, 0, 0), (DATA, 0, -1), (DATA, -1, 1), (DATA, 0, MAX_DATA + 1), (ZERO, 0, MAX_ZERO + 1),
        (DATA, HALF - 1, 1), (DATA, HALF, 1), (ZERO, HALF - MAX_ZERO, MAX_ZERO), (0, 0, 1), (3, 0, 1), (SETUP, 0, 1),
    ],
)  # fmt: skip
def test_a_piece_that_may_not_be_is_our_own_mistake_and_not_counted(piece):
    sealer = Sealer(KEY)
    with pytest.raises(ValueError):
        sealer.data(*piece)
    assert sealer.data(DATA, 0, 1) == forge(DATA, 1)


BAD_HEADERS = {
    "empty data": forge(DATA, 0),
    "empty zero": forge(ZERO, 0),
    "long data": forge(DATA, MAX_DATA + 1),
    "long zero": forge(ZERO, MAX_ZERO + 1),
    "longest": forge(DATA, 0xFFFFFFFF),
    "beyond off_t": forge(DATA, 1, HALF - 1),
    "far beyond off_t": forge(DATA, 1, (1 << 64) - 1),
    "kind 0": forge(0, 1),
    "control": forge(PING, 2),
    "more": forge(DATA, 1, flags=1),
    "flag": forge(DATA, 1, flags=128),
    "reserved": forge(DATA, 1, reserved=1),
    "skipped": forge(DATA, 1, sequence=1),
    "wrong key": forge(DATA, 1, key=OTHER_KEY),
    "no MAC": forge(DATA, 1)[:24] + bytes(16),
}


@pytest.mark.parametrize("name", BAD_HEADERS)
def test_a_bad_header_is_refused_and_the_lane_stays_failed(name):
    lane = LaneOpener(KEY, "node7")
    for header in (BAD_HEADERS[name], Sealer(KEY).data(DATA, 0, 1)):
        with pytest.raises(ProtocolError, match="node7"):
            lane.open(header)


def test_every_flipped_bit_of_a_header_is_refused():
    header = Sealer(KEY).data(DATA, 4096, 4096)
    for bit in range(8 * HEADER_LENGTH):
        flipped = bytearray(header)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ProtocolError):
            LaneOpener(KEY, "node7").open(flipped)


def test_a_replayed_header_is_refused():
    lane, header = LaneOpener(KEY, "node7"), Sealer(KEY).data(DATA, 0, 1)
    lane.open(header)
    with pytest.raises(ProtocolError, match="piece 0 in place of 1"):
        lane.open(header)


@pytest.mark.parametrize("length", [0, 39, 41])
def test_a_header_of_another_length_is_our_own_mistake(length):
    with pytest.raises(ValueError):
        LaneOpener(KEY, "node7").open(bytes(length))


@pytest.mark.parametrize(
    "make", [Sealer, lambda key: LaneOpener(key, "n"), lambda key: ControlOpener(key, "n")]
)
@pytest.mark.parametrize("length", [0, 16, 33])
def test_a_key_of_another_length_is_our_own_mistake(make, length):
    with pytest.raises(ValueError):
        make(bytes(length))


@settings(deadline=None)
@given(st.binary(min_size=HEADER_LENGTH, max_size=HEADER_LENGTH))
def test_no_header_raises_anything_but_protocol_error(header):
    with pytest.raises(ProtocolError):
        LaneOpener(KEY, "node7").open(header)


@settings(deadline=None)
@given(st.integers(0, 255), st.integers(0, 255), st.integers(0, 65535), st.integers(0, (1 << 32) - 1),
       st.integers(0, (1 << 64) - 1), st.integers(0, (1 << 64) - 1))  # fmt: skip
def test_no_header_with_a_right_mac_raises_anything_but_protocol_error(
    kind, flags, reserved, length, offset, sequence
):
    header = forge(kind, length, offset, sequence, b"", flags, reserved)
    try:
        piece = LaneOpener(KEY, "node7").open(header)
    except ProtocolError:
        return
    assert (flags, reserved, sequence) == (0, 0, 0)
    assert Sealer(KEY).data(*piece) == header


# Messages


STREAMS = {
    "one": [(PING, b"{}")],
    "empty": [(PING, b"")],
    "two": [(PING, b"{}"), (SETUP, b"x" * 100)],
    "full": [(SETUP, b"x" * MAX_PAYLOAD)],
    "full and one": [(SETUP, b"x" * (MAX_PAYLOAD + 1))],
    "two full": [(SETUP, b"xy" * MAX_PAYLOAD), (PING, b"{}")],
    "same kind": [(STATUS, b"a" * (MAX_PAYLOAD + 7)), (STATUS, b"b" * (MAX_PAYLOAD + 9))],
    "manifest": [(MANIFEST, b"m" * CAPS[MANIFEST]), (BYE, b"b" * CAPS[BYE])],
}
TRAILING = forge(BYE, 5, sequence=99, payload=b"later")[:-1]


def sealed(messages):
    sealer = Sealer(KEY)
    return b"".join(sealer.control(kind, payload) for kind, payload in messages)


@pytest.mark.parametrize("name", STREAMS)
def test_messages_open_whole(name):
    control = opener()
    control.feed(sealed(STREAMS[name]))
    assert drain(control) == STREAMS[name]


@pytest.mark.parametrize("name", STREAMS)
def test_messages_open_with_trailing_bytes(name):
    control = opener()
    control.feed(sealed(STREAMS[name]) + TRAILING)
    assert drain(control) == STREAMS[name]


@pytest.mark.parametrize("name", STREAMS)
def test_messages_open_byte_by_byte(name):
    control, messages = opener(), []
    stream = sealed(STREAMS[name])
    for at in range(len(stream)):
        control.feed(stream[at : at + 1])
        event = control.next()
        if event is not NEED_MORE:
            messages.append(event)
    assert messages == STREAMS[name]


def test_a_message_is_sealed_as_documented():
    payload = b"z" * (2 * MAX_PAYLOAD + 3)
    sealer = Sealer(KEY)
    frames = sealer.control(SETUP, payload) + sealer.control(PING, b"{}")
    assert frames == (
        forge(SETUP, MAX_PAYLOAD, payload=b"z" * MAX_PAYLOAD, flags=1)
        + forge(SETUP, MAX_PAYLOAD, payload=b"z" * MAX_PAYLOAD, flags=1, sequence=1)
        + forge(SETUP, 3, payload=b"zzz", sequence=2)
        + forge(PING, 2, payload=b"{}", sequence=3)
    )


def test_a_frame_is_at_most_64_kib():
    assert len(Sealer(KEY).control(SETUP, b"z" * MAX_PAYLOAD)) == 65536


@pytest.mark.parametrize("kind", sorted(CAPS))
def test_the_cap_of_a_kind_is_the_same_on_both_sides(kind):
    control = opener()
    control.feed(Sealer(KEY).control(kind, bytes(CAPS[kind])))
    assert drain(control) == [(kind, bytes(CAPS[kind]))]
    with pytest.raises(ValueError):
        Sealer(KEY).control(kind, bytes(CAPS[kind] + 1))


@pytest.mark.parametrize("kind", [0, DATA, ZERO, 9, 21, 255])
def test_what_is_no_message_is_not_sealed(kind):
    with pytest.raises(ValueError):
        Sealer(KEY).control(kind, b"{}")


FULL = b"x" * MAX_PAYLOAD
BAD_FRAMES = {
    "data": forge(DATA, 1),
    "zero": forge(ZERO, 1),
    "kind 0": forge(0, 2, payload=b"{}"),
    "kind 21": forge(21, 2, payload=b"{}"),
    "flag": forge(PING, 2, payload=b"{}", flags=2),
    "reserved": forge(PING, 2, payload=b"{}", reserved=256),
    "offset": forge(PING, 2, payload=b"{}", offset=1),
    "length": forge(SETUP, MAX_PAYLOAD + 1, payload=b""),
    "longest": forge(SETUP, 0xFFFFFFFF, payload=b""),
    "short continued": forge(SETUP, 2, payload=b"{}", flags=1),
    "empty continued": forge(SETUP, 0, flags=1),
    "empty last": forge(SETUP, MAX_PAYLOAD, payload=FULL, flags=1) + forge(SETUP, 0, sequence=1),
    "other kind amid": forge(SETUP, MAX_PAYLOAD, payload=FULL, flags=1)
    + forge(STATUS, 2, payload=b"{}", sequence=1),
    "over the cap": forge(BYE, MAX_PAYLOAD, payload=FULL, flags=1)
    + forge(BYE, 41, payload=b"x" * 41, sequence=1),
    "skipped": forge(PING, 2, payload=b"{}", sequence=1),
    "skipped amid": forge(SETUP, MAX_PAYLOAD, payload=FULL, flags=1)
    + forge(SETUP, 1, payload=b"x", sequence=2),
    "replayed": forge(PING, 2, payload=b"{}") * 2,
    "wrong key": forge(PING, 2, payload=b"{}", key=OTHER_KEY),
    "other payload": forge(PING, 2, payload=b"{}")[:-2] + b"[]",
}


@pytest.mark.parametrize("name", BAD_FRAMES)
def test_a_bad_frame_is_refused_and_the_link_stays_failed(name):
    control = opener()
    control.feed(BAD_FRAMES[name])
    with pytest.raises(ProtocolError, match="node7"):
        drain(control)
    control.feed(Sealer(KEY).control(PING, b"{}"))
    with pytest.raises(ProtocolError, match="node7"):
        control.next()


@pytest.mark.parametrize(
    "name", ["data", "kind 0", "kind 21", "flag", "reserved", "offset", "length", "longest"]
)
def test_a_bad_header_is_refused_before_its_payload(name):
    control = opener()
    control.feed(BAD_FRAMES[name][:HEADER_LENGTH])
    with pytest.raises(ProtocolError):
        control.next()


def test_a_cap_is_enforced_by_the_header_that_would_break_it():
    control = opener()
    control.feed(BAD_FRAMES["over the cap"][:-41])
    with pytest.raises(ProtocolError, match="too long"):
        drain(control)


def test_a_hostile_length_costs_no_memory():
    control = opener()
    tracemalloc.start()
    try:
        control.feed(forge(SETUP, MAX_PAYLOAD, flags=1))
        assert control.next() is NEED_MORE
        assert tracemalloc.get_traced_memory()[1] < 20000
    finally:
        tracemalloc.stop()


def test_every_flipped_bit_of_a_frame_is_refused_or_never_whole():
    frame = Sealer(KEY).control(PING, b"{}")
    for bit in range(8 * len(frame)):
        flipped = bytearray(frame)
        flipped[bit // 8] ^= 1 << bit % 8
        control = opener()
        control.feed(flipped)
        try:
            assert control.next() is NEED_MORE, bit
        except ProtocolError:
            continue
        control.feed(bytes(MAX_PAYLOAD))  # the flip made the frame longer
        with pytest.raises(ProtocolError):
            control.next()


def test_many_small_frames_in_one_feed_are_not_quadratic():
    sealer = Sealer(KEY)
    stream = b"".join(sealer.control(PING, b"{}") for _unused in range(60000))
    control = opener()
    start = time.process_time()
    control.feed(stream)
    assert len(drain(control)) == 60000
    assert time.process_time() - start < 10


@settings(deadline=None)
@given(st.lists(st.binary(max_size=200)))
def test_no_bytes_raise_anything_but_protocol_error(parts):
    control = opener()
    for part in parts:
        control.feed(part)
        try:
            assert control.next() is NEED_MORE
        except ProtocolError:
            pass


@settings(deadline=None)
@given(st.lists(st.tuples(
    st.sampled_from([1, 2, 10, 12, 16, 17, 19, 20, 21]), st.sampled_from([0, 0, 0, 1, 2]), st.integers(0, 3),
    st.binary(max_size=50))))  # fmt: skip
def test_no_frames_with_right_macs_raise_anything_but_protocol_error(frames):
    control = opener()
    for kind, flags, sequence, payload in frames:
        control.feed(forge(kind, len(payload), sequence=sequence, payload=payload, flags=flags))
    try:
        messages = drain(control)
    except ProtocolError:
        return
    assert messages == [(kind, payload) for kind, _flags, _sequence, payload in frames]


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from([10, 16, 17]), st.integers(0, 3 * MAX_PAYLOAD)), max_size=4), st.data()
)
def test_messages_survive_any_cutting(sizes, data):
    messages = [(kind, bytes([kind]) * min(size, CAPS[kind])) for kind, size in sizes]
    stream = sealed(messages)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=5)))
    control, opened = opener(), []
    for start, end in zip([0, *cuts], [*cuts, len(stream)]):
        control.feed(stream[start:end])
        opened += drain(control)
    assert opened == messages


def test_need_more_reads_well():
    assert repr(NEED_MORE) == "NEED_MORE"
