# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is measured: for each, the commands of every node and of the sender."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, List, Tuple

from .network import PORT

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
OUTPUT = "out.img"


@dataclass(frozen=True)
class Ring:
    """What a contender has to know: rank 0 sends `source`, ranks 1 and up write OUTPUT into their folders."""

    source: str
    folders: List[str]
    addresses: List[str]
    engine: str
    key: str

    @property
    def nodes(self) -> int:
        return len(self.folders) - 1

    def output(self, rank: int) -> str:
        return os.path.join(self.folders[rank], OUTPUT)

    def port(self, rank: int) -> int:
        return PORT + rank

    def next_of(self, rank: int) -> Tuple[str, ...]:
        """Address and port of the rank after this one; empty for the last."""
        if rank == self.nodes:
            return ()
        return (self.addresses[rank + 1], str(self.port(rank + 1)))


@dataclass(frozen=True)
class Pipeline:
    """Programs of one rank, joined by pipes. `port` is the one that has to be listened on before others start."""

    rank: int
    commands: List[List[str]]
    stdin: str = os.devnull
    stdout: str = ""
    port: int = 0


@dataclass(frozen=True)
class Contender:
    """`nodes` are the pipelines to start beforehand, in that order; `sender` starts the clock.

    `rounds` limits the repetitions of one that is too slow to be measured as often as the others.
    """

    name: str
    title: str
    plans: Callable[[Ring], Tuple[List[Pipeline], Pipeline]]
    programs: Tuple[str, ...] = ()
    rounds: int = 1000
    kinds: Tuple[str, ...] = ("matrix",)
    links: Tuple[str, ...] = ("unshaped", "shaped")
    targets: Tuple[str, ...] = ("memory", "disk")
    packages: Tuple[str, ...] = ()


def _backwards(ring: Ring) -> range:
    """Chains are started at their end: each dials the next one when it starts."""
    return range(ring.nodes, 0, -1)


def _dolly(verify: str) -> Callable[[Ring], Tuple[List[Pipeline], Pipeline]]:
    def plans(ring: Ring) -> Tuple[List[Pipeline], Pipeline]:
        base = [sys.executable, ring.engine, "--key-file", ring.key, "--port", str(PORT)]
        nodes = [
            Pipeline(rank, [[*base, "--bind", ring.addresses[rank]]], port=PORT) for rank in _backwards(ring)
        ]
        hosts = ",".join(ring.addresses[1:])
        send = ["-S", ring.addresses[0], "-H", hosts, "-I", ring.source, "-O", OUTPUT, "--verify", verify]
        return nodes, Pipeline(0, [[*base, *send]])

    return plans


def _bare(ring: Ring) -> Tuple[List[Pipeline], Pipeline]:
    base = [sys.executable, str(HERE / "bare.py")]
    nodes = []
    for rank in _backwards(ring):
        where = [ring.addresses[rank], str(ring.port(rank)), ring.output(rank)]
        nodes.append(Pipeline(rank, [[*base, "node", *where, *ring.next_of(rank)]], port=ring.port(rank)))
    return nodes, Pipeline(0, [[*base, "send", ring.source, *ring.next_of(0)]])


def _mbuffer(options: Tuple[str, ...]) -> Callable[[Ring], Tuple[List[Pipeline], Pipeline]]:
    base = ["mbuffer", "-q", "-4", *options]

    def plans(ring: Ring) -> Tuple[List[Pipeline], Pipeline]:
        nodes = []
        for rank in _backwards(ring):
            command = [*base, "-I", str(ring.port(rank)), "-o", ring.output(rank)]
            if ring.next_of(rank):
                command += ["-O", ":".join(ring.next_of(rank))]
            nodes.append(Pipeline(rank, [command], port=ring.port(rank)))
        return nodes, Pipeline(0, [[*base, "-i", ring.source, "-O", ":".join(ring.next_of(0))]])

    return plans


def _netcat(ring: Ring) -> Tuple[List[Pipeline], Pipeline]:
    nodes = []
    for rank in _backwards(ring):
        commands = [["nc", "-d", "-l", ring.addresses[rank], str(ring.port(rank))]]
        stdout = ring.output(rank)
        if ring.next_of(rank):
            commands += [["tee", ring.output(rank)], ["nc", "-N", *ring.next_of(rank)]]
            stdout = ""
        nodes.append(Pipeline(rank, commands, stdout=stdout, port=ring.port(rank)))
    return nodes, Pipeline(0, [["nc", "-N", *ring.next_of(0)]], stdin=ring.source)


def _ansible(ring: Ring) -> Tuple[List[Pipeline], Pipeline]:
    hosts = [
        "node%d ansible_connection=local ansible_python_interpreter=%s ansible_remote_tmp=%s"
        % (rank, sys.executable, ring.folders[rank])
        for rank in range(1, ring.nodes + 1)
    ]
    inventory = Path(ring.folders[0], "inventory.ini")
    inventory.write_text("\n".join(hosts) + "\n", encoding="utf-8")
    play = Path(ring.folders[0], "play.yml")
    destination = os.path.join(os.path.dirname(ring.folders[0]), "{{ inventory_hostname }}", OUTPUT)
    play.write_text(_PLAY % (ring.source, destination), encoding="utf-8")
    program = str(ROOT / ".venv" / "bin" / "ansible-playbook")
    return [], Pipeline(0, [[program, "-i", str(inventory), "-f", str(ring.nodes), str(play)]])


_PLAY = """\
- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.copy:
        src: "%s"
        dest: "%s"
        mode: "0600"
"""

_EVERY_KIND = ("matrix", "small", "dense", "sparse")

CONTENDERS = (
    Contender("dolly", "dolly, verified", _dolly("readback"), kinds=_EVERY_KIND),
    Contender("dolly-mac", "dolly, `--verify mac`", _dolly("mac")),
    Contender("dolly-unverified", "dolly, `--verify none`", _dolly("none"), kinds=_EVERY_KIND),
    Contender("bare", "bare pipeline", _bare),
    Contender("mbuffer", "mbuffer", _mbuffer(()), ("mbuffer",), packages=("mbuffer",)),
    Contender(
        "mbuffer-tuned",
        "mbuffer `-s 1M -m 64M`",
        _mbuffer(("-s", "1M", "-m", "64M")),
        ("mbuffer",),
        links=("unshaped",),
        targets=("memory",),
        packages=("mbuffer",),
    ),
    Contender("nc", "nc and tee", _netcat, ("nc", "tee"), packages=("netcat-openbsd",)),
    Contender("copy", "ansible.builtin.copy", _ansible, rounds=1, links=("unshaped",), targets=("memory",)),
)
BY_NAME: Dict[str, Contender] = {contender.name: contender for contender in CONTENDERS}
