# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of the command line, with processes that take them."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from ansible_collections.dolly.ring.tests.integration.ring.images import MIB
from ansible_collections.dolly.ring.tests.integration.ring.rack import EVERYWHERE, KEY

IMAGE_SIZE = 5 * MIB


def config_file(rack, text):
    path = rack.folder / "ring.cfg"
    path.write_text(text)
    return str(path)


def test_a_dollytab_and_what_is_told_of_the_run(loopback):
    image = loopback.image(IMAGE_SIZE)
    loopback.start_clients(3, "--json")
    names = "\n".join(loopback.address(index) for index in (1, 2, 3))
    text = "server boss\nfanout 2\noutfile out.img\n%s\nsegsize 500\nclients 3\ninfile %s\nendconfig\n"
    options = ["--json", "-n", "-o", "log", "-b", "64k", "-u", "128k", "--port", str(loopback.network.port)]
    loopback.start_bare_server(*options, "-f", config_file(loopback, text % (names, image)), "-s")
    assert loopback.finish() == 0

    result = json.loads(loopback.server.out)
    assert (result["state"], result["exit_code"], result["role"]) == ("done", 0, "server")
    assert [(node["state"], node["synced"]) for node in result["nodes"]] == [("done", False)] * 3
    for index, client in loopback.clients.items():
        own = json.loads(client.out)
        assert (own["state"], own["synced"], own["verified"], own["role"]) == ("done", False, True, "client")
        loopback.check_copy(index, image)
    header, line = (loopback.node_folder(0) / "log").read_text().splitlines()
    assert header.startswith("Trans. data [MB]  Segsize [Byte]  Clients [#]")
    assert line.split()[:3] == ["%.3f" % (IMAGE_SIZE / 1e6), "500", "3"]
    assert "names boss as the server" in loopback.server.log
    assert not set("\r\x1b") & set(loopback.server.log), "nobody looks at a terminal here"


def test_the_same_as_yaml(loopback):
    loopback.start_clients(2)
    addresses = [loopback.address(1), loopback.address(2)]
    data = {"infile": str(loopback.image(IMAGE_SIZE)), "outfile": "out.img", "clients": addresses}
    path = config_file(loopback, json.dumps(data))  # JSON is YAML
    # Not in -S: PyYAML lies in site-packages.
    loopback.start_bare_server("-f", path, "-s", "--port", str(loopback.network.port))
    assert loopback.finish(expected_to_run=[1, 2]) == 1
    assert "no PyYAML here" in loopback.server.log


def test_insecure_is_said_loudly(loopback):
    port = str(loopback.network.port)
    options = ["--insecure", "-v", "--port", port]
    client = loopback.start_program("insecure", 1, *options, "--bind", loopback.address(1))
    loopback.clients[1] = client
    loopback.await_listening()
    image = loopback.image(IMAGE_SIZE)
    loopback.server = loopback.start_program(
        "server", 0, "-O", "out.img", *options, "-I", str(image), "-H", loopback.address(1)
    )
    assert loopback.finish() == 0
    loopback.check_copy(1, image)
    assert "WARNING: --insecure" in client.log and "WARNING: --insecure" in loopback.server.log


@pytest.mark.parametrize("arguments", [[], ["-I", __file__, "-H", "a"]])
def test_without_a_key(loopback, arguments):
    program = loopback.start_program("keyless", 1, "--json", *arguments)
    assert program.wait() == 1
    assert all(way in program.log for way in ("--key-file", "DOLLY_KEY_FILE", "/etc/dolly/key", "--insecure"))
    assert json.loads(program.out)["error"]["kind"] == "Refused"


def test_two_keys(loopback):
    """The one mistake that both sides see only as a stranger at the door: both say what it may have been."""
    client = loopback.start_client(1, "--join-timeout", "5", key=loopback.make_key("other-key", "o" * 32))
    loopback.start_clients(1)
    loopback.start_server(loopback.image(IMAGE_SIZE), "--connect-timeout", "1")
    assert loopback.server.wait() == 4 and client.wait() == 4
    assert "with the same key" in loopback.server.log
    assert "callers were turned away, the last one because" in client.log and "with another key" in client.log


def test_a_log_on_a_full_disk_ends_no_run(loopback):
    """The copies are good; that nobody can read so is no reason to call the run refused."""
    loopback.start_clients(1)
    image = loopback.image(IMAGE_SIZE)
    with open("/dev/full", "wb") as full:
        loopback.stdouts[0] = full
        assert loopback.start_server(image).wait() == 0
    assert "the result cannot be printed" in loopback.server.log
    assert loopback.finish() == 0
    loopback.check_copy(1, image)


def test_no_standard_streams(loopback, engine):
    """As some init scripts start programs: the first file that is opened must not become one of them."""
    closed = [sys.executable, "-c", "import os, sys; os.closerange(0, 3); os.execv(sys.argv[1], sys.argv[1:])"]
    loopback.start_clients(1)
    image, key = loopback.image(IMAGE_SIZE), str(loopback.make_key("same-key", KEY))
    program = [sys.executable, str(engine), "--key-file", key, "--port", str(loopback.network.port)]
    options = ["-v", "-S", loopback.address(0), "-H", loopback.address(1), "-I", str(image), "-O", "out.img"]
    subprocess.run(loopback.network.command(0, [*closed, *program, *options]), check=True, timeout=60)
    assert loopback.clients[1].wait() == 0
    loopback.check_copy(1, image)


def test_nobody_comes_and_nothing_moves(loopback):
    client = loopback.start_client(1, "-a", "1")
    assert client.wait() == 4
    assert "Gave up waiting for anything to move after 1 s" in client.log


def test_a_node_is_tried_as_often_as_told(loopback):
    loopback.start_clients(1)
    loopback.start_server(loopback.image(IMAGE_SIZE), "-r", "2", nodes=[1, 2])
    assert loopback.finish() == 4
    assert loopback.rows()[2].state == "unreachable"


def test_nothing_moves_before_the_start(loopback):
    loopback.start_clients(1)
    loopback.start_server(loopback.image(IMAGE_SIZE), "-a", "1.5", "-r", "600", nodes=[1, 2])
    assert loopback.finish() == 4
    assert "(-a)" in loopback.server.log or "with -a" in loopback.server.log
    assert loopback.clients[1].code == 4 and not loopback.target(1).exists()


def test_a_name_that_is_not_meant(loopback, monkeypatch):
    monkeypatch.setenv("MYNODENAME", "n1")
    loopback.start_client(1, bind=EVERYWHERE)
    loopback.use_address(1, "localhost")
    loopback.start_clients(1)
    loopback.start_server(loopback.image(IMAGE_SIZE), "--connect-timeout", "1")
    assert loopback.finish(expected_to_run=[1]) == 4
    assert "a caller that looks for localhost" in loopback.clients[1].log


def test_its_own_address_is_meant_whatever_its_name_is(loopback, monkeypatch):
    monkeypatch.setenv("MYNODENAME", "n1")
    loopback.start_clients(2)
    loopback.clone(loopback.image(IMAGE_SIZE))
