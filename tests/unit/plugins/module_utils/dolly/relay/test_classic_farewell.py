# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A client of a classic ring that has the image has it whether its parent hears of that or not."""

from __future__ import annotations

import socket
import struct

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.classic import protocol
from ansible_collections.dolly.ring.plugins.module_utils.dolly.classic.child import HopOptions
from ansible_collections.dolly.ring.plugins.module_utils.dolly.classic.client import ClassicClient
from ansible_collections.dolly.ring.plugins.module_utils.dolly.classic.parent import Parent
from ansible_collections.dolly.ring.tests.unit.plugins.module_utils.dolly.net.net_doubles import tcp_pair
from ansible_collections.dolly.ring.tests.unit.plugins.module_utils.dolly.relay.relay_doubles import (
    MemoryTarget,
    until,
)

IMAGE = bytes(range(256))


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def has_ended(sock):
    try:
        return not sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True


@pytest.mark.parametrize("is_first", [False, True], ids=["while it lingers", "before the answer"])
def test_a_parent_that_resets_during_the_farewell(is_first):
    log = []
    options = HopOptions(0, 0)
    client = ClassicClient("127.0.0.1", options, None, None, log.append, lambda client: None)
    near, far = tcp_pair()
    parent = client._parent = Parent(near, protocol.FromParent("parent"), options)
    store = client.store = MemoryTarget().begin(len(IMAGE))
    client.flow.end(len(IMAGE))
    client.flow.add(len(IMAGE))
    if is_first:
        say = parent.say
        parent.say = lambda line: (reset(far), until(lambda: has_ended(near)), say(line))
    else:
        linger = parent.linger
        parent.linger = lambda patience: (reset(far), until(lambda: has_ended(near)), linger(patience))
    try:
        client._finish(store)
        assert (client.is_whole, client.lost, store.events) == (True, [], ["commit"])
        assert is_first == any("has not heard" in line for line in log)
    finally:
        client._clean_up(None)
