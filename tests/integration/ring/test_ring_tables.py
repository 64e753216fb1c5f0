# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks that are larger than the image, whose partition tables are moved to their ends."""

from __future__ import annotations

import json
import signal
import subprocess

import pytest

from ansible_collections.dolly.ring.tests.integration.loops import attach
from ansible_collections.dolly.ring.tests.integration.ring.images import CHUNK, MIB, digest, make_image
from ansible_collections.dolly.ring.tests.integration.ring.networks import missing_programs

pytestmark = pytest.mark.skipif(bool(missing_programs("sfdisk", "losetup")), reason="missing here: sfdisk or losetup")

IMAGE_SIZE = 4 * CHUNK
MOVES = ('policy={"move_gpt": true}',)
COUNT = 6


def make_table(rack, size=IMAGE_SIZE):
    """An image with a partition table, and with data up to its end."""
    image = rack.image(size)
    with image.open("r+b") as file:
        file.truncate(size)
        for place in (0, size - 64 * 1024):
            file.seek(place)
            file.write(bytes(64 * 1024))
    table = "label: gpt\nstart=2048, name=data\n"
    subprocess.run(["sfdisk", "--quiet", "--no-reread", str(image)], input=table, text=True, check=True)
    return image


def start(rack, devices, *options):
    for index, device in devices.items():
        if not rack.target(index).is_symlink():
            rack.target(index).symlink_to(device)
        rack.start_client(index, "--json", *options, fault=MOVES)
    rack.await_listening()


def check_moved(image, backing):
    """Everything is as in the image but for the table, and that is as if it had been made there."""
    found = subprocess.run(["sfdisk", "--verify", str(backing)], capture_output=True, text=True, check=False)
    assert "No errors detected" in found.stdout and "backup GPT" not in found.stderr, found.stdout + found.stderr
    assert 'name="data"' in subprocess.run(
        ["sfdisk", "--dump", str(backing)], capture_output=True, text=True, check=True
    ).stdout
    wanted, got = image.read_bytes(), backing.read_bytes()[: image.stat().st_size]
    assert got[1024 : len(wanted) - 512] == wanted[1024 : len(wanted) - 512]
    assert got[-512:] == bytes(512)


def told(rack, index):
    return json.loads(rack.clients[index].out)


def test_no_child_gets_a_table_that_was_moved(namespaces, make_disk):
    """One slow link: those before it are through long before those behind it. And again, compared with the image."""
    image = make_table(namespaces)
    disks = {index: make_disk(IMAGE_SIZE + 8 * MIB) for index in range(1, COUNT + 1)}
    namespaces.network.limit_both(4, 7_500_000)
    seen = []
    for options in ((), ("--compare",), ("--compare",)):
        start(namespaces, {index: device for index, (device, _backing) in disks.items()})
        namespaces.start_server(image, "--fanout", "2", *options)
        assert namespaces.finish() == 0
        assert [row.state for row in namespaces.rows().values()] == ["done"] * COUNT
        for _device, backing in disks.values():
            check_moved(image, backing)
        seen.append([told(namespaces, index)["changed"] for index in disks])
        namespaces.next_run()
    assert seen == [[True] * COUNT, [False] * COUNT, [False] * COUNT]


def test_a_disk_that_is_the_image_already_gets_its_table_moved_all_the_same(loopback, make_disk):
    image = make_table(loopback)
    device, backing = make_disk(IMAGE_SIZE + MIB)
    with backing.open("r+b") as file:
        file.write(image.read_bytes())
    start(loopback, {1: device})
    loopback.start_server(image, "--compare")
    assert loopback.finish() == 0
    check_moved(image, backing)
    assert told(loopback, 1)["changed"] and told(loopback, 1)["equal_bytes"] == IMAGE_SIZE


def test_a_moved_table_serves_those_that_lack_the_image(loopback, make_disk):
    """Node 1 has it moved already, node 2 has nothing, and gets all of it from node 1."""
    image = make_table(loopback)
    disks = {index: make_disk(IMAGE_SIZE + 2 * MIB) for index in (1, 2)}
    start(loopback, {1: disks[1][0]})
    loopback.start_server(image)
    assert loopback.finish() == 0
    loopback.next_run()
    start(loopback, {index: device for index, (device, _backing) in disks.items()})
    loopback.start_server(image, "--compare", "--json")
    assert loopback.finish() == 0
    for _device, backing in disks.values():
        check_moved(image, backing)
    assert [told(loopback, index)["changed"] for index in (1, 2)] == [False, True]
    assert json.loads(loopback.server.out)["sent"] == 0


def test_a_table_is_moved_when_the_server_has_gone(loopback, make_disk):
    image = make_table(loopback)
    disks = {index: make_disk(IMAGE_SIZE + 2 * MIB) for index in (1, 2)}
    for index, (device, _backing) in disks.items():
        loopback.target(index).symlink_to(device)
        slow = ("slow-target=%d" % (2 * MIB),) if index == 2 else ()
        loopback.start_client(index, "--json", fault=(*MOVES, *slow))
    loopback.await_listening()
    server = loopback.start_server(image, "--dead-after", "2")
    loopback.clients[1].wait_for_log("the image is complete")
    server.send(signal.SIGKILL)
    loopback.cure(2)
    for index, (_device, backing) in disks.items():
        loopback.clients[index].wait()
        assert told(loopback, index)["state"] == "done"
        check_moved(image, backing)


@pytest.fixture
def wide_disk(folder, undo):
    """A disk with sectors of 4096 bytes, full of old data: its device, and the file in which its bytes end up."""
    backing = make_image(folder / "wide", IMAGE_SIZE, seed=77)
    device = attach(backing, "--sector-size", "4096")
    undo("losetup", "--detach", device)
    return device, backing


@pytest.mark.parametrize("is_allowed", [False, True])
def test_an_image_for_sectors_of_512_bytes_on_a_disk_with_4096(loopback, wide_disk, is_allowed):
    image, (device, backing) = make_table(loopback), wide_disk
    before = digest(backing)
    loopback.target(1).symlink_to(device)
    loopback.start_client(1, *(["--allow-sector-size"] if is_allowed else []))
    loopback.start_clients(1)
    loopback.start_server(image)
    assert loopback.finish() == (0 if is_allowed else 4)
    assert digest(backing) == (digest(image) if is_allowed else before)
    if not is_allowed:
        assert "sectors of 512 bytes" in loopback.server.log and "--allow-sector-size" in loopback.server.log


def test_an_image_that_was_made_on_a_disk_with_such_sectors(loopback, wide_disk, make_disk):
    device, backing = wide_disk
    subprocess.run(["sfdisk", "--quiet", device], input="label: gpt\n,,,\n", text=True, check=True)
    narrow, _backing = make_disk(IMAGE_SIZE)
    loopback.target(1).symlink_to(narrow)
    loopback.start_clients(1)
    loopback.start_server(backing)
    assert loopback.finish() == 4
    assert "sectors of 4096 bytes" in loopback.server.log
