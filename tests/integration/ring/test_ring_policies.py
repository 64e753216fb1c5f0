# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who takes part, and what refuses a run before anything is written."""

from __future__ import annotations

import signal

import pytest

from ansible_collections.dolly.ring.tests.integration.ring import images
from ansible_collections.dolly.ring.tests.integration.ring.images import MIB

IMAGE_SIZE = 5 * MIB
#: How long a parent tries to reach a child that is not there.
SHORT = ("--connect-timeout", "1")


def test_an_unreachable_node_refuses_the_run(rack):
    rack.start_clients(2, *SHORT)
    rack.start_server(rack.image(IMAGE_SIZE), *SHORT, nodes=[1, 3, 2])
    assert rack.finish() == 4
    assert "nothing was written" in rack.server.log and rack.address(3) in rack.server.log
    assert rack.rows()[3].state == "unreachable"
    assert not any(rack.target(index).exists() for index in (1, 2))
    assert not any(rack.partial(index).exists() for index in (1, 2))


@pytest.mark.parametrize("place", [0, 1, 3])
def test_an_unreachable_node_is_left_out_where_that_is_allowed(loopback, place):
    order = [1, 2, 3]
    order.insert(place, 9)
    loopback.start_clients(3, *SHORT)
    loopback.start_server(loopback.image(IMAGE_SIZE), *SHORT, "--min-nodes", "3", nodes=order)
    assert loopback.finish() == 3
    rows = loopback.rows()
    assert rows[9].state == "unreachable" and loopback.address(9) in rows[9].reason
    for index in (1, 2, 3):
        assert rows[index].state == "done" and loopback.clients[index].code == 0
        loopback.check_copy(index, loopback.image(IMAGE_SIZE))


def test_no_client_at_all(loopback):
    loopback.start_server(loopback.image(IMAGE_SIZE), *SHORT, "--min-nodes", "1", nodes=[1, 2])
    assert loopback.finish() == 4
    assert loopback.address(1) in loopback.server.log and loopback.address(2) in loopback.server.log


def test_another_key_gets_nowhere(loopback):
    other = loopback.make_key("other-key", "f" * 64)
    loopback.start_client(2, key=other)
    loopback.start_clients(3, *SHORT)
    loopback.start_server(loopback.image(IMAGE_SIZE), *SHORT, "--min-nodes", "2")
    assert loopback.finish(expected_to_run=[2]) == 3
    rows = loopback.rows()
    assert [rows[index].state for index in (1, 2, 3)] == ["done", "unreachable", "done"]
    for index in (1, 3):
        loopback.check_copy(index, loopback.image(IMAGE_SIZE))
    stranger = loopback.clients[2]
    assert stranger.code is None and "refused a connection" in stranger.log
    stranger.send(signal.SIGTERM)
    stranger.wait()
    assert not list(loopback.node_folder(2).glob("*.img*"))


def test_a_server_with_another_key_gets_nowhere(loopback):
    other = loopback.make_key("other-key", "f" * 64)
    for index in (1, 2):
        loopback.start_client(index, key=other)
    loopback.await_listening()
    loopback.start_server(loopback.image(IMAGE_SIZE), *SHORT)
    assert loopback.finish(expected_to_run=[1, 2]) == 4
    assert not loopback.target(1).exists() and not loopback.partial(1).exists()


def test_the_expected_checksum(loopback):
    image = loopback.image(IMAGE_SIZE)
    loopback.start_clients(2)
    loopback.clone(image, "--checksum", "sha256:" + images.digest(image))


def test_another_checksum_refuses_the_run(loopback):
    image = loopback.image(IMAGE_SIZE)
    loopback.start_clients(2)
    loopback.start_server(image, "--checksum", "sha256:" + "0" * 64)
    assert loopback.finish() == 1
    assert "0" * 64 in loopback.server.log and images.digest(image) in loopback.server.log
    for index in (1, 2):
        assert loopback.clients[index].code != 0
        assert not loopback.target(index).exists() and not loopback.partial(index).exists()


@pytest.mark.parametrize(
    "options, word",
    [
        (["--checksum", "md5:abc"], "checksum"),
        (["--fanout", "0"], "fanout"),
        (["--min-nodes", "-1"], "min"),
        (["--min-nodes", "3"], "min"),
        (["-I", "/no/such/image"], "/no/such/image"),
        (["-I", "/dev/null"], "/dev/null"),
        (["-H", ","], "-H"),
    ],
)
def test_wrong_usage_says_which_option(loopback, options, word):
    loopback.start_server(loopback.image(1), *options, nodes=[1, 2])
    assert loopback.server.wait() == 1
    assert word in loopback.server.log and "Traceback" not in loopback.server.log


@pytest.mark.parametrize("key", ["", "x" * 31, "x" * 4097])
def test_a_key_of_the_wrong_size(loopback, key):
    client = loopback.start_client(1, key=loopback.make_key("bad-key", key))
    assert client.wait() == 1
    assert "32 to 4096 bytes" in client.log


def test_a_port_that_is_taken(loopback):
    loopback.start_clients(1)
    second = loopback.start_client(2, bind=loopback.address(1))
    assert second.wait() == 1
    assert str(loopback.network.port) in second.log


def test_a_client_that_nobody_talks_to_ends(loopback):
    client = loopback.start_client(1, "--join-timeout", "0.5")
    assert client.wait(20) != 0
    assert "join_timeout" in client.log
    assert not loopback.target(1).exists()


def test_a_client_that_nobody_had_linked_hears_of_the_end(loopback):
    """The first client hangs, so nobody has dialled the others when the server gives up: they need not wait on."""
    loopback.start_clients(4, *SHORT)
    loopback.clients[1].send(signal.SIGSTOP)
    loopback.start_server(loopback.image(IMAGE_SIZE), "--barrier-timeout", "1")
    assert loopback.server.wait() == 4
    for index in (2, 3, 4):
        assert loopback.clients[index].wait() != 0
        assert "nothing was written" in loopback.clients[index].log
        assert not loopback.target(index).exists() and not loopback.partial(index).exists()
    loopback.clients[1].kill()
