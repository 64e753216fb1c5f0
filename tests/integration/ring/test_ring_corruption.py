# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bytes that turn over on a target, on the way, or in the source."""

from __future__ import annotations

import contextlib
import socket
import threading

import pytest

from ansible_collections.dolly.ring.tests.integration.ring.images import CHUNK, MIB

IMAGE_SIZE = 3 * CHUNK + 100
#: In the second chunk.
PLACE = CHUNK + 12345


@pytest.mark.parametrize("bad", [1, 2, 3])
def test_a_byte_that_turns_over_on_a_target_is_repaired(loopback, bad):
    loopback.start_client(bad, fault=["flip-once=%d" % PLACE])
    loopback.start_clients(3)
    rows = loopback.clone(loopback.image(IMAGE_SIZE))
    assert rows[bad].repaired == 1
    assert all(rows[index].repaired == 0 for index in range(1, bad))
    # What comes below may have been given the bad byte, which is why everybody looks.
    assert all(rows[index].repaired <= 1 for index in range(bad + 1, 4))
    assert "does not match its digest" in loopback.clients[bad].log


def test_a_chunk_is_asked_for_as_a_repair_from_the_first_moment(loopback):
    """It went out as a plain need for a moment, and came again from a parent that had not looked at its own yet."""
    loopback.start_client(1, fault=["flip-once=%d" % PLACE, "slow-look=1.5"])
    loopback.start_client(2, fault=["late-news=1.2"])
    rows = loopback.clone(loopback.image(IMAGE_SIZE))
    assert (rows[1].repaired, rows[2].repaired) == (1, 1)


def test_a_repair_comes_alone(loopback):
    """Chunks that were right the first time are not written again."""
    written = loopback.folder / "written"
    loopback.start_client(1, fault=["record-writes=%s" % written, "flip-once=%d" % PLACE])
    loopback.start_clients(1)
    loopback.clone(loopback.image(IMAGE_SIZE))
    ranges = [tuple(map(int, line.split())) for line in written.read_text().splitlines()]
    total = sum(end - start for start, end in ranges)
    assert total == IMAGE_SIZE + CHUNK
    again = sorted(ranges)
    for start, end in again:
        if not CHUNK <= start < 2 * CHUNK:
            assert again.count((start, end)) == 1


def test_a_target_that_never_keeps_a_byte_fails_alone(loopback):
    loopback.start_client(2, fault=["flip-always=%d" % PLACE])
    loopback.start_clients(3)
    loopback.start_server(loopback.image(IMAGE_SIZE))
    assert loopback.finish() == 3
    rows = loopback.rows()
    assert [rows[index].state for index in (1, 2, 3)] == ["done", "failed", "done"]
    assert str(CHUNK) in rows[2].reason
    assert not loopback.target(2).exists()
    for index in (1, 3):
        loopback.check_copy(index, loopback.image(IMAGE_SIZE))


@pytest.mark.parametrize("place", [MIB, CHUNK // 2 + 77])
def test_a_byte_that_turns_over_on_the_way_is_repaired(loopback, liar, place):
    """No more than the data is there to be changed: the rest has a MAC."""
    loopback.start_clients(2)
    loopback.use_address(2, liar(loopback.address(9), loopback.address(2), loopback.network.port, place))
    rows = loopback.clone(loopback.image(IMAGE_SIZE))
    assert rows[1].repaired == 0
    assert rows[2].repaired == 1


def test_a_header_that_turns_over_on_the_way_costs_a_connection(loopback, liar):
    """The first piece is as long as a piece may be, and behind it comes the header of the second."""
    loopback.start_clients(1)
    address = liar(loopback.address(9), loopback.address(1), loopback.network.port, CHUNK + 400)
    loopback.use_address(1, address)
    loopback.clone(loopback.image(IMAGE_SIZE))


def test_a_way_that_damages_the_same_bytes_each_time_is_named(loopback, liar):
    """The disk behind it was blamed. Nobody else loses anything, not even those behind that node."""
    image = loopback.folder / "marked"
    image.write_bytes(loopback.image(IMAGE_SIZE).read_bytes())
    with image.open("r+b") as file:
        file.seek(PLACE)
        file.write(Liar.MARK * 4096)
    loopback.start_clients(3)
    address = liar(loopback.address(9), loopback.address(2), loopback.network.port, None)
    loopback.use_address(2, address)
    loopback.start_server(image)
    assert loopback.finish() == 3
    rows = loopback.rows()
    assert [rows[index].state for index in (1, 3)] == ["done", "done"]
    row = rows[2]
    assert "byte %d came damaged from %s 3 times" % (CHUNK, loopback.address(0)) in row.reason
    assert "chunk 1 came damaged from %s\n" % loopback.address(1) in loopback.clients[2].log
    for index in (1, 3):
        loopback.check_copy(index, image)


def test_a_source_that_changes_fails_the_run(loopback):
    image = loopback.image(IMAGE_SIZE)
    loopback.start_clients(2)
    loopback.start_server(image, fault=["slow-source=%d" % (6 * MIB)])
    loopback.await_data(2, MIB)
    with image.open("r+b") as file:
        file.seek(IMAGE_SIZE - 50)
        file.write(b"changed")
    assert loopback.finish() == 4
    assert "changed" in loopback.server.log
    for index in (1, 2):
        assert loopback.clients[index].code != 0
        assert not loopback.target(index).exists()


def test_no_node_is_blamed_for_a_source_that_changes(loopback):
    """The server still digests what comes later when a chunk comes out wrong that changed on its way out."""
    image = loopback.image(6 * CHUNK)
    loopback.start_clients(2)
    faults = ["slow-source=%d" % MIB, "slow-digest=%d" % (8 * MIB)]
    loopback.start_server(image, fault=faults)
    loopback.await_data(1, 64 * 1024)
    with image.open("r+b") as file:
        file.seek(CHUNK - 50)
        file.write(b"changed")
    (loopback.node_folder(0) / "cured").touch()  # the sending: each try takes no time now
    assert loopback.finish() == 4
    assert "changed at byte 0 " in loopback.server.log
    for index, client in loopback.clients.items():
        assert client.code == 4 and "changed at byte 0 " in client.out, client.report()
        assert not loopback.target(index).exists()


class Liar:
    """Passes connections on, and turns over one bit of the first that carries enough to be the data's.

    Without a place it does so in each mark that comes by, at least where one comes by in one piece.
    """

    MARK = b"sixteen letters."

    def __init__(self, address, behind, port, place):
        self._behind, self._port, self._place = behind, port, place
        self._has_lied = False
        self._socks = []
        self._threads = []
        self._door = socket.create_server((address, port))
        self._start(self._welcome)

    def close(self):
        self._door.shutdown(socket.SHUT_RDWR)
        for sock in self._socks:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it has ended
        for thread in self._threads:
            thread.join(10)
        for sock in [self._door, *self._socks]:
            sock.close()

    def _start(self, work, *arguments):
        thread = threading.Thread(target=work, args=arguments)
        self._threads.append(thread)
        thread.start()

    def _welcome(self):
        while True:
            try:
                front, _address = self._door.accept()
            except OSError:
                return
            back = socket.create_connection((self._behind, self._port))
            self._socks += [front, back]
            self._start(self._pass_on, front, back, True)
            self._start(self._pass_on, back, front, False)

    def _pass_on(self, source, target, may_lie):
        passed = 0
        try:
            while True:
                data = bytearray(source.recv(65536))
                if not data:
                    break
                if may_lie and self._place is None:
                    data = data.replace(self.MARK, self.MARK.upper())
                elif may_lie and not self._has_lied and passed <= self._place < passed + len(data):
                    self._has_lied = True
                    data[self._place - passed] ^= 0x01
                passed += len(data)
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            for sock in (source, target):  # one of the ends is gone, and the other one has to hear of it
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def liar():
    """Puts a liar before a node; the address at which it waits."""
    liars = []

    def put(address, behind, port, place):
        liars.append(Liar(address, behind, port, place))
        return address

    yield put
    for one in liars:
        one.close()
