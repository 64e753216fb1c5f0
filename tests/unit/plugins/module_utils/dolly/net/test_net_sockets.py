# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connecting: what the transport asks for is there on both ends, and a failure says why."""

from __future__ import annotations

import socket
import threading
from unittest import mock

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import PeerLost, UsageError
from ansible_collections.dolly.ring.plugins.module_utils.dolly.net import sockets
from ansible_collections.dolly.ring.plugins.module_utils.dolly.plan.transport import UNTOUCHED, Transport
from ansible_collections.dolly.ring.tests.unit.plugins.module_utils.dolly.net.net_doubles import (
    Background,
    crowded_port,
)

SHAPED = Transport(segsize=500, socket_buffer=64 * 1024)


def connected(listener_has=UNTOUCHED, dialer_has=UNTOUCHED):
    """The segment sizes and receive buffers of the dialer's end and the listener's."""
    with sockets.listen("127.0.0.1", 0) as listener:
        sockets.shape(listener, listener_has)
        dialer = sockets.connect("127.0.0.1", listener.getsockname()[1], 5.0, dialer_has)
        accepted, _address = listener.accept()
        with dialer, accepted:
            assert dialer.gettimeout() is None
            return [
                (
                    end.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG),
                    end.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF),
                )
                for end in (dialer, accepted)
            ]


def test_untouched_by_default():
    segments = [segment for segment, _buffer in connected()]
    assert min(segments) > 1000


def test_buffers_are_left_to_the_kernel_unless_told_otherwise():
    # tcp(7): a buffer that was set, to whatever size, is not tuned any more.
    untouched = mock.Mock(spec=socket.socket)
    sockets.shape(untouched, UNTOUCHED)
    untouched.setsockopt.assert_not_called()


def test_both_ends():
    # socket(7): the kernel doubles the value to have room for its own books.
    assert all(segment <= 500 for segment, _buffer in connected(SHAPED, SHAPED))
    assert [buffer for _segment, buffer in connected(SHAPED, SHAPED)] == [128 * 1024] * 2


@pytest.mark.parametrize("host, reason", [
    ("127.0.0.1", "refused"),
    ("no such host", "no such host port"),
    ("a" * 70, "aaa port"),
])
def test_failures(host, reason):
    with sockets.listen("127.0.0.1", 0) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(PeerLost, match=reason):
        sockets.connect(host, port, 5.0)


def test_nobody_answers():
    with crowded_port() as port, pytest.raises(PeerLost, match="timed out"):
        sockets.connect("127.0.0.1", port, 0.3)


def test_a_connection_that_is_not_wanted_any_more_is_given_up_at_once():
    cancelled = threading.Event()
    with crowded_port() as port:
        dialling = Background(
            lambda: sockets.connect("127.0.0.1", port, 60.0, is_wanted=lambda: not cancelled.is_set())
        )
        cancelled.set()
        with pytest.raises(PeerLost, match="is not wanted any more"):
            dialling.result(3.0)


def test_resolve():
    assert sockets.resolve("127.0.0.1", 4) == "127.0.0.1"
    assert sockets.resolve("::1", 6) == "::1"
    with pytest.raises(UsageError, match="IPv6"):
        sockets.resolve("127.0.0.1", 6)


def test_the_first_free_port_of_a_range_is_taken():
    with sockets.listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        last = min(port + 20, 65535)
        with sockets.listen_within("127.0.0.1", port, last) as second:
            assert port < second.getsockname()[1] <= last
        with pytest.raises(UsageError, match="in use"):
            sockets.listen_within("127.0.0.1", port, port)
        with pytest.raises(UsageError, match=r"192\.0\.2\.1"):
            sockets.listen_within("192.0.2.1", port, last)


def test_addresses_as_people_write_them():
    """A door for both versions of IP sees 127.0.0.1 as ::ffff:127.0.0.1."""
    with sockets.listen("", 0) as listener, sockets.connect("127.0.0.1", listener.getsockname()[1], 5.0) as dialer:
        accepted, _address = listener.accept()
        with accepted:
            assert sockets.name_of(accepted) == "127.0.0.1 port %d" % dialer.getsockname()[1]
            assert sockets.local_host(accepted) == "127.0.0.1"
