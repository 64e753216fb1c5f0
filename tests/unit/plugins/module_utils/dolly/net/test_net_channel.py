# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Channels: nothing is lost, nothing blocks, and the end is told once."""

from __future__ import annotations

import socket
import time

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.net import channel as channel_module
from ansible_collections.dolly.ring.plugins.module_utils.dolly.net import sockets
from ansible_collections.dolly.ring.plugins.module_utils.dolly.net.channel import Channel
from ansible_collections.dolly.ring.plugins.module_utils.dolly.net.reactor import Reactor
from ansible_collections.dolly.ring.tests.unit.plugins.module_utils.dolly.net.net_doubles import (
    PATIENCE_S,
    Background,
    FakeClock,
    reset,
    tcp_pair,
)

LARGE = bytes(range(256)) * 40_000  # 10 MB: more than the kernel's buffers of both ends


class Bench:
    """A channel whose other end the test holds; `until` turns the reactor until something is so."""

    def __init__(self, clock=None):
        self.reactor = Reactor() if clock is None else Reactor(clock)
        near, self.far = tcp_pair()
        self.far.settimeout(PATIENCE_S)
        self.received = bytearray()
        self.sizes = []
        self.ends = []
        self.channel = Channel(self.reactor, near, self._on_data, self.ends.append)

    def _on_data(self, data):
        self.sizes.append(len(data))
        self.received += data

    def until(self, is_so):
        give_up_at = time.monotonic() + PATIENCE_S
        while not is_so():
            assert time.monotonic() < give_up_at, "in vain"
            self.turn()

    def turn(self):
        for key, mask in self.reactor._selector.select(0.01):
            key.data(bool(mask & 1), bool(mask & 2))

    def close(self):
        self.channel.abort()
        self.far.close()
        self.reactor.close()


@pytest.fixture
def bench():
    made = Bench()
    yield made
    made.close()


def read_all(sock, length):
    """Up to `length` bytes; less only where they end."""
    data = bytearray()
    while len(data) < length:
        part = sock.recv(length - len(data))
        if not part:
            break
        data += part
    return bytes(data)


def test_both_directions(bench):
    bench.channel.write(b"down")
    assert read_all(bench.far, 4) == b"down"
    bench.far.sendall(b"up")
    bench.until(lambda: bench.received == b"up")
    assert bench.channel.is_open


def test_partial_writes(bench):
    bench.channel.write(LARGE)
    assert bench.channel._queued  # else nothing is tested here
    bench.channel.write(b"end")
    reader = Background(lambda: read_all(bench.far, len(LARGE) + 3))
    bench.until(lambda: not reader.is_running)
    assert reader.result() == LARGE + b"end"
    assert bench.ends == []


def test_read_size_is_the_most_that_is_read_at_once(bench):
    bench.channel.read_size = 3
    bench.far.sendall(b"0123456789")
    bench.until(lambda: len(bench.received) == 10)
    assert max(bench.sizes) == 3


@pytest.mark.parametrize("rude", [False, True])
def test_peer_gone_is_told_once(bench, rude):
    (reset if rude else socket.socket.close)(bench.far)
    bench.until(lambda: bench.ends)
    bench.channel.write(b"nobody reads this")
    bench.channel.finish()
    bench.channel.abort()
    assert len(bench.ends) == 1
    assert not bench.channel.is_open


def test_what_came_before_the_end_is_handed_on(bench):
    bench.far.sendall(LARGE[:100_000])
    bench.far.close()
    bench.until(lambda: bench.ends)
    assert bench.received == LARGE[:100_000]


def test_peer_gone_while_writing(bench):
    bench.channel.write(LARGE)
    reset(bench.far)
    bench.until(lambda: bench.ends)
    assert len(bench.ends) == 1


def test_abort_tells_nobody(bench):
    bench.channel.abort()
    bench.channel.abort()
    assert bench.far.recv(1) == b""
    bench.channel.write(b"x")
    assert bench.ends == []
    assert not bench.channel.is_open


def test_abort_within_on_data(bench):
    bench.channel.handle(lambda data: bench.channel.abort(), bench.ends.append)
    bench.far.sendall(b"x")
    bench.until(lambda: not bench.channel.is_open)
    assert bench.ends == []


def test_peer_that_does_not_read(bench, monkeypatch):
    monkeypatch.setattr(channel_module, "_MAX_QUEUED", 100_000)
    bench.channel.write(LARGE)
    assert bench.ends == ["it stopped reading"]


class TestFinish:
    def test_sends_what_is_queued_then_the_end(self, bench):
        bench.channel.write(LARGE)
        bench.channel.finish()
        bench.channel.write(b"too late")
        reader = Background(lambda: read_all(bench.far, len(LARGE) + 1))
        bench.until(lambda: not reader.is_running)
        assert reader.result() == LARGE
        assert bench.channel.is_open

    def test_goes_on_reading_until_the_peer_ends(self, bench):
        bench.channel.finish()
        bench.far.sendall(b"last words")
        bench.far.close()
        bench.until(lambda: bench.ends)
        assert bench.received == b"last words"
        assert not bench.channel.is_open

    def test_peer_gone_before(self, bench):
        reset(bench.far)
        bench.channel.finish()
        bench.until(lambda: bench.ends)
        bench.channel.finish()
        assert len(bench.ends) == 1


class TestDetach:
    def test_blocks_again_with_nothing_lost(self, bench):
        bench.channel.write(b"proof")
        with bench.channel.detach() as sock:
            assert read_all(bench.far, 5) == b"proof"
            assert sock.getblocking() and sock.gettimeout() is None
            bench.far.sendall(b"for the next owner")
            assert read_all(sock, 18) == b"for the next owner"
        assert bench.received == b""
        assert not bench.channel.is_open

    def test_a_peer_that_does_not_read_is_not_waited_for(self, bench):
        """Nothing that runs on the reactor may block, not even for the last bytes of a handshake."""
        bench.channel.write(LARGE)
        assert bench.channel._queued
        detaching = Background(bench.channel.detach)
        with pytest.raises(OSError, match="does not take"):
            detaching.result(2.0)
        assert not bench.channel.is_open and bench.ends == []

    def test_what_the_peer_has_made_room_for_is_sent_first(self, bench):
        bench.channel.write(LARGE)
        reader = Background(lambda: read_all(bench.far, len(LARGE)))
        bench.until(lambda: not bench.channel._queued)
        with bench.channel.detach():
            assert reader.result() == LARGE

    def test_bytes_that_were_not_read_yet_are_the_next_owners(self, bench):
        bench.channel.read_size = 4
        bench.far.sendall(b"mineyours")
        bench.until(lambda: bench.received)
        with bench.channel.detach() as sock:
            assert bench.received == b"mine"
            assert read_all(sock, 5) == b"yours"

    def test_when_the_connection_is_gone(self, bench):
        bench.far.close()
        bench.until(lambda: bench.ends)
        with pytest.raises(OSError):
            bench.channel.detach()

    def test_after_it_the_channel_does_nothing(self, bench):
        with bench.channel.detach() as sock:
            bench.channel.write(b"x")
            bench.channel.finish()
            bench.channel.abort()
            sock.sendall(b"y")
            assert bench.far.recv(10) == b"y"

    def test_peer_gone_with_bytes_queued_leaves_no_descriptor(self, bench):
        bench.channel.write(LARGE)
        reset(bench.far)
        with pytest.raises(OSError):
            bench.channel.detach()


def test_handle_gives_a_new_owner_the_whole_pipe(bench):
    bench.channel.read_size = 1
    got = []
    ends = []
    bench.channel.handle(got.append, ends.append)
    bench.far.sendall(b"0123456789")
    bench.until(lambda: got)
    bench.far.close()
    bench.until(lambda: ends)
    assert b"".join(got) == b"0123456789"
    assert len(got) == 1
    assert bench.received == b"" and bench.ends == []


def test_times_of_hearing_and_sending():
    clock = FakeClock(5.0)
    bench = Bench(clock)
    clock.now = 6.0
    bench.channel.write(b"x")
    clock.now = 7.0
    bench.far.sendall(b"y")
    while not bench.received:
        bench.turn()
    assert (bench.channel.sent_at, bench.channel.heard_at) == (6.0, 7.0)
    bench.close()


def test_names(bench):
    assert bench.channel.peer == "127.0.0.1 port %d" % bench.far.getsockname()[1]
    assert bench.channel.local_host == "127.0.0.1"


def test_name_of_a_peer_that_is_gone():
    with socket.socket() as sock:
        assert sockets.name_of(sock) == "?"
