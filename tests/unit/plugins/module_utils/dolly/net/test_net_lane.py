# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lanes: the fast ways give what the plain loop gives, and every stuck call can be freed."""

from __future__ import annotations

import errno
import os
import random
import socket
import threading
import time

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import PeerLost
from ansible_collections.dolly.ring.plugins.module_utils.dolly.net import lane as lane_module
from ansible_collections.dolly.ring.plugins.module_utils.dolly.net.lane import PIPE_SIZE, PLAIN_PIECE, Lane
from ansible_collections.dolly.ring.tests.unit.plugins.module_utils.dolly.net.net_doubles import (
    PATIENCE_S,
    Background,
    reset,
    tcp_pair,
)

PAGE = 4096
DATA = random.Random(3).randbytes(3 * PIPE_SIZE + 12_345)

WAYS = [pytest.param(True, id="splice"), pytest.param(False, id="plain")]

#: Name -> (offset in the file, length): whole, tiny and odd sizes; larger than the plain piece and the pipe.
PIECES = {
    "one byte": (0, 1),
    "less than a page": (0, 100),
    "one page": (0, PAGE),
    "a page and a byte": (0, PAGE + 1),
    "odd": (0, 77_777),
    "plain piece": (0, PLAIN_PIECE),
    "plain piece and a byte": (0, PLAIN_PIECE + 1),
    "pipe": (0, PIPE_SIZE),
    "larger than the pipe": (0, 2 * PIPE_SIZE + 4321),
    "unaligned offset": (1000, 300_000),
    "unaligned offset, ends on a page": (1000, PAGE * 8 - 1000),
    "unaligned, within one page": (5, 90),
    "unaligned, larger than the pipe": (PAGE * 3 + 17, PIPE_SIZE + 9000),
}


@pytest.fixture(params=WAYS)
def use_splice(request):
    return request.param


@pytest.fixture
def lane(use_splice):
    near, far = tcp_pair()
    made = Lane(near, "peer", use_splice)
    made.far = far
    yield made
    made.close()
    far.close()


@pytest.fixture
def file(tmp_path):
    fd = os.open(str(tmp_path / "file"), os.O_RDWR | os.O_CREAT)
    yield fd
    os.close(fd)


class CountingSplice:
    """Notes where each drain into a file begins and ends."""

    def __init__(self, original):
        self._original = original
        self.drains = []

    def __call__(self, src, dst, count, offset_dst=None, flags=0):
        moved = self._original(src, dst, count, offset_dst=offset_dst, flags=flags)
        if offset_dst is not None:
            self.drains.append((offset_dst, offset_dst + moved))
        return moved


class ShortSplice(CountingSplice):
    """Moves at most some bytes into the file at once, as a kernel may."""

    def __call__(self, src, dst, count, offset_dst=None, flags=0):
        count = count if offset_dst is None else min(count, 1000)
        return super().__call__(src, dst, count, offset_dst=offset_dst, flags=flags)


class FullDiskSplice:
    """The pipe can be filled, but not be emptied into the file."""

    def __init__(self, original):
        self._original = original

    def __call__(self, src, dst, count, offset_dst=None, flags=0):
        if offset_dst is not None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self._original(src, dst, count, flags=flags)


def full_disk_pwrite(fd, data, offset):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def receive(lane, fd, offset, length):
    """As a store does it; the counts of the steps."""
    counts = []
    end = offset + length
    while offset < end:
        count = lane.to_file(fd, offset, end - offset)
        assert 1 <= count <= end - offset
        offset += count
        counts.append(count)
    return counts


def slow_sender(sock, data, step):
    """Packets of `step` bytes, one by one."""
    for start in range(0, len(data), step):
        sock.sendall(data[start : start + step])
        time.sleep(0.0003)  # packets that arrive together would be joined


@pytest.mark.parametrize("name", PIECES)
def test_socket_to_file(lane, file, name):
    offset, length = PIECES[name]
    sender = Background(lambda: lane.far.sendall(DATA[:length]))
    receive(lane, file, offset, length)
    sender.result()
    assert os.pread(file, len(DATA), 0) == bytes(offset) + DATA[:length]


@pytest.mark.parametrize("name", PIECES)
def test_file_to_socket(lane, file, name):
    offset, length = PIECES[name]
    os.pwrite(file, DATA, 0)
    peer = Background(lambda: lane.far.recv(length, socket.MSG_WAITALL))
    assert lane.from_file(file, offset, length) == length
    assert peer.result() == DATA[offset : offset + length]


@pytest.mark.parametrize("step", [1, 700, 1448, 5000])
def test_small_packets(lane, file, step):
    # Each takes a slot of the pipe, which is then full although it holds less than a page.
    data = DATA[: step * 300]
    sender = Background(lambda: slow_sender(lane.far, data, step))
    receiver = Background(lambda: receive(lane, file, 0, len(data)))
    sender.result()
    receiver.result()
    assert os.pread(file, len(data) + 1, 0) == data


def test_nothing_of_the_next_piece_is_taken(lane, file):
    lane.far.sendall(DATA[:5000] + b"header")
    receive(lane, file, 0, 5000)
    assert lane.read(6) == b"header"
    lane.far.sendall(DATA[:100])
    receive(lane, file, 5000, 100)
    assert os.pread(file, 10_000, 0) == DATA[:5000] + DATA[:100]


@pytest.mark.skipif(not hasattr(os, "splice"), reason="Python 3.10 and Linux have splice")
class TestDrains:
    def run(self, monkeypatch, tmp_path, double, offset, length, step):
        splice = double(os.splice)
        monkeypatch.setattr(os, "splice", splice)
        near, far = tcp_pair()
        lane = Lane(near, "peer", True)
        with open(str(tmp_path / "file"), "wb+") as file:
            sender = Background(lambda: slow_sender(far, DATA[:length], step))
            receive(lane, file.fileno(), offset, length)
            sender.result()
            assert os.pread(file.fileno(), offset + length + 1, 0) == bytes(offset) + DATA[:length]
        lane.close()
        far.close()
        return splice.drains

    @pytest.mark.parametrize("offset", [0, 1000, PAGE * 2 + 1])
    def test_drains_end_on_pages(self, monkeypatch, tmp_path, offset):
        # More than the pipe holds: on a busy machine, all that fits may have come before somebody looks.
        drains = self.run(monkeypatch, tmp_path, CountingSplice, offset, PIPE_SIZE + 300_000, 1448)
        assert len(drains) > 1
        assert [end % PAGE for _start, end in drains[:-1]] == [0] * (len(drains) - 1)

    def test_drains_that_come_short(self, monkeypatch, tmp_path):
        self.run(monkeypatch, tmp_path, ShortSplice, 0, 50_000, 5000)


def test_without_os_splice_the_plain_loop_runs(monkeypatch, file):
    monkeypatch.setattr(lane_module, "_can_splice", False)
    near, far = tcp_pair()
    lane = Lane(near, "peer", True)
    far.sendall(DATA[:10_000])
    receive(lane, file, 0, 10_000)
    assert lane._pipe is None
    lane.close()
    far.close()


def test_pipe_of_the_size_that_is_granted(monkeypatch, file):
    def refuse(fd, command, value):
        raise PermissionError(errno.EPERM, "no")

    monkeypatch.setattr(lane_module.fcntl, "fcntl", refuse)
    near, far = tcp_pair()
    lane = Lane(near, "peer", True)
    sender = Background(lambda: far.sendall(DATA))
    receive(lane, file, 0, len(DATA))
    sender.result()
    assert os.pread(file, len(DATA), 0) == DATA
    lane.close()
    far.close()


class TestMemory:
    def test_views(self, lane):
        lane.from_view(memoryview(DATA)[:200_000])
        assert lane.far.recv(200_000, socket.MSG_WAITALL) == DATA[:200_000]
        lane.far.sendall(DATA[:5000])
        got = bytearray(5000)
        at = 0
        while at < 5000:
            at += lane.to_view(memoryview(got)[at:])
        assert got == DATA[:5000]

    @pytest.mark.parametrize("more", [False, True])
    def test_write(self, lane, more):
        lane.write(b"header", more)
        lane.write(b"rest")
        assert lane.far.recv(10, socket.MSG_WAITALL) == b"headerrest"

    def test_read_in_parts(self, lane):
        reader = Background(lambda: lane.read(40))
        for byte in range(40):
            lane.far.sendall(bytes([byte]))
        assert reader.result() == bytes(range(40))


class TestEnds:
    def test_orderly_end(self, lane):
        lane.far.close()
        assert lane.read(40) == b""

    def test_amid_a_header(self, lane):
        lane.far.sendall(b"half")
        lane.far.close()
        with pytest.raises(PeerLost, match="header"):
            lane.read(40)

    @pytest.mark.parametrize("sent", [0, 10, PAGE, 100_000])
    def test_amid_a_piece(self, lane, file, sent):
        lane.far.sendall(DATA[:sent])
        lane.far.close()
        with pytest.raises(PeerLost):
            receive(lane, file, 0, 200_000)

    def test_amid_a_piece_in_memory(self, lane):
        lane.far.close()
        with pytest.raises(PeerLost):
            lane.to_view(memoryview(bytearray(10)))

    @pytest.mark.parametrize("call", ["read", "to_file", "to_view"])
    def test_reset_while_receiving(self, lane, file, call):
        calls = {
            "read": lambda: lane.read(40),
            "to_file": lambda: lane.to_file(file, 0, 1000),
            "to_view": lambda: lane.to_view(memoryview(bytearray(10))),
        }
        reset(lane.far)
        with pytest.raises(PeerLost) as caught:
            calls[call]()
        assert caught.value.fields["peer"] == "peer"

    @pytest.mark.parametrize("call", ["write", "from_view", "from_file"])
    def test_peer_goes_while_sending(self, lane, file, call):
        os.pwrite(file, DATA, 0)
        calls = {
            "write": lambda: lane.write(DATA),
            "from_view": lambda: lane.from_view(memoryview(DATA)),
            "from_file": lambda: lane.from_file(file, 0, len(DATA)),
        }
        reset(lane.far)
        with pytest.raises(PeerLost):
            for _unused in range(3):
                calls[call]()

    def test_file_that_got_shorter(self, lane, file):
        os.pwrite(file, DATA[:5000], 0)
        assert lane.from_file(file, 0, 9000) == 5000
        assert lane.from_file(file, 5000, 100) == 0


class TestWhoseErrorItIs:
    def test_disk_full(self, lane, file, monkeypatch):
        if hasattr(os, "splice"):
            monkeypatch.setattr(os, "splice", FullDiskSplice(os.splice))
        monkeypatch.setattr(os, "pwrite", full_disk_pwrite)
        lane.far.sendall(DATA[:5000])
        with pytest.raises(OSError) as caught:
            lane.to_file(file, 0, 5000)
        assert caught.value.errno == errno.ENOSPC

    def test_file_that_cannot_be_written(self, lane, tmp_path):
        path = tmp_path / "read only"
        path.write_bytes(DATA[:100])
        with open(str(path), "rb") as file:
            lane.far.sendall(DATA[:5000])
            with pytest.raises(OSError):
                lane.to_file(file.fileno(), 0, 5000)

    def test_file_that_cannot_be_read(self, lane, tmp_path):
        fd = os.open(str(tmp_path), os.O_RDONLY)
        try:
            with pytest.raises(OSError):
                lane.from_file(fd, 0, 100)
        finally:
            os.close(fd)

    def test_read_error_of_the_disk(self, lane, file, monkeypatch):
        def broken(out, source, offset, count):
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        monkeypatch.setattr(os, "sendfile", broken)
        with pytest.raises(OSError) as caught:
            lane.from_file(file, 0, 100)
        assert caught.value.errno == errno.EIO


class TestAbort:
    """A thread in a socket call is freed at once by another one."""

    CALLS = ("read", "to_file", "to_file with bytes in the pipe", "to_view", "write", "from_view", "from_file")

    @pytest.mark.parametrize("call", CALLS)
    def test_frees_the_owner(self, lane, file, call):
        os.truncate(file, 64 << 20)
        entered = threading.Event()
        if call == "to_file with bytes in the pipe":
            lane.far.sendall(DATA[:100])
        calls = {
            "read": lambda: lane.read(40) or pytest.fail("not an orderly end"),
            "to_view": lambda: lane.to_view(memoryview(bytearray(10))),
            "write": lambda: lane.write(bytes(64 << 20)),
            "from_view": lambda: lane.from_view(memoryview(bytes(64 << 20))),
            "from_file": lambda: lane.from_file(file, 0, 64 << 20) == 64 << 20,
        }

        def work():
            entered.set()
            try:
                calls.get(call, lambda: lane.to_file(file, 0, 10_000))()
            except PeerLost:
                return "freed"
            except pytest.fail.Exception:
                return "orderly"

        thread = Background(work)
        assert entered.wait(PATIENCE_S)
        time.sleep(0.02)  # into the system call
        started = time.monotonic()
        lane.abort()
        # For a reader that stands between two pieces an abort looks like the peer's orderly end.
        assert thread.result() == ("orderly" if call == "read" else "freed")
        assert time.monotonic() - started < PATIENCE_S / 2

    def test_before_and_after(self, lane, file):
        lane.abort()
        lane.abort()
        with pytest.raises(PeerLost):
            lane.to_file(file, 0, 10)
        lane.close()
        lane.abort()
        lane.close()

    def test_when_the_peer_is_gone(self, lane):
        reset(lane.far)
        lane.abort()


def open_descriptors():
    return set(os.listdir("/proc/self/fd"))


def test_close_releases_all_descriptors(use_splice, file):
    before = open_descriptors()
    near, far = tcp_pair()
    lane = Lane(near, "peer", use_splice)
    far.sendall(DATA[:5000])
    far.close()
    with pytest.raises(PeerLost):  # and bytes are left in the pipe
        receive(lane, file, 0, 9000)
    lane.close()
    assert open_descriptors() == before


def test_says_what_it_waits_for(lane, file):
    assert lane.is_waiting_for_peer
    lane.far.sendall(DATA[:100])
    lane.to_file(file, 0, 100)
    assert not lane.is_waiting_for_peer
    lane.far.sendall(b"x")
    lane.read(1)
    assert lane.is_waiting_for_peer


def test_an_empty_pipe_waits_for_bytes_on_any_kind_of_socket(use_splice, tmp_path):
    """Not only on TCP, where the flag that keeps a full pipe from blocking says nothing about the socket."""
    near, far = socket.socketpair()
    made = Lane(near, "peer", use_splice)
    fd = os.open(str(tmp_path / "target"), os.O_RDWR | os.O_CREAT)
    try:
        reading = Background(lambda: made.to_file(fd, 0, 10))
        time.sleep(0.05)  # long enough for a call that does not wait to have failed
        far.sendall(b"0123456789")
        assert reading.result() == 10
        assert os.pread(fd, 20, 0) == b"0123456789"
    finally:
        made.close()
        far.close()
        os.close(fd)


class TestWhoIsWaitedFor:
    """A thread in sendfile is in one call: whether the file or the peer holds it up, the socket's queue says."""

    @pytest.fixture
    def file(self, tmp_path):
        path = tmp_path / "file"
        path.write_bytes(DATA)
        fd = os.open(path, os.O_RDONLY)
        yield fd
        os.close(fd)

    def test_a_file_that_gives_nothing(self, lane, file, monkeypatch):
        is_free, real = threading.Event(), os.sendfile

        def hang(*arguments):
            is_free.wait(PATIENCE_S)
            return real(*arguments)

        assert not lane.is_waiting_for_file
        monkeypatch.setattr(lane_module.os, "sendfile", hang)
        sending = Background(lambda: lane.from_file(file, 0, 1000))
        wait_for(lambda: lane.is_waiting_for_file)
        assert lane.sent == 0
        is_free.set()
        assert sending.result() == 1000
        assert not lane.is_waiting_for_file and lane.sent == 1000

    def test_a_peer_that_takes_nothing(self, lane, file):
        def send():
            while True:
                lane.from_file(file, 0, len(DATA))

        sending = Background(send)
        wait_for(lambda: lane.sent > 0)
        for _unused in range(50):
            assert not lane.is_waiting_for_file
            time.sleep(0.01)
        lane.abort()
        with pytest.raises(PeerLost):
            sending.result()


def wait_for(is_so):
    end = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.005)
