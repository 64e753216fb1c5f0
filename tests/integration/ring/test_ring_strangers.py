# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whoever can reach a port of a run without its key: nothing comes of it, and nothing leaks."""

from __future__ import annotations

import base64
import binascii
import os
import resource
import socket
import time
from pathlib import Path

import pytest

from ansible_collections.dolly.ring.tests.integration.ring.images import MIB
from ansible_collections.dolly.ring.tests.integration.ring.rack import KEY

IMAGE_SIZE = 8 * MIB
SLOW = ("slow-source=%d" % (6 * MIB),)


@pytest.fixture
def call_up():
    """Connects to an address, and closes all of these connections in the end."""
    socks = []

    def connect(address, port):
        sock = socket.create_connection((address, port), timeout=5)
        socks.append(sock)
        return sock

    yield connect
    for sock in socks:
        sock.close()


GARBAGE = [
    b"GET / HTTP/1.1\r\nHost: node\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    b"\0" * 8192,
    b"\xff" * 8192,
    os.urandom(65536),
    b"SSH-2.0-OpenSSH_9.2\r\n",
]


def test_garbage_during_a_run(loopback, call_up):
    loopback.start_clients(2)
    loopback.start_server(loopback.image(IMAGE_SIZE), fault=SLOW)
    loopback.await_data(2, MIB)
    for index in (1, 2):
        for garbage in GARBAGE:
            sock = call_up(loopback.address(index), loopback.network.port)
            try:
                sock.sendall(garbage)
            except ConnectionError:
                pass  # it has heard enough
    assert loopback.finish() == 0
    for index in (1, 2):
        loopback.check_copy(index, loopback.image(IMAGE_SIZE))
        assert "Traceback" not in loopback.clients[index].log


def test_a_port_scan_and_callers_who_say_nothing(loopback, call_up):
    """More of them than may wait; also before the run, when the parent still has to get in."""
    loopback.start_clients(2)
    address, port = loopback.address(1), loopback.network.port
    for _number in range(50):
        call_up(address, port).close()
    silent = [call_up(address, port) for _number in range(150)]
    loopback.start_server(loopback.image(IMAGE_SIZE), fault=SLOW)
    loopback.await_data(2, MIB)
    slow = [call_up(loopback.address(2), port) for _number in range(80)]
    for sock in silent + slow:
        try:
            sock.sendall(b"\0")
        except ConnectionError:
            pass  # it had to go to make room
    assert loopback.finish() == 0
    for index in (1, 2):
        loopback.check_copy(index, loopback.image(IMAGE_SIZE))


def test_strangers_do_not_take_the_last_descriptors(loopback, call_up):
    """A node that may have few: no parent is kept out, its target can be opened, and nothing turns in circles."""
    loopback.start_clients(2)
    client = loopback.clients[1]
    limit = len(os.listdir("/proc/%d/fd" % client.pid)) + 24
    resource.prlimit(client.pid, resource.RLIMIT_NOFILE, (limit, limit))
    silent = [call_up(loopback.address(1), loopback.network.port) for _number in range(60)]
    before = client.cpu_s()
    time.sleep(1.0)
    assert client.cpu_s() - before < 0.3
    loopback.start_server(loopback.image(IMAGE_SIZE), fault=SLOW)
    loopback.await_data(2, MIB)
    silent += [call_up(loopback.address(1), loopback.network.port) for _number in range(60)]
    assert loopback.finish() == 0
    for index in (1, 2):
        loopback.check_copy(index, loopback.image(IMAGE_SIZE))
    assert "Traceback" not in client.log


def test_a_slow_caller_is_let_go(loopback, call_up):
    loopback.start_client(1, "--handshake-timeout", "0.5")
    loopback.await_listening()
    sock = call_up(loopback.address(1), loopback.network.port)
    sock.sendall(b"\0")
    sock.settimeout(20)
    try:
        assert sock.recv(1) == b""
    except ConnectionError:
        pass  # that is an end as well
    loopback.clone(loopback.image(MIB))


def test_the_secret_is_nowhere_to_be_seen(loopback):
    loopback.start_clients(2)
    loopback.start_server(loopback.image(IMAGE_SIZE), fault=SLOW)
    loopback.await_data(2, MIB)
    seen = b""
    for program in loopback.programs:
        for name in ("cmdline", "environ"):
            seen += Path("/proc/%d/%s" % (program.pid, name)).read_bytes()
    assert loopback.finish() == 0
    seen += loopback.report().encode()
    key = KEY.encode()
    for shape in (key, binascii.hexlify(key), base64.b64encode(key)[:80], repr(binascii.unhexlify(key)).encode()):
        assert shape not in seen
