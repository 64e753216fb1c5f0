# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run that was broken off, and the next one: what it need not send, and what it must not believe."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import pytest

from ansible_collections.dolly.ring.tests.integration.ring import images
from ansible_collections.dolly.ring.tests.integration.ring.images import CHUNK, MIB
from ansible_collections.dolly.ring.tests.integration.ring.networks import call
from ansible_collections.dolly.ring.tests.integration.ring.processes import until

COUNT = 6
IMAGE_SIZE = (COUNT - 1) * CHUNK + 12345
#: Two seconds for the whole image: time enough to break it off in its middle.
SLOW = ("slow-source=%d" % (IMAGE_SIZE // 2),)
OFTEN = ("journal-interval=0.05",)


def start(rack, count, *options):
    rack.next_run()
    for index in range(1, count + 1):
        rack.start_client(index, *options, fault=OFTEN)
    rack.await_listening()


def claimed(path):
    """How many chunks a journal claims."""
    try:
        return sum(end - begin for begin, end in json.loads(path.read_text())["chunks"])
    except FileNotFoundError:
        return 0


def break_off(rack, image, count=2, chunks=2, journal=None):
    """A run that is killed, with all its processes, when the last node has written down so many chunks."""
    start(rack, count)
    rack.start_server(image, fault=SLOW)
    journal = journal or rack.journal(count)
    until(lambda: claimed(journal) >= chunks, "the journal %s" % journal)
    for program in rack.programs:
        program.end()
    assert not rack.target(count).exists() or rack.target(count).is_symlink()
    assert claimed(journal) < COUNT


def check_resumed(rack, image, index, least):
    """The node has the image, and was sent no more than it lacked."""
    counts = rack.clients[index].counts
    assert counts.resumed >= least
    assert counts.received == image.stat().st_size - counts.resumed


def test_a_run_that_was_killed_goes_on(loopback):
    image = loopback.image(IMAGE_SIZE)
    break_off(loopback, image)
    known = [claimed(loopback.journal(index)) for index in (1, 2)]
    start(loopback, 2)
    loopback.clone(image)
    for index in (1, 2):
        check_resumed(loopback, image, index, known[index - 1] * CHUNK)
        assert loopback.rows()[index].repaired == 0


def test_the_bytes_on_the_wire(namespaces):
    """By the count of the kernel: what one run of two leaves out is not sent under another name."""
    image = namespaces.image(IMAGE_SIZE)
    break_off(namespaces, image, count=1, chunks=3)
    known = claimed(namespaces.journal(1)) * CHUNK

    def arrived():
        return int(call(*namespaces.network.command(1, ["cat", "/sys/class/net/eth0/statistics/rx_bytes"])))

    start(namespaces, 1)
    before = arrived()
    namespaces.clone(image)
    count = arrived() - before
    missing = IMAGE_SIZE - known
    assert missing <= count + CHUNK  # chunks that were whole on the target when the journal was last written
    assert count < missing + missing // 10 + 200_000, "headers and control frames are not that many"


def test_a_node_that_has_more_than_its_parent_and_one_that_has_less(loopback):
    image = loopback.image(IMAGE_SIZE)
    break_off(loopback, image, count=3)
    known = claimed(loopback.journal(2))  # each node writes its own in its own time
    assert known
    loopback.partial(1).unlink()
    loopback.journal(3).unlink()
    start(loopback, 3)
    loopback.clone(image)
    counts = [loopback.clients[index].counts for index in (1, 2, 3)]
    assert counts[0].resumed == 0 and counts[0].received == IMAGE_SIZE
    assert counts[1].resumed >= known * CHUNK and counts[1].received == IMAGE_SIZE - counts[1].resumed
    assert counts[2].resumed == 0 and counts[2].received == IMAGE_SIZE
    assert counts[1].sent == IMAGE_SIZE


def test_what_somebody_changed_between_is_sent_again(loopback):
    image = loopback.image(IMAGE_SIZE)
    break_off(loopback, image)
    known = claimed(loopback.journal(2))
    with loopback.partial(2).open("r+b") as file:
        file.seek(CHUNK + 77)
        byte = file.read(1)
        file.seek(CHUNK + 77)
        file.write(bytes([byte[0] ^ 1]))
    start(loopback, 2)
    rows = loopback.clone(image)
    counts = loopback.clients[2].counts
    assert counts.resumed == (known - 1) * CHUNK
    assert counts.received == IMAGE_SIZE - counts.resumed
    assert rows[2].repaired == 0  # it was not damaged on the way


def test_another_image_of_the_same_size(loopback):
    break_off(loopback, loopback.image(IMAGE_SIZE))
    other = images.make_image(loopback.folder / "other", IMAGE_SIZE, seed=2)
    with loopback.image(IMAGE_SIZE).open("rb") as same, other.open("r+b") as file:
        file.write(same.read(CHUNK))  # a later version of it, which begins the same
    start(loopback, 2)
    loopback.clone(other)
    for index in (1, 2):
        assert loopback.clients[index].counts.resumed == CHUNK
        assert loopback.clients[index].counts.received == IMAGE_SIZE - CHUNK


def test_another_image_of_another_size(loopback):
    break_off(loopback, loopback.image(IMAGE_SIZE))
    start(loopback, 2)
    loopback.clone(loopback.image(IMAGE_SIZE - CHUNK))
    assert loopback.clients[2].counts.resumed == 0


@pytest.mark.parametrize("damage", ["garbage", "cut short", "empty", "directory"])
def test_a_journal_that_is_none_costs_sending_everything(loopback, damage):
    image = loopback.image(IMAGE_SIZE)
    break_off(loopback, image, count=1)
    journal = loopback.journal(1)
    content = journal.read_bytes()
    journal.unlink()
    if damage == "directory":
        journal.mkdir()
    else:
        journal.write_bytes({"garbage": os.urandom(3000), "cut short": content[:-7], "empty": b""}[damage])
    start(loopback, 1)
    loopback.start_server(image)
    assert loopback.finish() == 0
    assert images.digest(loopback.target(1)) == images.digest(image)
    assert loopback.clients[1].counts.received == IMAGE_SIZE
    if damage == "directory":
        journal.rmdir()
    assert not journal.exists()


def test_a_journal_that_claims_too_much_is_found_out(loopback):
    image = loopback.image(IMAGE_SIZE)
    break_off(loopback, image, count=1)
    journal = loopback.journal(1)
    fields = json.loads(journal.read_text())
    known = claimed(journal)
    journal.write_text(json.dumps({**fields, "chunks": [[0, COUNT]]}))
    start(loopback, 1)
    loopback.clone(image)
    assert known * CHUNK <= loopback.clients[1].counts.resumed < IMAGE_SIZE


def test_zeros_need_not_come_again_and_holes_stay(loopback):
    image = loopback.folder / "sparse.img"
    size = 40 * CHUNK
    with image.open("wb") as file:
        file.truncate(size)
        for index in (0, 20, 39):
            file.seek(index * CHUNK)
            file.write(os.urandom(CHUNK))
    start(loopback, 2)
    loopback.start_server(image, fault=["slow-source=%d" % (4 * MIB)])
    until(lambda: 36 <= claimed(loopback.journal(2)), "the zeros in the journal")
    start(loopback, 2)
    loopback.start_server(image)
    assert loopback.finish() == 0
    for index in (1, 2):
        assert images.same_data(loopback.target(index), image)
        assert images.allocated(loopback.target(index)) <= 4 * CHUNK
    counts = loopback.clients[2].counts
    assert counts.resumed >= 36 * CHUNK and counts.received <= 3 * CHUNK


def test_without_resuming_all_is_sent_and_nothing_kept(loopback):
    image = loopback.image(IMAGE_SIZE)
    break_off(loopback, image, count=1)
    start(loopback, 1, "--no-resume")
    loopback.start_server(image, fault=SLOW)
    until(lambda: not loopback.journal(1).exists(), "the end of the old journal")
    loopback.await_data(1, 3 * CHUNK)
    assert not loopback.journal(1).exists()
    assert loopback.finish() == 0
    assert loopback.clients[1].counts == (IMAGE_SIZE, 0, 0)


def test_without_digests_nothing_is_believed(loopback):
    image = loopback.image(IMAGE_SIZE)
    break_off(loopback, image, count=1)
    start(loopback, 1)
    loopback.clone(image, "--verify", "none")
    assert loopback.clients[1].counts.resumed == 0


def test_a_device(loopback, make_disk):
    image = loopback.image(IMAGE_SIZE)
    device, backing = make_disk(IMAGE_SIZE + MIB)
    loopback.target(1).symlink_to(device)

    def journal():
        found = list(loopback.state.glob("*.journal")) if loopback.state.exists() else []
        return found[0] if found else Path("/nonexistent")

    start(loopback, 1)
    loopback.start_server(image, fault=SLOW)
    until(lambda: claimed(journal()) >= 2, "the journal of a device")
    known = claimed(journal())
    start(loopback, 1)
    loopback.start_server(image)
    assert loopback.finish() == 0
    assert images.digest(backing, IMAGE_SIZE) == images.digest(image)
    counts = loopback.clients[1].counts
    assert counts.resumed >= known * CHUNK and counts.received == IMAGE_SIZE - counts.resumed
    assert list(loopback.state.iterdir()) == []


def test_a_server_that_was_killed(loopback):
    """Its nodes give up by themselves, and what they hold is on record: all of it, not just up to the last journal."""
    image = loopback.image(IMAGE_SIZE)
    for index in (1, 2):
        loopback.start_client(index, "--orphan-timeout", "1")  # and the usual interval between journals
    loopback.await_listening()
    loopback.start_server(image, "--orphan-timeout", "1", fault=SLOW)
    loopback.await_data(2, 3 * CHUNK)
    loopback.server.kill()
    for index in (1, 2):
        assert loopback.clients[index].wait(40) not in (0, 1)
        assert "orphan_timeout" in loopback.clients[index].log
        assert not loopback.target(index).exists()
        assert claimed(loopback.journal(index)) >= 2
    known = [claimed(loopback.journal(index)) for index in (1, 2)]
    start(loopback, 2)
    loopback.clone(image)
    for index in (1, 2):
        assert loopback.clients[index].counts.resumed == known[index - 1] * CHUNK


def test_nodes_that_were_told_to_end(loopback):
    image = loopback.image(IMAGE_SIZE)
    loopback.start_clients(2)
    loopback.start_server(image, fault=SLOW)
    loopback.await_data(2, 3 * CHUNK)
    loopback.server.send(signal.SIGTERM)
    assert loopback.finish() not in (0, 3)
    start(loopback, 2)
    loopback.clone(image)
    assert all(loopback.clients[index].counts.resumed >= 2 * CHUNK for index in (1, 2))


def test_a_partial_file_that_was_copied_to_another_machine_is_no_journal_of_its(loopback):
    image = loopback.image(IMAGE_SIZE)
    break_off(loopback, image, count=1)
    shutil.copy(loopback.journal(1), loopback.journal(2))
    loopback.partial(2).write_bytes(os.urandom(IMAGE_SIZE))
    start(loopback, 2)
    loopback.clone(image)
    assert loopback.clients[2].counts.resumed == 0
