# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages survive the wire; nothing else does."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import ProtocolError
from ansible_collections.dolly.ring.plugins.module_utils.dolly.wire.codec import MAX_PAYLOAD
from ansible_collections.dolly.ring.plugins.module_utils.dolly.wire.fields import MAX_OFFSET
from ansible_collections.dolly.ring.plugins.module_utils.dolly.wire.messages import (
    CAPS,
    MAX_DIGESTS,
    MAX_RANGES,
    Bye,
    Demotion,
    End,
    Gone,
    Manifest,
    Need,
    Ping,
    Pong,
    Setup,
    Start,
    Status,
    decode,
    encode,
)

KINDS = {
    Setup: 10, Start: 11, Need: 12, Gone: 13, Manifest: 14, End: 15, Status: 16, Ping: 17, Pong: 18, Bye: 19,
    Demotion: 20,
}  # fmt: skip

SAMPLES = [
    (
        Setup({"image": {"size": None}, "nodes": ["a", "b"]}),
        b'{"plan":{"image":{"size":null},"nodes":["a","b"]},"is_late":false,"known":null}',
    ),
    (Setup({}, True, {"rank": 1}), b'{"plan":{},"is_late":true,"known":{"rank":1}}'),
    (Start((0, 1, 5)), b'{"members":[0,1,5],"abort":null}'),
    (Start((), {"kind": "X"}), b'{"members":[],"abort":{"kind":"X"}}'),
    (
        Need(7, ((0, 4096), (4096, 8192), (9000, MAX_OFFSET)), ((1, 2),), {0: 12, 65535: 0}, 5, 3),
        (
            b'{"serial":7,"wanted":[[0,4096],[4096,8192],[9000,9223372036854775807]],"repair":[[1,2]],'
            b'"received":{"0":12,"65535":0},"safe":5,"below":3}'
        ),
    ),
    (Need(0, ()), b'{"serial":0,"wanted":[],"repair":[],"received":{},"safe":0,"below":0}'),
    (Gone(0, 1), b'{"start":0,"end":1}'),
    (Manifest(3, b"d" * 64), b"\x00\x00\x00\x03" + b"d" * 64),
    (Manifest((1 << 32) - 1, b"d" * 32), b"\xff\xff\xff\xff" + b"d" * 32),
    (Manifest(0, b"d" * 32 * MAX_DIGESTS), b"\x00\x00\x00\x00" + b"d" * 32 * MAX_DIGESTS),
    (End(0), b'{"size":0}'),
    (Status(({"rank": 1, "rate": 1.5, "ok": True, "name": "k\u00f6ln"},)), None),
    (Status(()), b'{"snapshots":[]}'),
    (Ping(), b"{}"),
    (Demotion(), b"{}"),
    (Pong(), b"{}"),
    (Bye("done"), b'{"reason":"done","error":null}'),
    (Bye("broken", {"message": "disk full"}), b'{"reason":"broken","error":{"message":"disk full"}}'),
]


def nested(depth: int, closed: bool = True) -> str:
    return "[" * depth + ("]" * depth if closed else "")


@pytest.mark.parametrize(("kind", "number"), KINDS.items())
def test_the_numbers_of_the_kinds_are_the_documented_ones(kind, number):
    assert kind.KIND == number
    assert number in CAPS


@pytest.mark.parametrize(("message", "payload"), SAMPLES)
def test_a_message_survives_and_looks_as_documented(message, payload):
    kind, written = encode(message)
    assert kind == message.KIND
    assert payload is None or written == payload
    assert decode(kind, written, "peer") == message


def test_the_largest_manifest_fits_one_frame():
    assert CAPS[Manifest.KIND] <= MAX_PAYLOAD
    assert CAPS[Manifest.KIND] + 32 > MAX_PAYLOAD


BAD = [
    (10, b""),
    (10, b"[]"),
    (10, b"null"),
    (10, b"{}"),
    (10, b'{"is_late":false,"known":null,"plan":[]}'),
    (10, b'{"is_late":0,"known":null,"plan":{}}'),
    (10, b'{"plan":{}}'),
    (10, b'{"is_late":false,"known":7,"plan":{}}'),
    (10, b'{"is_late":false,"known":null,"plan":null}'),
    (10, b'{"is_late":false,"known":null,"plan":{}} {}'),
    (10, b'\xef\xbb\xbf{"is_late":false,"known":null,"plan":{}}'),
    (10, b'{"is_late":false,"known":null,"plan":{},"more":1}'),
    (10, b'{"is_late":false,"known":null,"plan":{"a":1,"a":2}}'),
    (10, b'{"is_late":false,"known":null,"plan":{},"plan":{}}'),
    (10, b'{"is_late":false,"known":null,"plan":{"a":NaN}}'),
    (10, b'{"is_late":false,"known":null,"plan":{"a":Infinity}}'),
    (10, b'{"is_late":false,"known":null,"plan":{"a":-Infinity}}'),
    (10, b'{"is_late":false,"known":null,"plan":{"a":1e999}}'),
    (10, b'{"is_late":false,"known":null,"plan":{"a":18446744073709551616}}'),
    (10, b'{"is_late":false,"known":null,"plan":{"a":' + b"9" * 100000 + b"}}"),
    (10, b'{"is_late":false,"known":null,"plan":{"a":"\\ud800"}}'),
    (10, b'{"is_late":false,"known":null,"plan":{"\\udc80":1}}'),
    (10, b'{"is_late":false,"known":null,"plan":{"a":"\xff"}}'),
    (10, ('{"is_late":false,"plan":{"a":%s}}' % nested(32)).encode()),
    (10, ('{"is_late":false,"plan":%s}' % nested(500)).encode()),
    (10, ('{"is_late":false,"plan":{"a":%s}}' % nested(100000)).encode()),
    (10, nested(200000, closed=False).encode()),
    (11, b'{"members":[1]}'),
    (11, b'{"members":[1,1],"abort":null}'),
    (11, b'{"members":[2,1],"abort":null}'),
    (11, b'{"members":[-1],"abort":null}'),
    (11, b'{"members":[true],"abort":null}'),
    (11, b'{"members":["1"],"abort":null}'),
    (11, b'{"members":{"1":1},"abort":null}'),
    (11, b'{"members":[1],"abort":"no"}'),
    (12, b'{"serial":true,"wanted":[],"repair":[],"received":{},"safe":0,"below":0}'),
    (12, b'{"serial":1.0,"wanted":[],"repair":[],"received":{},"safe":0,"below":0}'),
    (12, b'{"serial":-1,"wanted":[],"repair":[],"received":{},"safe":0,"below":0}'),
    (12, b'{"serial":9223372036854775808,"wanted":[],"repair":[],"received":{},"safe":0,"below":0}'),
    (12, b'{"serial":1,"wanted":[],"repair":[],"received":{},"safe":-1,"below":0}'),
    (12, b'{"serial":1,"wanted":[],"repair":[],"received":{},"safe":0,"below":null}'),
    (12, b'{"serial":1,"wanted":[],"repair":[],"received":{}}'),
    (12, b'{"serial":1,"wanted":[[0]],"repair":[],"received":{},"safe":0,"below":0}'),
    (12, b'{"serial":1,"wanted":[[0,1,2]],"repair":[],"received":{},"safe":0,"below":0}'),
    (12, b'{"serial":1,"wanted":["01"],"repair":[],"received":{},"safe":0,"below":0}'),
    (12, b'{"serial":1,"wanted":[[1,1]],"repair":[],"received":{},"safe":0,"below":0}'),
    (12, b'{"serial":1,"wanted":[[2,1]],"repair":[],"received":{},"safe":0,"below":0}'),
    (12, b'{"serial":1,"wanted":[[-1,1]],"repair":[],"received":{},"safe":0,"below":0}'),
    (12, b'{"serial":1,"wanted":[[false,1]],"repair":[],"received":{},"safe":0,"below":0}'),
    (12, b'{"serial":1,"wanted":[[0,9223372036854775808]],"repair":[],"received":{},"safe":0,"below":0}'),
    (12, b'{"serial":1,"wanted":[[0,3],[2,4]],"repair":[],"received":{},"safe":0,"below":0}'),
    (12, b'{"serial":1,"wanted":[[5,6],[1,2]],"repair":[],"received":{},"safe":0,"below":0}'),
    (12, b'{"serial":1,"wanted":[],"repair":[[5,6],[1,2]],"received":{},"safe":0,"below":0}'),
    (12, b'{"serial":1,"wanted":[],"repair":[],"received":[],"safe":0,"below":0}'),
    (12, b'{"serial":1,"wanted":[],"repair":[],"received":{"00":1},"safe":0,"below":0}'),
    (12, b'{"serial":1,"wanted":[],"repair":[],"received":{"-1":1},"safe":0,"below":0}'),
    (12, b'{"serial":1,"wanted":[],"repair":[],"received":{"65536":1},"safe":0,"below":0}'),
    (12, b'{"serial":1,"wanted":[],"repair":[],"received":{"1\\n":1},"safe":0,"below":0}'),
    (12, '{"serial":1,"wanted":[],"repair":[],"received":{"\u0661":1},"safe":0,"below":0}'.encode()),
    (12, b'{"serial":1,"wanted":[],"repair":[],"received":{"1":-1},"safe":0,"below":0}'),
    (12, b'{"serial":1,"wanted":[],"repair":[],"received":{"1":null},"safe":0,"below":0}'),
    (13, b'{"start":1,"end":1}'),
    (13, b'{"start":2,"end":1}'),
    (13, b'{"start":0}'),
    (14, b""),
    (14, b"\0\0\0"),
    (14, b"\0\0\0\0"),
    (14, b"\0\0\0\0" + b"d" * 31),
    (14, b"\0\0\0\0" + b"d" * 33),
    (14, b"\xff\xff\xff\xff" + b"d" * 64),
    (14, b"\0\0\0\0" + b"d" * 32 * (MAX_DIGESTS + 1)),
    (15, b'{"size":null}'),
    (15, b'{"size":-1}'),
    (16, b'{"snapshots":{}}'),
    (16, b'{"snapshots":[[]]}'),
    (17, b""),
    (17, b'{"a":1}'),
    (19, b'{"reason":1,"error":null}'),
    (19, b'{"reason":"\\ud800","error":null}'),
    (19, b'{"reason":"x","error":[]}'),
    (0, b"{}"),
    (1, b"{}"),
    (2, b"{}"),
    (21, b"{}"),
    (-1, b"{}"),
]


@pytest.mark.parametrize(("kind", "payload"), BAD, ids=lambda value: repr(value)[:60])
def test_what_is_no_message_is_refused_with_the_name_of_the_peer(kind, payload):
    with pytest.raises(ProtocolError) as caught:
        decode(kind, payload, "node7")
    assert "node7" in str(caught.value)
    assert len(str(caught.value)) < 1000
    str(caught.value).encode("utf-8")


def test_what_nests_as_deep_as_allowed_is_taken():
    payload = ('{"is_late":false,"known":null,"plan":{"a":%s}}' % nested(31)).encode()
    assert decode(10, payload, "peer") == Setup({"a": json.loads(nested(31))})


@pytest.mark.parametrize("kind", sorted(CAPS))
def test_a_payload_longer_than_the_cap_is_refused_unread(kind):
    with pytest.raises(ProtocolError, match="more than"):
        decode(kind, b" " * (CAPS[kind] + 1), "peer")


OWN_MISTAKES = [
    Setup([]),  # type: ignore[arg-type]
    Setup({"a": float("nan")}),
    Setup({"a": b"bytes"}),
    Setup({"a": "x" * CAPS[10]}),
    Start((2, 1)),
    Need(-1, ()),
    Need(True, ()),
    Need(0, (), safe=-1),
    Need(0, (), below=True),
    Need(0, ((5, 5),)),
    Need(0, ((0, 5), (4, 6))),
    Need(0, (), (), {-1: 0}),
    Need(0, (), (), {True: 0}),
    Gone(3, 3),
    Manifest(-1, b"d" * 32),
    Manifest(0, b""),
    Manifest(0, b"d" * 33),
    End(-1),
    End(1 << 63),
    Bye(None),  # type: ignore[arg-type]
    Bye("x" * CAPS[19]),
]


@pytest.mark.parametrize("message", OWN_MISTAKES, ids=lambda message: repr(message)[:60])
def test_our_own_mistake_is_a_value_error_before_it_leaves(message):
    with pytest.raises(ValueError):
        encode(message)


def test_a_plan_that_holds_itself_is_a_value_error():
    plan = {}
    plan["plan"] = plan
    with pytest.raises(ValueError):
        encode(Setup(plan))


def test_a_plan_without_end_is_a_value_error():
    plan = []
    for _unused in range(200000):
        plan = [plan]
    with pytest.raises(ValueError):
        encode(Setup({"plan": plan}))


def test_no_depth_exhausts_the_stack():
    for depth in range(600, 1001):
        with pytest.raises(ProtocolError):
            decode(10, ('{"is_late":false,"plan":%s}' % nested(depth)).encode(), "peer")


def test_a_path_that_is_no_utf8_does_not_stop_a_report():
    kind, payload = encode(Bye("cannot read /tmp/\udcff", {"path": "/tmp/\udcff"}))
    assert decode(kind, payload, "peer") == Bye("cannot read /tmp/?", {"path": "/tmp/?"})


NATURAL = st.integers(0, MAX_OFFSET)
OBJECT = st.dictionaries(
    st.text(),
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(1 << 63), 1 << 63)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=8,
    ),
    max_size=4,
)
RANGES = st.lists(NATURAL, unique=True, max_size=12).map(
    lambda points: tuple(zip(sorted(points)[::2], sorted(points)[1::2]))
)
MESSAGES = st.one_of(
    st.builds(Setup, OBJECT),
    st.builds(Start, st.sets(NATURAL).map(lambda ranks: tuple(sorted(ranks))), st.none() | OBJECT),
    st.builds(Need, NATURAL, RANGES, RANGES, st.dictionaries(st.integers(0, 65535), NATURAL), NATURAL, NATURAL),
    st.builds(lambda start, length: Gone(start, start + length), st.integers(0, 1 << 40), st.integers(1, 99)),
    st.builds(Manifest, st.integers(0, 1 << 31), st.integers(1, 9).map(lambda count: b"d" * 32 * count)),
    st.builds(End, NATURAL),
    st.builds(Status, st.lists(OBJECT, max_size=3).map(tuple)),
    st.just(Ping()),
    st.just(Pong()),
    st.builds(Bye, st.text(), st.none() | OBJECT),
)


@settings(deadline=None)
@given(MESSAGES)
def test_every_message_survives(message):
    assert decode(*encode(message), "peer") == message


def decodes_or_refuses(kind: int, payload: bytes) -> None:
    try:
        message = decode(kind, payload, "peer")
    except ProtocolError:
        return
    assert decode(*encode(message), "peer") == message


@settings(deadline=None)
@given(st.integers(-1, 300), st.binary())
def test_no_bytes_raise_anything_but_protocol_error(kind, payload):
    decodes_or_refuses(kind, payload)


@settings(deadline=None)
@given(MESSAGES, st.data())
def test_damaged_messages_raise_nothing_but_protocol_error(message, data):
    kind, payload = encode(message)
    damaged = bytearray(payload)
    for _unused in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, max(len(damaged) - 1, 0)))
        damaged[at : at + data.draw(st.integers(0, 2))] = data.draw(
            st.sampled_from([b'"', b"[", b"]", b"{", b"}", b",", b"-", b"e9", b".", b"\\u", b"true", b"\xff"])
        )
    decodes_or_refuses(data.draw(st.sampled_from([kind, *sorted(CAPS)])), bytes(damaged))


@settings(deadline=None)
@given(st.sampled_from(sorted(CAPS)), st.dictionaries(
    st.sampled_from(
        "plan members abort serial wanted repair received safe below start end size snapshots reason".split()
    ),
    st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
                 lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=6),
))  # fmt: skip
def test_any_json_is_a_message_or_a_protocol_error(kind, fields):
    decodes_or_refuses(kind, json.dumps(fields).encode())


def test_the_longest_need_fits_and_one_range_more_is_refused():
    """What a child may make its parent's reactor read at once is bounded."""
    many = tuple((MAX_OFFSET - 3 * number - 2, MAX_OFFSET - 3 * number) for number in reversed(range(MAX_RANGES)))
    longest = Need(1, many, many, dict.fromkeys(range(1000), MAX_OFFSET), MAX_OFFSET, MAX_OFFSET)
    kind, payload = encode(longest)
    assert decode(kind, payload, "peer") == longest
    for field in ("wanted", "repair"):
        more = dataclasses.replace(longest, **{field: ((0, 1), *many)})
        with pytest.raises(ValueError, match="holds 2049 ranges, not up to 2048"):
            encode(more)
