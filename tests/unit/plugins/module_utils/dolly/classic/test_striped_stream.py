# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Streams of a classic hop: over one connection and over several, with an end that nobody announces."""

from __future__ import annotations

import os
import socket
import threading

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.classic.protocol import spans
from ansible_collections.dolly.ring.plugins.module_utils.dolly.classic.striped_stream import (
    Striped,
    make_stream,
    wait_readable,
)
from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import PeerLost

BLOCK = 4096
DATA = os.urandom(1_000_003)


@pytest.fixture
def hop():
    """Makes both ends of a hop over TCP, as it is used."""
    ends = []

    def make(count):
        door = socket.create_server(("127.0.0.1", 0))
        pairs = []
        for _turn in range(count):
            out = socket.create_connection(door.getsockname())
            pairs.append((out, door.accept()[0]))
        door.close()
        made = [make_stream([pair[side] for pair in pairs], "peer", BLOCK, spans) for side in (0, 1)]
        ends.extend(made)
        return made

    yield make
    for end in ends:
        end.close()


def take_all(stream, fd, expected):
    held = 0
    for _turn in range(200_000):
        count = stream.pending()
        if count:
            held += stream.to_file(fd, held, count)
        elif stream.has_ended or held == expected:
            return held
        else:
            wait_readable(stream.waiting_for(), 0.05)
    raise AssertionError("no end after %d bytes" % held)


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("step", [len(DATA), 1000, 70_000])
def test_all_arrives_in_order(hop, tmp_path, count, step):
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(DATA)
    sender, receiver = hop(count)

    def send():
        fd = os.open(source, os.O_RDONLY)
        for start in range(0, len(DATA), step):
            assert sender.from_file(fd, start, min(step, len(DATA) - start)) > 0
        os.close(fd)
        sender.end()

    thread = threading.Thread(target=send)
    thread.start()
    if isinstance(receiver, Striped):
        receiver.release()
    fd = os.open(target, os.O_RDWR | os.O_CREAT)
    held = take_all(receiver, fd, len(DATA) + 1)
    os.close(fd)
    thread.join(10)
    assert held == len(DATA)
    assert target.read_bytes() == DATA


def test_a_short_source_is_told(hop, tmp_path):
    path = tmp_path / "source"
    path.write_bytes(DATA[:5000])
    for count in (1, 2):
        fd = os.open(path, os.O_RDONLY)
        assert hop(count)[0].from_file(fd, 0, 9000) == 5000
        os.close(fd)


def test_the_last_round_is_held_back_until_the_end_is_known(hop):
    """What an original in the middle pads must not reach the disk behind the image."""
    sender, receiver = hop(2)
    for number, sock in enumerate(sender._socks):
        sock.sendall(bytes([number]) * BLOCK * 2)
    wait_readable(receiver.waiting_for(), 5)
    view = memoryview(bytearray(4 * BLOCK))
    while len(receiver._buffers[0]) + len(receiver._buffers[1]) < 4 * BLOCK:
        receiver.pending()
    assert receiver.pending() == 2 * BLOCK
    assert receiver.to_view(view[: 2 * BLOCK]) == 2 * BLOCK
    assert bytes(view[: 2 * BLOCK]) == b"\0" * BLOCK + b"\1" * BLOCK
    assert receiver.pending() == 0
    receiver.release()
    assert receiver.pending() == 2 * BLOCK


@pytest.mark.parametrize("count", [1, 2])
def test_an_end_is_seen_after_the_last_byte(hop, count):
    sender, receiver = hop(count)
    if isinstance(receiver, Striped):
        receiver.release()
    assert (receiver.pending(), receiver.has_ended) == (0, False)
    sender._socks[0].sendall(b"abc")
    sender.end()
    assert wait_readable(receiver.waiting_for(), 5)
    view = memoryview(bytearray(3))
    assert receiver.pending() == 3 and not receiver.has_ended
    assert receiver.to_view(view) == 3 and bytes(view) == b"abc"
    while not receiver.has_ended:
        assert receiver.pending() == 0
    assert receiver.has_ended


def test_a_connection_that_is_reset(hop):
    for count in (1, 2):
        sender, receiver = hop(count)
        sock = sender._socks[0]
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        sock.close()
        assert wait_readable(receiver.waiting_for(), 5)
        with pytest.raises(PeerLost, match="peer"):
            receiver.pending()


def test_what_nobody_wants_is_thrown_away(hop):
    sender, receiver = hop(2)
    sender._socks[1].sendall(b"x" * 10_000)
    wait_readable(receiver.waiting_for(), 5)
    receiver.discard()
    receiver.release()
    assert receiver.pending() == 0


def test_abort_frees_a_sender(hop, tmp_path):
    path = tmp_path / "source"
    path.write_bytes(b"x" * (32 << 20))
    sender, _receiver = hop(2)
    errors = []

    def send():
        fd = os.open(path, os.O_RDONLY)
        try:
            sender.from_file(fd, 0, 32 << 20)
        except PeerLost as error:
            errors.append(error)
        os.close(fd)

    thread = threading.Thread(target=send)
    thread.start()
    thread.join(0.3)
    assert thread.is_alive()
    sender.abort()
    thread.join(10)
    assert not thread.is_alive() and len(errors) == 1
