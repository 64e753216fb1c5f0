# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs at a real terminal, which a person may stop with Ctrl-S while nodes wait for heartbeats."""

from __future__ import annotations

import os
import pty
import signal
import sys
import termios
import threading

import pytest

from ansible_collections.dolly.ring.tests.integration.ring.images import MIB
from ansible_collections.dolly.ring.tests.integration.ring.processes import Program, until


class Terminal:
    """What somebody looks at. Everything that comes is read at once, and kept."""

    def __init__(self):
        self._master, self._slave = pty.openpty()
        self.path = os.ttyname(self._slave)
        self._data = b""
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        while True:
            try:
                data = os.read(self._master, 65536)
            except OSError:
                return
            if not data:
                return
            self._data += data

    @property
    def text(self):
        return self._data.decode("utf-8", "replace")

    def stop(self):
        """Ctrl-S."""
        termios.tcflow(self._slave, termios.TCOOFF)

    def go_on(self):
        """Ctrl-Q."""
        termios.tcflow(self._slave, termios.TCOON)

    def close(self):
        self.go_on()
        os.close(self._slave)
        os.close(self._master)


@pytest.fixture
def terminal():
    made = Terminal()
    yield made
    made.close()


def at_terminal(rack, terminal, name, index, *arguments):
    """Start the engine with its standard output and error at a terminal."""
    script = 'exec "$@" >%s 2>&1' % terminal.path
    command = [sys.executable, "-S", str(rack._engine), "--key-file", str(rack._key), *arguments]
    program = Program(name, rack.network.command(index, ["sh", "-c", script, "sh", *command]), rack.node_folder(index))
    rack.programs.append(program)
    return program


def test_a_stopped_terminal_stops_no_heartbeat(loopback, terminal):
    loopback.start_clients(3)
    hosts = ",".join(loopback.address(index) for index in (1, 2, 3))
    options = ["-v", "--dead-after", "3", "--port", str(loopback.network.port), "--dummy", "-t", "8", "-H", hosts]
    loopback.server = at_terminal(loopback, terminal, "server", 0, *options)
    until(lambda: "start with 3 of 3 nodes" in terminal.text, "the start")
    terminal.stop()
    assert [client.wait() for client in loopback.clients.values()] == [0, 0, 0]
    assert not any("silent" in client.log for client in loopback.clients.values())
    shown = len(terminal.text)
    assert loopback.server.code is None, "what it has to say is not lost"
    terminal.go_on()
    assert loopback.server.wait() == 0
    until(lambda: "done  " in terminal.text[shown:], "its last words")
    rows = [line.split()[:2] for line in terminal.text[shown:].splitlines() if line.startswith("127.")]
    assert rows == [[loopback.address(index), "done"] for index in (1, 2, 3)]


def test_what_somebody_sees_who_starts_a_client_and_changes_his_mind(loopback, terminal):
    """Without -v: that it waits, and for whom; then that nothing was written, and nothing about bad copies."""
    port = str(loopback.network.port)
    client = at_terminal(loopback, terminal, "client", 1, "--bind", loopback.address(1), "--port", port)
    until(lambda: "listening on port %s, waiting for the server" % port in terminal.text, "it to say that it waits")
    client.send(signal.SIGINT)
    assert client.wait() == 4
    until(lambda: "SIGINT" in terminal.text, "its last words")
    assert "told to end by SIGINT): nothing was written." in terminal.text
    assert "good copy" not in terminal.text and "Traceback" not in terminal.text


def test_a_node_that_is_not_there_is_named_while_it_is_waited_for_and_blamed_once(loopback, terminal):
    loopback.start_clients(1)
    hosts = "%s,%s" % (loopback.address(1), loopback.address(2))
    options = ["--port", str(loopback.network.port), "--connect-timeout", "4", "-H", hosts, "--dummy", "5"]
    server = at_terminal(loopback, terminal, "server", 0, *options)
    until(lambda: "1 of 2 nodes are ready, waiting for %s" % loopback.address(2) in terminal.text, "who is missing")
    assert server.wait() == 4
    until(lambda: "Too few nodes" in terminal.text, "its last words")
    assert terminal.text.count("cannot connect to") == 1
    assert loopback.clients[1].wait() == 4
    assert "good copy" not in loopback.clients[1].out and "it said goodbye" not in loopback.clients[1].log


def test_a_run_with_v_reads_like_a_report(loopback):
    """No name of a class, no rank, no loss where all went well."""
    loopback.start_clients(3)
    loopback.clone(loopback.image(5 * MIB))
    for program in loopback.programs:
        for word in ("(rank", "->", "Child(", "SetUp", "lost", "goodbye", "Errno", "MiB"):
            assert word not in program.log, program.report()
