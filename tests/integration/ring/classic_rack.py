# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A rack in which some nodes are originals."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Sequence

from ansible_collections.dolly.ring.tests.integration.ring.processes import Program
from ansible_collections.dolly.ring.tests.integration.ring.rack import Rack

ORIGINALS = Path(__file__).with_name("originals.py")


class ClassicRack(Rack):
    """Each node is started as ours or as an original, the server last."""

    def start_ours(self, index: int, *options: str, bind: str = "", fault: Sequence[str] = ()) -> Program:
        """Start a client of ours that writes to `target`."""
        arguments = ["--classic", "--port", str(self.network.port), *options]
        arguments += ["--bind", bind or self.address(index)] if bind != "everywhere" else []
        if not {"-O", "--trust-sender-path"} & set(options):
            arguments += ["-O", "out.img"]
        self.clients[index] = self._start("node%d" % index, index, fault, arguments)
        return self.clients[index]

    def start_original(self, index: int, *habits: str, bind: str = "") -> Program:
        """Start a client that is an original."""
        self.clients[index] = self._original(
            "node%d" % index, index, "client", bind or self.address(index), *self._ports(), "out.img", *habits
        )
        return self.clients[index]

    def start_ring(self, letters: str) -> None:
        """Start a client for each letter: o for ours, x for an original."""
        for index, letter in enumerate(letters, 1):
            (self.start_ours if letter == "o" else self.start_original)(index)

    def serve_ours(self, image: Path, *options: str, hosts: Sequence[str] = ()) -> Program:
        """Start a server of ours; with -f the dollytab gives the other options."""
        names = ",".join(hosts or [self.address(index) for index in sorted(self.clients)])
        arguments = ["--classic", "--port", str(self.network.port), "-I", str(image), *options]
        if "-f" not in options:
            arguments += ["-S", self.address(0), "-H", names, "-O", "elsewhere.img"]
        self.await_listening()
        self.server = self._start("server", 0, (), arguments)
        return self.server

    def serve_original(self, image: Path, *habits: str, text: bytes = b"", **said: object) -> Program:
        """Start a server that is an original."""
        path = self.folder / "dollytab"
        path.write_bytes(text or self.text(**said))
        self.await_listening()
        self.server = self._original("server", 0, "server", str(path), *self._ports(), str(image), *habits)
        return self.server

    def text(self, extra: str = "", length: int = 0, outfile: str = "elsewhere.img") -> bytes:
        """Return a dollytab for all clients, `length` bytes long: lines that are not evaluated are padded."""
        hosts = [self.address(index) for index in sorted(self.clients)]
        lines = ["infile /image", "outfile " + outfile, *filter(None, [extra])]
        lines += ["server the-server", "firstclient " + hosts[0], "lastclient " + hosts[-1]]
        lines += ["clients %d" % len(hosts), *hosts, "endconfig", ""]
        for number, line in enumerate(lines):
            missing = length - len("\n".join(lines))
            if missing > 0 and line.startswith(("infile", "outfile", "server", "firstclient", "lastclient", "segsize")):
                filler = " " if line.startswith("segsize") else "x"
                lines[number] += filler * min(missing, 240 - len(line))  # originals read 255 bytes
        text = "\n".join(lines)
        return (text + "#" * (length - len(text))).encode()

    def check_classic(self, image: Path) -> None:
        """Check that every node ended with the image, and that ours report it as not verified."""
        assert self.finish() == 0
        for index, client in self.clients.items():
            assert client.code == 0
            self.check_copy(index, image)

    def _ports(self) -> Sequence[str]:
        return str(self.network.port), str(self.network.port - 1)

    def _original(self, name: str, index: int, *arguments: str) -> Program:
        command = [sys.executable, "-S", str(ORIGINALS), *arguments]
        program = Program(name, self.network.command(index, command), self.node_folder(index))
        self.programs.append(program)
        return program
