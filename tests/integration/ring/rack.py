# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A rack: clients and a server as real processes, each in its own directory, each watched until it ends."""

from __future__ import annotations

import importlib.util
import sys
import zipfile
from importlib import _bootstrap_external  # type: ignore[attr-defined]
from pathlib import Path
from typing import IO, Dict, List, Optional, Sequence, Union

from ansible_collections.dolly.ring.plugins.module_utils.dolly.run.archive import write_engine
from ansible_collections.dolly.ring.tests.integration.ring import images
from ansible_collections.dolly.ring.tests.integration.ring.networks import Loopback, Namespaces
from ansible_collections.dolly.ring.tests.integration.ring.processes import Program, Row, results, until

DOUBLES = Path(__file__).with_name("doubles.py")
KEY = "0123456789abcdef" * 4  # as text, so that a leak would be easy to find
#: In place of an address to listen on: all addresses.
EVERYWHERE = "everywhere"


def build_engine(path: Path) -> Path:
    """Pack the engine with compiled modules, because hundreds of starts would compile them again."""
    write_engine(str(path))
    with zipfile.ZipFile(path, "a") as archive:
        for name in archive.namelist():
            source = archive.read(name)
            code = compile(source, name, "exec", dont_inherit=True)
            # Unchecked: never compared with its source, which is in the archive as well.
            compiled = _bootstrap_external._code_to_hash_pyc(code, importlib.util.source_hash(source), False)
            archive.writestr(name + "c", compiled)
    return path


class Rack:
    """Node 0 is the server; clients are 1, 2, ... in ring order. `clear` must always be called."""

    def __init__(self, network: Union[Loopback, Namespaces], engine: Path, folder: Path) -> None:
        self.network = network
        self.folder = folder
        self.programs: List[Program] = []
        self.clients: Dict[int, Program] = {}
        self.server: Optional[Program] = None
        #: The directory for clients' journals of disks.
        self.state = folder / "state"
        self._engine = engine
        self._key = self.make_key("key", KEY)
        self._addresses: Dict[int, str] = {}
        #: The server's standard input, and the standard output of clients by number.
        self.stdin: Optional[IO[bytes]] = None
        self.stdouts: Dict[int, IO[bytes]] = {}

    # --- what there is ------------------------------------------------------------------------------

    def make_key(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o600)
        return path

    def image(self, size: int) -> Path:
        """Return an image of this size, which is made only once."""
        path = self.folder / ("image-%d" % size)
        return path if path.exists() else images.make_image(path, size)

    def node_folder(self, index: int) -> Path:
        """Return the working directory of a node."""
        path = self.folder / ("node%d" % index)
        path.mkdir(exist_ok=True)
        return path

    def target(self, index: int) -> Path:
        """Return the path of a node's finished copy."""
        return self.node_folder(index) / "out.img"

    def partial(self, index: int) -> Path:
        """Return the path of a node's unfinished copy."""
        return self.node_folder(index) / ".out.img.dolly-partial"

    def journal(self, index: int) -> Path:
        """Return the path of a node's journal for the next run."""
        return self.node_folder(index) / ".out.img.dolly-journal"

    def address(self, index: int) -> str:
        return self._addresses.get(index) or self.network.address(index)

    def use_address(self, index: int, address: str) -> None:
        """Give a node another address than that of its network."""
        self._addresses[index] = address

    # --- starting -----------------------------------------------------------------------------------

    def start_client(
        self, index: int, *options: str, fault: Sequence[str] = (), key: Optional[Path] = None, bind: str = ""
    ) -> Program:
        """Start a client, without waiting until it listens."""
        arguments = ["--key-file", str(key or self._key), "--port", str(self.network.port)]
        if bind != EVERYWHERE:
            arguments += ["--bind", bind or self.address(index)]
        arguments += ["--state-dir", str(self.state), *options]
        program = self._start("node%d" % index, index, fault, arguments)
        self.clients[index] = program
        return program

    def start_clients(self, count: int, *options: str) -> None:
        """Start those of clients 1 to `count` that do not run yet, and wait until all of them listen."""
        for index in range(1, count + 1):
            if index not in self.clients:
                self.start_client(index, *options)
        self.await_listening()

    def await_listening(self) -> None:
        until(lambda: all(client.is_listening() for client in self.clients.values()), "clients to listen")

    def start_server(
        self, image: Union[Path, str], *options: str, nodes: Optional[Sequence[int]] = None, fault: Sequence[str] = ()
    ) -> Program:
        """Start the server, by default for all clients."""
        hosts = ",".join(self.address(index) for index in (nodes or sorted(self.clients)))
        arguments = ["--key-file", str(self._key), "--port", str(self.network.port), "-S", self.address(0)]
        arguments += ["-H", hosts, "-I", str(image)]
        if "-O" not in options:
            arguments += ["-O", "out.img"]
        self.server = self._start("server", 0, fault, [*arguments, *options])
        return self.server

    def start_bare_server(self, *arguments: str) -> Program:
        """Start the server with the key and these options only."""
        self.server = self._start("server", 0, (), ["--key-file", str(self._key), *arguments])
        return self.server

    def start_program(self, name: str, index: int, *arguments: str) -> Program:
        """Start the engine on a node with these options only."""
        return self._start(name, index, (), list(arguments))

    def start_configured(self, tab: Path, *options: str) -> Program:
        """Start the server with a configuration file that contains the other options."""
        arguments = ["--key-file", str(self._key), "--port", str(self.network.port), "-S", self.address(0)]
        arguments += ["-f", str(tab), *options]
        self.server = self._start("server", 0, (), arguments)
        return self.server

    def _start(self, name: str, index: int, fault: Sequence[str], arguments: List[str]) -> Program:
        start = [str(self._engine)] if not fault else [str(DOUBLES), str(self._engine), *fault]
        # -S: the engine needs the standard library only, and site-packages would cost time.
        command = [sys.executable, "-S", *start, "-v", *arguments]
        stdin = self.stdin if name == "server" else None
        command = self.network.command(index, command)
        program = Program(name, command, self.node_folder(index), stdin, self.stdouts.get(index))
        self.programs.append(program)
        return program

    # --- during and after a run ---------------------------------------------------------------------

    def clone(self, image: Path, *options: str, fault: Sequence[str] = ()) -> Dict[int, Row]:
        """Do a complete run that must be good on every node. Returns the server's row of each node."""
        self.start_server(image, *options, fault=fault)
        assert self.finish() == 0
        rows = self.rows()
        for index, client in self.clients.items():
            assert client.code == 0
            assert rows[index].state == "done"
            self.check_copy(index, image)
        return rows

    def cure(self, index: int) -> None:
        """End the artificial slowness of a node's source or target (0: the server)."""
        (self.node_folder(index) / "cured").touch()

    def finish(self, expected_to_run: Sequence[int] = ()) -> int:
        """Wait until all but `expected_to_run` have ended. Returns the server's exit status."""
        assert self.server is not None
        server = self.server
        watched = [client for index, client in self.clients.items() if index not in expected_to_run]
        # Ask all of them each time, because that records their memory as well.
        until(lambda: [one.has_ended() for one in [*watched, server]][-1], "the end of the run")
        for client in watched:
            client.wait(30.0)
        return server.wait()

    def rows(self) -> Dict[int, Row]:
        """Return the server's row of each node."""
        assert self.server is not None
        by_name = results(self.server.out)
        return {
            index: by_name[self.address(index)]
            for index in range(1, 256)
            if self.address(index) in by_name and (index == 1 or self.address(index) != self.address(1))
        }

    def await_data(self, index: int, size: int) -> None:
        """Wait until a node has written this many bytes."""
        until(lambda: images.allocated(self.partial(index)) >= size, "%d bytes on node %d" % (size, index))
        assert not self.target(index).exists(), "node %d was ready too soon to disturb it" % index

    def check_copy(self, index: int, image: Path) -> None:
        """Check that the file of a node is the image, and that no partial file lies beside it."""
        assert self.target(index).stat().st_size == image.stat().st_size
        assert images.digest(self.target(index)) == images.digest(image)
        assert not self.partial(index).exists()
        assert not self.journal(index).exists()

    def next_run(self) -> None:
        """End the rest of a run, so that the same nodes can be started for another run."""
        self.clear()
        self.clients.clear()

    def report(self) -> str:
        return "\n".join(program.report() for program in self.programs)

    def clear(self) -> List[str]:
        """End every program that still runs. Returns their names."""
        return [program.name for program in self.programs if program.end()]
