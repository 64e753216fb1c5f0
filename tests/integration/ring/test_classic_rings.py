# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rings in which some nodes are originals: every place, every form, and every way to cut the bytes."""

from __future__ import annotations

import pytest

from ansible_collections.dolly.ring.tests.integration.ring.images import MIB
from ansible_collections.dolly.ring.tests.integration.ring.networks import call
from ansible_collections.dolly.ring.tests.integration.ring.rack import EVERYWHERE

SIZE = 2 * MIB + 4321


@pytest.mark.parametrize("ring", ["o", "oo", "oxx", "xox", "xxo", "oxo"])
def test_a_server_that_is_an_original(classic, ring):
    classic.start_ring(ring)
    classic.serve_original(classic.image(SIZE))
    classic.check_classic(classic.image(SIZE))
    assert "Clients done." in classic.server.log
    for index in range(1, len(ring) + 1):
        assert classic.server.log.count("Host ready '%s'.\n" % classic.address(index)) == 1
        assert classic.server.log.count("Host got parameters '%s'.\n" % classic.address(index)) == 1


@pytest.mark.parametrize("ring", ["x", "xx", "oxo", "xox"])
def test_a_server_that_is_ours(classic, ring):
    classic.start_ring(ring)
    classic.serve_ours(classic.image(SIZE))
    classic.check_classic(classic.image(SIZE))
    rows = classic.rows()
    assert [row.state for row in rows.values()] == ["done"] * len(ring)
    assert not any(row.verified for row in rows.values())


@pytest.mark.parametrize("ring", ["oxoxox", "xoxxxx", "oooooo"])
def test_trees(classic, ring):
    """Fanout 2, depth 3. An original with two children of its own is no part of it: 0.64 hangs there."""
    classic.start_ring(ring)
    classic.serve_original(classic.image(SIZE), extra="fanout 2")
    classic.check_classic(classic.image(SIZE))
    assert "Clients done." in classic.server.log


def test_a_tree_of_our_server(classic):
    classic.start_ring("oxxo")
    classic.serve_ours(classic.image(SIZE), "--fanout", "3")
    classic.check_classic(classic.image(SIZE))


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 4097, 300_000])
def test_sizes(classic, size):
    classic.start_ring("oxo")
    classic.serve_original(classic.image(size))
    classic.check_classic(classic.image(size))


@pytest.mark.parametrize("length, drip", [
    (1447, 0), (1448, 0), (1449, 0), (1448, 1448), (1449, 1448), (1400, 700), (300, 7), (2896, 0), (4095, 0),
])  # fmt: skip
def test_texts_of_any_length_however_they_are_cut(classic, length, drip):
    """Our node takes it in any pieces and passes it on in one: the original behind it takes one read for all.

    What is more than 1448 bytes here lies behind endconfig.
    """
    classic.start_ring("oox" if length != 2896 else "oo")
    text = classic.text(extra="segsize 1400", length=length)
    assert len(text) == length and (text.endswith(b"endconfig\n") or length > 1449)
    classic.serve_original(classic.image(1), "drip=%d" % drip, text=text)
    classic.check_classic(classic.image(1))


@pytest.mark.parametrize("length", [1447, 1448, 1449])
def test_our_server_sends_a_text_as_it_stands(classic, tmp_path, length):
    classic.start_ring("x")
    image = classic.image(1)
    text = classic.text(extra="segsize 1400", length=length)
    path = tmp_path / "dollytab"
    path.write_bytes(text)
    classic.serve_ours(image, "-f", str(path))
    classic.check_classic(image)
    assert classic.clients[1].log.count("text of %d bytes" % (1449 if length == 1448 else length)) == 1


@pytest.mark.parametrize("pieces", ["drip-length=1", "drip-length=5", "repeat=2"])
def test_a_length_in_pieces_or_more_than_once(classic, pieces):
    classic.start_ring("o" if pieces != "repeat=2" else "oo")
    classic.serve_original(classic.image(SIZE), pieces)
    classic.check_classic(classic.image(SIZE))


def test_a_length_before_the_data(classic):
    classic.start_ring("oo")
    classic.serve_original(classic.image(SIZE), "early=1")
    classic.check_classic(classic.image(SIZE))


@pytest.mark.parametrize("ring, size, is_ours", [
    ("ox", SIZE, True), ("xo", SIZE, True), ("oxo", 4097, True), ("ooo", 8193, True), ("xx", 12289, True),
    ("xx", 1, True), ("xx", 4097, True), ("oxx", SIZE, True),
    ("ox", SIZE, False), ("xo", SIZE, False), ("oxo", 4097, False), ("ooo", 8193, False),
])  # fmt: skip
def test_further_interfaces(machines_classic, undo, ring, size, is_ours, tmp_path):
    """Machine 1 has the addresses 10.99.0.2 and 10.99.0.20, and so on: `add 1:0` makes the one of the other."""
    rack = machines_classic
    for index, letter in enumerate(ring, 1):
        further = rack.address(index) + "0/24"
        call(*rack.network.command(index, ["ip", "address", "add", further, "dev", "eth0"]))
        undo(*rack.network.command(index, ["ip", "address", "del", further, "dev", "eth0"]))
        if letter == "o":
            rack.start_ours(index, bind=EVERYWHERE)
        else:
            rack.start_original(index, "name=" + rack.address(index), bind="0.0.0.0")
    image = rack.image(size)
    text = rack.text(extra="add 1:0")
    if is_ours:
        path = tmp_path / "dollytab"
        path.write_bytes(text.replace(b"/image", str(image).encode()))
        rack.serve_ours(image, "-f", str(path))
    else:
        rack.serve_original(image, text=text)
    rack.check_classic(image)
