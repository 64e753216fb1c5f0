# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What our nodes say and leave behind when a ring with originals breaks, and what they never do."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.classic.protocol import pack_length
from ansible_collections.dolly.ring.tests.integration.ring import images
from ansible_collections.dolly.ring.tests.integration.ring.images import MIB
from ansible_collections.dolly.ring.tests.integration.ring.processes import until

SIZE = 2 * MIB + 4321
#: A node gives up after so long, and not because on a busy machine the server takes a while to start.
SOON = ("-a", "8")


@contextlib.contextmanager
def parent_of(rack):
    """Connects to node 1 as a parent does: data, then control."""
    with socket.create_connection((rack.address(1), rack.network.port)), socket.create_connection(
        (rack.address(1), rack.network.port - 1)
    ) as control:
        yield control


def test_a_stream_that_is_too_short(classic):
    """An original exits 0 here."""
    classic.target(1).write_bytes(b"old")
    classic.start_ours(1)
    classic.serve_original(classic.image(SIZE), "short=100")
    assert classic.clients[1].wait() == 4
    classic.server.wait()
    assert "after %d of %d bytes" % (SIZE, SIZE + 100) in classic.clients[1].log
    assert classic.target(1).read_bytes() == b"old"
    assert "answer b''" in classic.server.log


def test_a_parent_that_dies(classic):
    for index in (1, 2):
        classic.start_ours(index)
    classic.serve_original(classic.image(SIZE), "die-after=%d" % MIB)
    for index in (1, 2):
        assert classic.clients[index].wait() == 4
        assert "was lost" in classic.clients[index].log
        assert not classic.target(index).exists()


def test_a_parent_that_dies_while_the_ring_is_built(classic):
    """Nothing is written, and nothing is left behind."""
    client = classic.start_ours(1)
    classic.await_listening()
    with parent_of(classic) as control:
        control.sendall(classic.text())
        assert control.recv(9).startswith(b"Host got")
    assert client.wait() == 4
    assert [path for path in classic.node_folder(1).iterdir() if "out.img" in path.name] == []


@pytest.mark.parametrize("hears_the_answer", [True, False])
def test_a_parent_that_resets_at_the_end(classic, hears_the_answer):
    """The copy is good; that the parent has gone by now takes nothing from it."""
    image = classic.image(SIZE)
    client = classic.start_ours(1)
    classic.await_listening()
    with socket.create_connection((classic.address(1), classic.network.port)) as data, socket.create_connection(
        (classic.address(1), classic.network.port - 1)
    ) as control:
        control.sendall(classic.text())
        words = b""
        while b"ready" not in words:
            words += control.recv(100)
        data.sendall(image.read_bytes())
        control.sendall(pack_length(SIZE))
        if hears_the_answer:
            until(lambda: control.recv(1000) == pack_length(SIZE), "the answer")
        else:
            until(classic.target(1).exists, "the copy")
        control.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert client.wait() == 0, client.log
    classic.check_copy(1, image)


def test_a_node_in_the_middle_that_dies(classic):
    image = classic.image(SIZE)
    classic.start_ours(1)
    classic.start_original(2, "die-after=%d" % MIB)
    classic.start_ours(3)
    classic.serve_ours(image)
    assert classic.finish() == 4
    assert classic.clients[1].code == 3
    assert "did not say that it has the image; this node has it" in classic.clients[1].log
    classic.check_copy(1, image)
    assert classic.clients[3].code == 4
    assert not classic.target(3).exists()
    assert [row.state for row in classic.rows().values()] == ["failed"] * 3


def test_one_branch_of_a_tree_that_dies(classic):
    image = classic.image(SIZE)
    classic.start_ours(1)
    classic.start_original(2, "die-after=%d" % MIB)
    for index in (3, 4):
        classic.start_ours(index)
    classic.serve_ours(image, "--fanout", "3")
    assert classic.finish() == 3
    assert [row.state for row in classic.rows().values()] == ["done", "failed", "done", "done"]
    assert classic.address(2) in classic.rows()[2].reason
    for index in (1, 3, 4):
        assert classic.clients[index].code == 0
        classic.check_copy(index, image)


@pytest.mark.parametrize("ring", ["x", "ox"])
def test_an_answer_that_is_too_small(classic, ring):
    """It goes up as it is, past whoever could have known better."""
    if ring == "ox":
        classic.start_ours(1)
    classic.start_original(len(ring), "wrong=1")
    classic.serve_ours(classic.image(SIZE))
    assert classic.finish() == 4
    assert "answered that it has %d bytes of %d" % (SIZE - 1, SIZE) in classic.rows()[1].reason
    if ring == "ox":
        assert classic.clients[1].code == 3


def test_a_host_that_cannot_be_reached(classic):
    before = classic.start_ours(1, *SOON)
    hosts = [classic.address(1), classic.address(7)]
    classic.serve_ours(classic.image(1), *SOON, hosts=hosts)
    assert classic.server.wait() == 4
    assert classic.address(7) in classic.server.out
    assert before.wait() == 4
    assert classic.address(7) in before.log
    assert not classic.target(1).exists()


def test_tries_to_connect_are_counted(classic):
    classic.serve_ours(classic.image(1), "-r", "1", hosts=[classic.address(7)])
    assert classic.server.wait() == 4
    assert "%s port %d" % (classic.address(7), classic.network.port) in classic.server.log


def test_a_child_that_reads_nothing(classic):
    classic.start_ours(1, *SOON)
    classic.start_original(2, "deaf=1")
    image = classic.image(32 * MIB)
    classic.serve_ours(image, *SOON)
    assert classic.server.wait() == 4
    assert classic.clients[1].wait() == 3
    classic.check_copy(1, image)


def test_a_pause_that_is_too_long(classic):
    classic.start_ours(1, *SOON)
    classic.serve_original(classic.image(1), "pause=60")
    assert classic.clients[1].wait() == 4
    assert "waiting for the first byte" in classic.clients[1].log


def test_nobody_comes(classic):
    classic.start_ours(1, "-a", "1")
    assert classic.clients[1].wait() == 4
    assert "waiting for a dollytab" in classic.clients[1].log


def test_told_to_end(classic):
    client = classic.start_ours(1)
    classic.await_listening()
    client.send(signal.SIGTERM)
    assert client.wait() == 4
    assert "SIGTERM" in client.log


# --- where it writes --------------------------------------------------------------------------------------


def test_a_path_that_came_over_the_wire_is_not_written_to(classic):
    precious = classic.folder / "precious"
    precious.write_text("data")
    classic.start_ours(1)
    classic.serve_original(classic.image(SIZE), outfile=str(precious))
    classic.check_classic(classic.image(SIZE))
    assert precious.read_text() == "data"


def test_without_a_target_nobody_listens(classic):
    client = classic.start_program("without-a-target", 1, "--classic")
    assert client.wait() == 1
    assert "-O" in client.log and "--trust-sender-path" in client.log and "listening" not in client.log


def test_a_path_that_is_trusted(classic):
    classic.start_ours(1, "--trust-sender-path")
    classic.serve_original(classic.image(SIZE), outfile=str(classic.target(1)))
    classic.check_classic(classic.image(SIZE))


def test_a_target_that_is_refused_at_once(classic):
    client = classic.start_ours(1, "-O", "/dev/no-such-disk-%d" % os.getpid())
    assert client.wait() == 1
    assert "no such device" in client.log and "listening" not in client.log


def test_a_disk_larger_than_the_image(classic, make_disk):
    image = classic.image(SIZE)
    device, backing = make_disk(4 * MIB)
    tail = backing.read_bytes()[SIZE:]
    classic.start_ours(1, "-O", str(device))
    classic.start_original(2)
    classic.serve_original(image)
    assert classic.finish() == 0
    assert classic.clients[1].code == 0
    assert images.digest(backing, SIZE) == images.digest(image)
    assert backing.read_bytes()[SIZE:] == tail


def test_a_disk_smaller_than_the_image(classic, make_disk):
    device, _backing = make_disk(MIB)
    classic.start_ours(1, "-O", str(device))
    classic.serve_original(classic.image(SIZE))
    assert classic.clients[1].wait() == 1
    assert "too small" in classic.clients[1].log


# --- who else comes ---------------------------------------------------------------------------------------


def test_strangers_do_not_disturb(classic):
    """A port scan, somebody who says nothing, and somebody who says the wrong thing."""
    classic.start_ours(1)
    classic.await_listening()
    ports = (classic.network.port, classic.network.port - 1)
    with contextlib.ExitStack() as stack:
        for port in ports:
            socket.create_connection((classic.address(1), port)).close()
            for source in ("127.0.0.1", "127.9.9.9"):
                silent = socket.create_connection((classic.address(1), port), source_address=(source, 0))
                stack.enter_context(silent)
        loud = stack.enter_context(socket.create_connection((classic.address(1), ports[1])))
        loud.sendall(b"x" * 5000)
        with contextlib.suppress(ConnectionResetError):
            assert loud.recv(1) == b""
        classic.serve_original(classic.image(SIZE))
        classic.check_classic(classic.image(SIZE))


@pytest.mark.parametrize("text, reason", [
    (b"infile a\noutfile b\nserver s\nfirstclient x\nlastclient x\nclients 1\n10.1.2.3\nendconfig\n", "MYNODENAME"),
    (b"hello\nendconfig\n", "expected one of"),
    (b"dummy 5\nclients 1\nNODE\nendconfig\n", "--dummy on this node"),
])  # fmt: skip
def test_texts_that_are_refused(classic, text, reason):
    client = classic.start_ours(1)
    classic.await_listening()
    with parent_of(classic) as control:
        control.sendall(text.replace(b"NODE", classic.address(1).encode()))
        assert control.recv(100) == b""
    assert client.wait() == 1
    assert reason in client.log
    assert not classic.target(1).exists()


def test_a_text_that_is_too_long_or_says_nothing_is_not_sent(classic, tmp_path):
    path = tmp_path / "dollytab"
    for text, reason in ((classic_text(300), "4095"), (b"infile a\n", "clients")):
        path.write_bytes(text)
        program = classic.serve_ours(classic.image(1), "-f", str(path))
        assert program.wait() == 1
        assert reason in program.log


def classic_text(count):
    hosts = "".join("a-long-name-of-a-host-%d\n" % number for number in range(count))
    head = "infile a\noutfile b\nserver s\nfirstclient x\nlastclient x\n"
    return ("%sclients %d\n%sendconfig\n" % (head, count, hosts)).encode()


def test_a_dollytab_in_another_order_is_put_in_theirs(classic, tmp_path):
    classic.start_original(1)
    classic.start_ours(2)
    path = tmp_path / "dollytab"
    image = classic.image(SIZE)
    hosts = "%s\n%s\n" % (classic.address(1), classic.address(2))
    path.write_text("# ours\n%sfanout 2\nserver the-server\noutfile o\ninfile %s\nendconfig\n" % (hosts, image))
    classic.serve_ours(image, "-f", str(path))
    classic.check_classic(image)


def test_options_of_classic_alone(classic):
    program = classic._start("native", 0, (), ["--control-port", "2"])
    until(program.has_ended, "the end")
    assert program.code == 1
    assert "--classic" in program.log
