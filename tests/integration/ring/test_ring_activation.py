# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""-d: a knock starts a receiver, and is believed nothing beyond that."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from ansible_collections.dolly.ring.tests.integration.ring.images import MIB
from ansible_collections.dolly.ring.tests.integration.ring.networks import missing_programs
from ansible_collections.dolly.ring.tests.integration.ring.processes import Program

UNITS = Path(__file__).resolve().parents[3] / "packaging" / "systemd"
IMAGE_SIZE = 5 * MIB


def need(program):
    if missing_programs(program):
        pytest.skip("missing here: " + program)


def wait_for_a_knock(rack, index, *options, name="knock"):
    """What systemd does for dolly.socket, without systemd."""
    need("systemd-socket-activate")
    address = rack.address(index)
    arguments = ["--key-file", str(rack._key), "-v", "--bind", address, *options]
    port = knock_port(rack)
    command = ["systemd-socket-activate", "-l", "%s:%d" % (address, port), "--fdname=" + name]
    command += [sys.executable, "-S", str(rack._engine), *arguments]
    program = Program("node%d" % index, rack.network.command(index, command), rack.node_folder(index))
    rack.programs.append(program)
    rack.clients[index] = program
    program.wait_for_log("Listening on")
    return program


def knock_port(rack):
    return rack.network.port + 1 if rack.network.port < 20000 else rack.network.port - 9500


def test_the_server_knocks_and_the_clients_start(loopback):
    port = str(loopback.network.port)
    for index in (1, 2):
        wait_for_a_knock(loopback, index, "--port", port)
    loopback.start_client(3)
    loopback.clients[3].wait_for_log("listening")
    loopback.start_server(loopback.image(IMAGE_SIZE), "-d", "--knock-port", str(knock_port(loopback)))
    assert loopback.finish() == 0
    for index in (1, 2, 3):
        loopback.check_copy(index, loopback.image(IMAGE_SIZE))
    assert "knocked" in loopback.clients[1].log
    # One that runs already, and has no such service, is no reason to stop.
    assert "no service was started" in loopback.server.log


def test_a_strangers_knock_starts_one_that_listens_to_nobody(loopback):
    program = wait_for_a_knock(loopback, 1, "--port", str(loopback.network.port), "--join-timeout", "1")
    with socket.create_connection((loopback.address(1), knock_port(loopback))) as stranger:
        stranger.sendall(b"overwrite /dev/sda\n")
        assert program.wait() == 4
    assert "waiting for the server" in program.log or "join_timeout" in program.log


def test_the_socket_of_the_ring_itself_may_come_from_systemd(loopback):
    program = wait_for_a_knock(loopback, 1, "--port", "1", name="ring")
    image = loopback.image(IMAGE_SIZE)
    options = ["-I", str(image), "-O", "out.img", "-H", loopback.address(1), "--port", str(knock_port(loopback))]
    loopback.start_bare_server("-v", *options)
    assert loopback.finish() == 0
    loopback.check_copy(1, image)
    assert program.code == 0


def test_the_units_are_what_systemd_understands(tmp_path):
    need("systemd-analyze")
    for name in ("dolly.socket", "dolly.service"):
        text = (UNITS / name).read_text()
        # What is to be run is not installed here.
        (tmp_path / name).write_text(text.replace("/usr/bin/python3", sys.executable))
    analyze = shutil.which("systemd-analyze")
    done = subprocess.run(
        [analyze, "verify", "--man=no", str(tmp_path / "dolly.socket"), str(tmp_path / "dolly.service")],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    about_ours = [line for line in done.stdout.splitlines() if "dolly" in line]
    assert about_ours == []
    text = (UNITS / "dolly.service").read_text()
    assert "LoadCredential=key:/etc/dolly/key" in text and "ProtectSystem=strict" in text
    assert "--key-file %d/key" in text and "--insecure" not in text
    assert "ListenStream=9996" in (UNITS / "dolly.socket").read_text()
