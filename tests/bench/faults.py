# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a fault costs the others: PYTHONPATH=tests python3 -m bench.faults [--cells kill,cut] [--json FILE]

A chain of eight nodes in network namespaces, targets in memory; needs root. Prints a Markdown table;
with --json the cells that are not measured are taken from FILE.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Sequence, Tuple

import conftest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.relay.image.resume import INTERVAL_S
from ansible_collections.dolly.ring.tests.integration.ring.images import MIB
from ansible_collections.dolly.ring.tests.integration.ring.networks import Namespaces, why_no_namespaces
from ansible_collections.dolly.ring.tests.integration.ring.rack import Rack, build_engine

from .watched import Run

assert conftest  # its import makes ansible_collections importable

NODES = 8
LARGE, SMALL = 1024 * MIB, 256 * MIB
#: Bytes per second of every link, where links are limited; and of the slow one.
RATE, SLOW_RATE = 25_000_000, 2_500_000
DEAD_AFTER_S = 5.0
#: Two runs of the same thing differ by so much.
NOISE_S = 0.25


class Figure(NamedTuple):
    """One line of the table. `limit`: what was wanted of `found`, None where it is told for comparison alone."""

    what: str
    found: float
    limit: float | None
    unit: str

    @property
    def verdict(self) -> str:
        return "" if self.limit is None else "yes" if self.found <= self.limit else "**no**"


class Laboratory:
    """The namespaces, the images, and what is measured in them."""

    def __init__(self, network: Namespaces, folder: Path) -> None:
        self._network = network
        self._folder = folder
        self._engine = build_engine(folder / "dolly.pyz")
        self._racks: List[Rack] = []

    # --- cells --------------------------------------------------------------------------------------

    def kill(self) -> List[Figure]:
        """Node 4 of 8 is killed (SIGKILL) half-way, 1 GiB, links without a limit"""
        image = self._image(LARGE)
        run = self._run(image)
        run.disturb(0.5, run.rack.clients[4].kill)
        survivors = [1, 2, 3, 5, 6, 7, 8]
        run.check(image, survivors)
        return [
            *_stalls(run, survivors, 1.0),
            *_healed(run, orphan=5, parent=3),
        ]

    def first(self) -> List[Figure]:
        """Node 1 of 8, the server's child, is killed half-way, 1 GiB, links without a limit"""
        image = self._image(LARGE)
        run = self._run(image)
        run.disturb(0.5, run.rack.clients[1].kill)
        run.check(image, range(2, 9))
        return [*_stalls(run, range(2, 9), 1.0), *_healed(run, orphan=2, parent=0)]

    def cut(self) -> List[Figure]:
        """The link of node 4 of 8 goes down half-way, 1 GiB, links without a limit, dead_after 5 s"""
        image = self._image(LARGE)
        run = self._run(image)
        run.disturb(0.5, lambda: self._network.unplug(4))
        survivors = [1, 2, 3, 5, 6, 7, 8]
        run.check(image, survivors)
        return [*_stalls(run, survivors, DEAD_AFTER_S + 2), *_healed(run, orphan=5, parent=3)]

    def slow(self) -> List[Figure]:
        """All links 200 Mbit/s, that of node 2 of 8 20 Mbit/s from the start, 256 MiB"""
        image = self._image(SMALL)
        calm = self._calm(image)
        self._network.limit_both(2, SLOW_RATE)
        run = self._run(image)
        others = [1, 3, 4, 5, 6, 7, 8]
        usual = max(calm.last_byte_after(index) for index in others)
        # Node 2 goes on at its own pace, for minutes: nobody waits for it here.
        run.watch(lambda: all(run.held(index) >= run.size for index in others), usual + 30)
        late = max(run.last_byte_after(index) for index in others)
        least = min(run.held(index) for index in others)
        return [
            Figure("last byte of the last of the other seven without the fault", usual, None, "s"),
            Figure("the same with it", late, usual + 12, "s"),
            Figure("what the last of the other seven held when the watch ended", least / run.size * 100, None, "%"),
            Figure("what node 2 held then", run.held(2) / run.size * 100, None, "%"),
            Figure("adopters of node 3 other than node 1", len(set(run.foster_parents(3)) ^ {1}), 0, ""),
        ]

    def hang(self) -> List[Figure]:
        """Node 3 of 8 is stopped (SIGSTOP) after two thirds, all links 200 Mbit/s, 256 MiB"""
        usual, run = self._stopped(0.66)
        return [
            Figure("last byte of node 2 without the fault", usual, None, "s"),
            Figure("last byte of node 2", run.last_byte_after(2), usual + NOISE_S, "s"),
            Figure("ejections of node 3 before that", run.seen["before"], 0, ""),
            *_stalls(run, [4, 5, 6, 7, 8], DEAD_AFTER_S + 2),
            *_healed(run, orphan=4, parent=2),
        ]

    def late_hang(self) -> List[Figure]:
        """The same after a quarter, so that node 2 has another child before it is through"""
        usual, run = self._stopped(0.25)
        return [
            Figure("last byte of node 2 without the fault", usual, None, "s"),
            Figure("last byte of node 2", run.last_byte_after(2), None, "s"),
            Figure("ejections of node 3 before that", run.seen["before"], None, ""),
            *_stalls(run, [4, 5, 6, 7, 8], DEAD_AFTER_S + 2),
        ]

    def _stopped(self, part: float) -> Tuple[float, Run]:
        """Node 3 is stopped when the last one has that part: the usual last byte of node 2, and the run."""
        image = self._image(SMALL)
        calm = self._calm(image)
        run = self._run(image)
        run.disturb(part, lambda: run.rack.clients[3].send(signal.SIGSTOP))
        run.watch(lambda: run.held(2) >= run.size)
        run.seen["before"] = run.rack.clients[2].log.count("%s is lost: " % run.rack.address(3))
        run.check(image, [1, 2, 4, 5, 6, 7, 8])
        return calm.last_byte_after(2), run

    def again(self) -> List[Figure]:
        """A run is killed (server and nodes) at two thirds, and started again; all links 200 Mbit/s, 256 MiB"""
        image = self._image(SMALL)
        self._limit_all()
        first = self._run(image)
        first.disturb(0.67, lambda: [one.end() for one in first.rack.programs])
        first.look()
        missing = {index: first.size - first.held(index) for index in first.grown}
        interval = {index: first.held(index) - first.held_at(index, first.fault_at - INTERVAL_S) for index in missing}
        run = Run(first.rack, image, NODES)
        run.check(image, range(1, 9))
        received = {index: client.counts.received for index, client in run.rack.clients.items()}
        worst = max(received, key=lambda index: received[index] - missing[index] - interval[index])
        return [
            Figure("sent again to the nodes beyond the missing bytes, at most (node %d)" % worst,
                   (received[worst] - missing[worst]) / MIB, interval[worst] / MIB, "MiB"),
            Figure("the server's bytes sent, against what node 1 lacked and one interval",
                   run.sent() / MIB, (missing[1] + interval[1]) / MIB * 1.01, "MiB"),
        ]  # fmt: skip

    # --- what they share ----------------------------------------------------------------------------

    def restore(self) -> None:
        """End and remove what a cell has left."""
        self._network.restore()
        while self._racks:
            rack = self._racks.pop()
            rack.clear()
            shutil.rmtree(rack.folder)

    def _run(self, image: Path) -> Run:
        for rack in self._racks:  # its copies take the memory that this one needs
            rack.clear()
            shutil.rmtree(rack.folder, ignore_errors=True)
            rack.folder.mkdir()
        rack = Rack(self._network, self._engine, Path(tempfile.mkdtemp(prefix="rack-", dir=self._folder)))
        self._racks.append(rack)
        return Run(rack, image, NODES)

    def _calm(self, image: Path) -> Run:
        self._limit_all()
        run = self._run(image)
        run.check(image, range(1, 9))
        return run

    def _limit_all(self) -> None:
        for index in range(NODES + 1):
            self._network.limit_both(index, RATE)

    def _image(self, size: int) -> Path:
        path = self._folder / ("image-%d" % size)
        if not path.exists():
            with path.open("wb") as file:
                for _piece in range(size // MIB):
                    file.write(os.urandom(MIB))
        return path


def _stalls(run: Run, survivors: Sequence[int], limit_s: float) -> List[Figure]:
    usual, slowest = run.longest_stall(survivors, is_before=True)
    stall, whose = run.longest_stall(survivors)
    return [
        Figure("longest stall before the fault (node %d)" % slowest, usual, None, "s"),
        Figure("longest stall of a survivor after it (node %d)" % whose, stall, limit_s, "s"),
    ]


def _healed(run: Run, orphan: int, parent: int) -> List[Figure]:
    fostered = run.foster_parents(orphan)
    return [
        Figure("adopters of node %d other than node %d%s" % (orphan, parent, "" if parent else ", the server"),
               len(set(fostered) ^ {parent}), 0, ""),
        Figure("the server's bytes sent beyond the image", (run.sent() - run.size) / MIB, 64, "MiB"),
    ]  # fmt: skip


CELLS = ("kill", "first", "cut", "slow", "hang", "late_hang", "again")


def table(found: Dict[str, Any]) -> str:
    """What was measured, as Markdown."""
    lines = ["| fault | measured | | wanted | kept |", "|---|---|---|---|---|"]
    for name in CELLS:
        cell = found.get(name, {"title": "`%s`: not measured" % name, "figures": []})
        title = cell["title"]
        for figure in [Figure(*fields) for fields in cell["figures"]]:
            wanted = "" if figure.limit is None else "at most %s" % _amount(figure.limit, figure.unit)
            line = (title, figure.what, _amount(figure.found, figure.unit), wanted, figure.verdict)
            lines.append("| %s | %s | %s | %s | %s |" % line)
            title = ""
    return "\n".join(lines)


def _amount(value: float, unit: str) -> str:
    if value == float("inf"):
        return "never"
    return ("%.2f" if unit == "s" else "%.0f") % value + (" " + unit if unit else "")


def main() -> int:
    """Measure, print; the exit status, 1 where a figure misses what was wanted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", default=",".join(CELLS), help="default: %(default)s")
    parser.add_argument("--json", type=Path, help="where the figures are kept")
    parser.add_argument("--folder", default="/dev/shm", help="where images and targets lie; default: %(default)s")
    chosen = parser.parse_args()
    cells = chosen.cells.split(",")
    for name in cells:  # before any is measured
        if name not in CELLS:
            parser.error("no such cell: %s, but only %s" % (name, ", ".join(CELLS)))
    os.environ["PATH"] += ":/usr/sbin:/sbin"  # where Debian keeps ip and tc
    reason = why_no_namespaces()
    if reason:
        raise SystemExit("faults: " + reason)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    found = json.loads(chosen.json.read_text()) if chosen.json and chosen.json.exists() else {}
    network = Namespaces(NODES + 1)
    folder = Path(tempfile.mkdtemp(prefix="dolly-faults-", dir=chosen.folder))
    try:
        laboratory = Laboratory(network, folder)
        for name in cells:
            measure = getattr(laboratory, name)
            print("measuring: " + measure.__doc__, file=sys.stderr, flush=True)
            try:
                figures = measure()
            finally:
                laboratory.restore()
            date = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
            found[name] = {"title": measure.__doc__, "date": date, "figures": figures}
    finally:
        network.remove()
        shutil.rmtree(folder, ignore_errors=True)
    if chosen.json:
        chosen.json.parent.mkdir(parents=True, exist_ok=True)
        chosen.json.write_text(json.dumps(found, indent=1) + "\n")
    print(table(found))
    verdicts = [Figure(*fields).verdict for cell in found.values() for fields in cell["figures"]]
    return 1 if "**no**" in verdicts else 0


if __name__ == "__main__":
    sys.exit(main())
