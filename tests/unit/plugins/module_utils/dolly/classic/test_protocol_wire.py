# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The original's protocol: texts, lines and numbers, however they were cut on their way."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.dolly.ring.plugins.module_utils.dolly.classic import protocol
from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import ProtocolError

TEXT = b"infile a\noutfile b\nserver s\nfirstclient x\nlastclient x\nclients 1\nx\nendconfig\n"
CUTS = st.lists(st.integers(1, 40), max_size=60)


def pieces(data, cuts):
    start = 0
    for cut in cuts:
        yield data[start : start + cut]
        start += cut
    yield data[start:]


def text_of(length):
    return b"infile " + b"a" * (length - len(TEXT) + 1) + TEXT[len(b"infile a") :]


@pytest.mark.parametrize("length, sent", [(1447, 1447), (1448, 1449), (1449, 1449), (2896, 2896), (4095, 4095)])
def test_a_text_as_it_is_written(length, sent):
    text = text_of(length)
    assert len(text) == length
    framed = protocol.frame_text(text)
    assert len(framed) == sent
    assert framed == text + b" " * (sent - length)


def test_texts_that_no_original_reads():
    with pytest.raises(ValueError, match="4096 bytes long"):
        protocol.frame_text(text_of(4096))
    for text in (b"", b"infile a\n", b"infile endconfig\n"):
        with pytest.raises(ValueError, match="endconfig"):
            protocol.frame_text(text)


def test_what_a_client_says():
    assert protocol.got_parameters("node-1") == b"Host got parameters 'node-1'.\n"
    assert protocol.ready("10.0.0.1") == b"Host ready '10.0.0.1'.\n"
    assert protocol.pack_length(0x0102030405060708) == b"\x08\x07\x06\x05\x04\x03\x02\x01"
    assert protocol.pack_length(5) == struct.pack("<Q", 5)
    assert protocol.pack_index(1) == b"\x01\0\0\0"
    assert protocol.unpack_index(b"\xff\xff\xff\xff") == -1


@given(CUTS, st.integers(0, 2 ** 63 - 1), st.sampled_from([b"", b" ", b"\n\n# more\n"]))
def test_text_and_length_in_any_pieces(cuts, length, behind):
    heard = protocol.FromParent("p")
    text = TEXT + behind
    seen = b""
    for piece in pieces(text, cuts):
        assert heard.feed(piece) is None
        seen += piece
        # Whole as soon as the last word is there, whatever stands behind it.
        assert heard.has_text == (b"\nendconfig" in seen)
    assert heard.take_text() == text
    answers = [heard.feed(piece) for piece in pieces(protocol.pack_length(length), cuts)]
    assert answers[-1] == length
    assert heard.state == "over"


def test_a_length_that_comes_more_than_once_counts_once():
    heard = protocol.FromParent("p")
    heard.feed(TEXT)
    heard.take_text()
    assert heard.feed(protocol.pack_length(7) * 2 + b"x") == 7
    assert heard.feed(protocol.pack_length(8)) == 7


@pytest.mark.parametrize("length, wants", [(1447, False), (1448, True), (1449, False)])
def test_the_space_is_waited_for_where_it_must_come(length, wants):
    heard = protocol.FromParent("p")
    heard.feed(text_of(length)[:20])
    assert not heard.wants_space
    heard.feed(text_of(length)[20:])
    assert heard.wants_space == wants
    heard.feed(b" ")
    assert not heard.wants_space or length == 1447


def test_what_is_no_text_is_refused_in_time():
    heard = protocol.FromParent("p")
    heard.feed(b"x" * protocol.MAX_TEXT)
    with pytest.raises(ProtocolError, match="4095"):
        heard.feed(b"x")
    assert not heard.has_text
    with pytest.raises(ProtocolError, match="has 18446744073709551615 bytes"):
        protocol.unpack_length(b"\xff" * 8, "p")


LINES = [protocol.got_parameters("a"), protocol.ready("a"), protocol.got_parameters("b"), protocol.ready("b")]


@given(CUTS)
def test_lines_come_whole(cuts):
    heard = protocol.FromChild("c")
    found = []
    for piece in pieces(b"".join(LINES), cuts):
        found += heard.feed(piece)
    assert found == LINES
    assert heard.answer is None


@given(CUTS, st.integers(0, 2 ** 63 - 1), st.booleans(), st.lists(st.sampled_from(LINES), max_size=3))
def test_the_answer_is_told_from_lines(cuts, length, is_right, lines):
    heard = protocol.FromChild("c")
    heard.length_sent(length)
    answered = length if is_right else (length + 1) % 2 ** 63
    found = []
    for piece in pieces(b"".join(lines) + protocol.pack_length(answered), cuts):
        found += heard.feed(piece)
    assert found == lines
    assert heard.answer == answered


def test_a_length_that_looks_like_a_line():
    length = int.from_bytes(b"Host rea", "little")
    heard = protocol.FromChild("c")
    heard.length_sent(length)
    assert heard.feed(protocol.pack_length(length)) == []
    assert heard.answer == length


def test_before_the_length_is_known_nothing_is_an_answer():
    heard = protocol.FromChild("c")
    assert heard.feed(protocol.pack_length(5)) == []
    assert heard.flush() == protocol.pack_length(5)
    assert heard.answer is None
    with pytest.raises(ProtocolError, match="line of more"):
        heard.feed(b"x" * 70000)


def test_what_is_begun_is_not_flushed_when_it_may_be_the_answer():
    heard = protocol.FromChild("c")
    heard.length_sent(5)
    heard.feed(protocol.pack_length(5)[:3])
    assert heard.flush() == b""
    heard.feed(protocol.pack_length(5)[3:])
    assert heard.answer == 5


@given(CUTS)
def test_ready_is_counted_however_it_was_cut(cuts):
    counter = protocol.ReadyCounter()
    for piece in pieces(b"".join(LINES), cuts):
        counter.feed(piece)
    assert counter.count == 2


@pytest.mark.parametrize("said, count", [
    (b"ready", 1), (b"ready ready", 2), (b"already", 0), (b"Host got parameters 'ready'.\n", 0),
    (b"Host ready 'ready-1'.\n", 1), (b"Host ready 'already ready'.\n", 1), (b"'\nready", 1), (b"", 0),
])  # fmt: skip
def test_the_word_ready(said, count):
    assert protocol.ReadyCounter().feed(said) == count


def test_hosts_in_lines():
    assert protocol.hosts_in(b"Host got parameters 'a'.\nHost ready 'b-1'.\nelse") == [
        ("got parameters", "a"),
        ("ready", "b-1"),
    ]
    assert protocol.hosts_in(b"Host ready '\xff'.\n") == [("ready", "\\xff")]


@given(st.integers(0, 10 ** 6), st.integers(0, 10 ** 5), st.integers(1, 9000), st.integers(1, 5))
def test_blocks_go_round(offset, length, block, lanes):
    at = offset
    for lane, start, count in protocol.spans(offset, length, block, lanes):
        assert start == at and 0 < count <= block
        assert lane == start // block % lanes == (start + count - 1) // block % lanes
        at += count
    assert at == offset + length


def test_every_state_has_its_rules():
    states = set(protocol.TRANSITIONS)
    for (role, _state), moves in protocol.TRANSITIONS.items():
        assert moves and all((role, after) in states for after in moves.values())
