# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""-d: a knock starts a receiver, and is believed nothing beyond that."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.cli.activation import SERVICE_PORT
from ansible_collections.dolly.ring.plugins.module_utils.dolly.cli.options import DEFAULT_PORT, make_parser
from ansible_collections.dolly.ring.tests.integration.ring.images import MIB
from ansible_collections.dolly.ring.tests.integration.ring.networks import missing_programs
from ansible_collections.dolly.ring.tests.integration.ring.processes import PATIENCE_S, Program

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


def start_service(rack, door, *options):
    """What systemd does when somebody knocks: the listening socket becomes descriptor 3 of the receiver."""
    script = "import os, sys; os.dup2(int(sys.argv[1]), 3); os.environ['LISTEN_PID'] = str(os.getpid()); "
    script += "os.execv(sys.argv[2], sys.argv[2:])"
    arguments = ["--key-file", str(rack._key), "-v", "--bind", "127.0.0.1", *options]
    engine = [sys.executable, "-S", str(rack._engine), *arguments]
    environment = dict(os.environ, LISTEN_FDS="1", LISTEN_FDNAMES="knock")
    command = [sys.executable, "-S", "-c", script, str(door.fileno()), *engine]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, pass_fds=[door.fileno()], env=environment)


@pytest.mark.parametrize("fault", ["its port is taken", "an option that is none", "no key"])
def test_a_service_that_fails_at_once_has_taken_the_knock_and_is_not_started_again_at_once(loopback, fault):
    """A knock that is left would start it again as soon as it has ended, eight times in a second."""
    with socket.create_server(("127.0.0.1", 0)) as door, socket.create_server(("127.0.0.1", 0)) as taken:
        options = {
            "its port is taken": ["--port", str(taken.getsockname()[1])],
            "an option that is none": ["--no-such-option"],
            "no key": ["--key-file", "/nonexistent"],
        }[fault]
        with socket.create_connection(door.getsockname()) as stranger:
            began_at = time.monotonic()
            service = start_service(loopback, door, *options)
            stranger.settimeout(PATIENCE_S)
            assert stranger.recv(1) == b"", "it hangs up before it has tried anything"
            told = service.communicate(timeout=PATIENCE_S)[1]
            assert service.returncode == 1 and "dolly: " in told
            assert time.monotonic() - began_at > 4.9
        door.setblocking(False)
        with pytest.raises(BlockingIOError):
            door.accept()


def test_a_service_has_a_port_of_its_own(loopback):
    """Strangers can have one started whenever they like: it must not keep the usual port busy."""
    service = (UNITS / "dolly.service").read_text()
    assert "--port %d " % SERVICE_PORT in service and SERVICE_PORT not in (DEFAULT_PORT, DEFAULT_PORT - 1, 9996)
    parser = make_parser()
    assert parser.parse_args(["-d", "-H", "a", "-I", "i"]).port == SERVICE_PORT
    assert parser.parse_args(["-d", "--port", "9998"]).port == 9998
    assert parser.parse_args(["-d", "--classic"]).port == parser.parse_args([]).port == DEFAULT_PORT


def filtered_calls():
    """The system calls that the unit leaves, by name."""
    done = subprocess.run(
        ["systemd-analyze", "syscall-filter"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=True
    )
    sets, name = {}, ""
    for line in done.stdout.splitlines():
        if line.startswith("@"):
            name = line.strip()
            sets[name] = []
        elif line.strip() and not line.strip().startswith("#"):
            sets.setdefault(name, []).append(line.strip())

    def expand(name):
        return {call for one in sets[name] for call in (expand(one) if one.startswith("@") else [one])}

    return expand("@system-service") - expand("@mount")


@pytest.mark.parametrize("options", [[], ["--compare"], ["--verify", "mac", "--fanout", "2"]], ids=str)
def test_the_unit_leaves_what_a_receiver_calls(loopback, options):
    need("strace")
    need("systemd-analyze")
    text = (UNITS / "dolly.service").read_text()
    assert "SystemCallFilter=@system-service" in text and "SystemCallFilter=~@mount" in text
    found = loopback.folder / "calls"
    address, port = loopback.address(1), str(loopback.network.port)
    arguments = ["--key-file", str(loopback._key), "-v", "--bind", address, "--port", port]
    command = ["strace", "-f", "-qq", "-c", "-o", str(found), sys.executable, "-S", str(loopback._engine), *arguments]
    program = Program("node1", loopback.network.command(1, command), loopback.node_folder(1))
    loopback.programs.append(program)
    loopback.clients[1] = program
    loopback.start_clients(2)
    loopback.start_server(loopback.image(IMAGE_SIZE), "--dead-after", "20", *options)
    assert loopback.finish() == 0
    rows = [line.split() for line in found.read_text().splitlines()]
    calls = {row[-1] for row in rows if len(row) >= 5 and row[0].replace(".", "").isdigit()} - {"total"}
    assert len(calls) > 20
    # The first program of the unit is executed by systemd, before the filter is there.
    assert calls - filtered_calls() - {"execve"} == set()


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
    assert "LimitCORE=0" in text and "MemoryMax=" in text and "TasksMax=" in text
    assert "ListenStream=9996" in (UNITS / "dolly.socket").read_text()
