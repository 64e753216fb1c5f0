# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs at a real terminal, which a person may stop with Ctrl-S while nodes wait for heartbeats."""

from __future__ import annotations

import os
import pty
import sys
import termios
import threading

import pytest

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
