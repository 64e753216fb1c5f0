# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The other options together with --classic: reports, statistics, no flush, names, and runs without disks."""

from __future__ import annotations

import json
import socket

import pytest

from ansible_collections.dolly.ring.tests.integration.ring.images import MIB

SIZE = 2 * MIB + 4321


def test_documents_and_statistics(classic):
    image = classic.image(SIZE)
    log = classic.folder / "log"
    classic.start_ours(1, "--json", "-n", "-u", "64k")
    classic.start_original(2)
    classic.serve_ours(image, "--json", "-o", str(log), "--segsize", "1400", "-c", "4000000")
    assert classic.finish() == 0
    result = json.loads(classic.server.out)
    assert (result["role"], result["state"], result["exit_code"], result["verified"]) == ("server", "done", 0, False)
    assert [node["state"] for node in result["nodes"]] == ["done", "done"]
    own = json.loads(classic.clients[1].out)
    assert (own["role"], own["name"], own["state"]) == ("client", classic.address(1), "done")
    assert (own["bytes"], own["synced"], own["exit_code"]) == (SIZE, False, 0)
    header, line = log.read_text().splitlines()
    assert header.split("  ") == [
        "Trans. data [MB]", "Segsize [Byte]", "Clients [#]", "Time [s]", "Dataflow [MB/s]", "Agg. dataflow [MB/s]"
    ]  # fmt: skip
    assert line.split()[:3] == ["4.000", "1400", "2"]
    classic.check_copy(1, image)
    classic.check_copy(2, image)


def test_options_win_over_the_file(classic, tmp_path):
    """Fanout 2 and not a list: node 1 has no child, so that it is done although node 2 dies."""
    path = tmp_path / "dollytab"
    classic.start_ours(1)
    classic.start_original(2, "die-after=%d" % MIB)
    path.write_bytes(classic.text())
    classic.serve_ours(classic.image(SIZE), "-f", str(path), "-s", "--fanout", "2")
    assert classic.finish() == 3
    assert [row.state for row in classic.rows().values()] == ["done", "failed"]
    assert "the configuration names the-server as the server" in classic.server.log


def test_a_failure_as_a_document(classic):
    classic.serve_ours(classic.image(1), "--json", "-a", "1", hosts=[classic.address(7)])
    assert classic.server.wait() == 4
    result = json.loads(classic.server.out)
    assert (result["state"], result["exit_code"]) == ("failed", 4)
    assert classic.address(7) in result["error"]["message"]


def test_names_are_resolved_for_originals(classic, tmp_path):
    """What the text says then is addresses, by which every original finds itself."""
    try:
        address = socket.gethostbyname("localhost")
    except OSError:
        address = "127.0.0.1"
    classic.start_original(1, "name=" + address, bind=address)
    image = classic.image(SIZE)
    classic.serve_ours(image, "-4", hosts=["localhost"])
    assert classic.finish() == 0
    classic.check_copy(1, image)


@pytest.mark.parametrize("ring", ["o", "oxo", "xo"])
@pytest.mark.parametrize("seconds", [0, 1])
def test_a_run_without_disks(classic, ring, seconds):
    for index, letter in enumerate(ring, 1):
        if letter == "o":
            classic.start_ours(index, "--dummy", "-O", "out.img")
        else:
            classic.start_original(index, "dummy=1")
    hosts = ",".join(classic.address(index) for index in range(1, len(ring) + 1))
    classic.await_listening()
    how = ["--dummy", "-t", str(seconds)] if seconds else ["--dummy", "5"]
    arguments = ["--classic", "--port", str(classic.network.port), "-S", classic.address(0), "-H", hosts, *how]
    classic.server = classic.start_program("server", 0, *arguments)
    assert classic.finish() == 0
    rows = classic.rows()
    assert [row.state for row in rows.values()] == ["done"] * len(ring)
    assert not any(classic.target(index).exists() for index in range(1, len(ring) + 1) if ring[index - 1] == "o")


def test_an_original_that_measures(classic):
    classic.start_ours(1, "--dummy")
    text = classic.text().replace(b"infile /image\noutfile elsewhere.img\n", b"dummy 2\n")
    classic.serve_original(classic.image(SIZE), "dummy=1", text=text)
    assert classic.finish() == 0
    assert classic.clients[1].code == 0 and "Clients done." in classic.server.log


def test_an_image_for_a_node_that_measures(classic):
    client = classic.start_ours(1, "--dummy", "-O", "out.img")
    classic.serve_original(classic.image(1))
    assert client.wait() == 1
    assert "without --dummy" in client.log and not classic.target(1).exists()
