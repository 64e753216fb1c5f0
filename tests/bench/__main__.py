# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the benchmark: `make bench BENCH='...'`, or with `--help` to see what can be chosen."""

from __future__ import annotations

import datetime
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Dict, List, Set

from . import machine, options, page, plots
from .contenders import CONTENDERS, ROOT, Contender, Ring
from .measurement import Measurement, compare, measure
from .network import Loopback, Namespaces
from .options import Group
from .reservoir import Reservoir
from .statistics import Results
from .workspace import Workspace

#: The load above which figures are not to be believed.
_BUSY = 0.7


class Bench:
    """A run: what it measures, with what, and what it noted on the way."""

    def __init__(
        self, chosen: Any, workspace: Workspace, network: Loopback | Namespaces, reservoir: Reservoir
    ) -> None:
        self.measurements: List[Measurement] = []
        self.notes: List[str] = []
        self._workspace = workspace
        self._network = network
        self._reservoir = reservoir
        self._folder = workspace.folder("disk")
        self._engine = os.path.join(self._folder, "dolly.pyz")
        self._key = os.path.join(self._folder, "key")
        self._contenders = self._available(chosen.contenders)
        load = os.getloadavg()[0]
        if load > _BUSY:
            self._note("the machine was busy with something else when this began (load %.1f)" % load)

    def prepare(self) -> None:
        """Pack the engine and make a key."""
        maker = str(ROOT / "tools" / "make_pyz.py")
        subprocess.run([sys.executable, maker, self._engine], check=True, capture_output=True, timeout=60)
        with open(self._key, "wb") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(secrets.token_bytes(32))

    def run(self, groups: List[Group]) -> None:
        """Measure every group, round by round, the contenders in turn and back again."""
        for number, group in enumerate(groups, 1):
            if not self._is_possible(group):
                continue
            _say("[%d/%d] %s, %d MiB" % (number, len(groups), group.title, group.size >> 20))
            if self._network.can_shape:
                self._network.shape(options.SHAPED_MBIT if group.links == "shaped" else 0)
            failed: Set[str] = set()
            for turn in range(1, group.rounds + 1):
                # Whoever comes behind the same other one each time always finds the memory as that one has left it.
                for contender in self._contenders[:: 1 if turn % 2 else -1]:
                    if _takes_part(contender, group, turn) and contender.name not in failed:
                        self._one(contender, group, turn, failed)

    def _one(self, contender: Contender, group: Group, turn: int, failed: Set[str]) -> None:
        ring = self._ring(group)
        path = os.path.join(self._folder, "contender.log")
        with open(path, "w+", encoding="utf-8") as log:
            found = measure(contender, group, ring, self._network, log, self._reservoir.follow)
        found.round = turn
        found.error = found.error or compare(ring)
        self._workspace.clear(self._reservoir.take_back)
        self.measurements.append(found)
        if found.error:
            failed.add(contender.name)
            _say("    round %d  %-18s FAILED: %s" % (turn, contender.name, found.error))
            _say("      " + "\n      ".join(Path(path).read_text(errors="replace").splitlines()[-4:]))
            return
        _say(
            "    round %d  %-18s %7.2f s %7.1f MB/s  CPU %.2f s/GB/hop  peak %.0f MiB"
            % (
                turn,
                contender.name,
                found.seconds,
                found.rate / 1e6,
                found.cpu_per_gb_and_hop,
                found.peak / 2**20,
            )
        )

    def _ring(self, group: Group) -> Ring:
        source = self._workspace.source(group.size, group.data)
        folders = [self._workspace.make_node(group.target, rank) for rank in range(group.nodes + 1)]
        addresses = [self._network.address(rank) for rank in range(group.nodes + 1)]
        return Ring(source, folders, addresses, self._engine, self._key)

    def _is_possible(self, group: Group) -> bool:
        if group.links == "shaped" and not self._network.can_shape:
            self._note("links can be shaped as root only: %s was left out" % group.title)
            return False
        if group.kind == "sparse" and not self._workspace.can_limit:
            self._note("the sparse image is measured as root only: it needs a folder in memory with a limit")
            return False
        # ansible.builtin.copy holds each target twice while it puts it in place.
        need = group.data * (group.nodes + 2)
        if not self._workspace.has_room(group.target, need):
            self._note("too little room in %s: %s was left out" % (group.target, group.title))
            return False
        return True

    def _available(self, names: Any) -> List[Contender]:
        found = []
        for contender in CONTENDERS:
            if names and contender.name not in names:
                continue
            missing = [program for program in contender.programs if not shutil.which(program)]
            if missing:
                package = ", ".join(contender.packages)
                told = "%s is not measured: %s is missing (Debian: %s)" % (contender.title, missing[0], package)
                if names:  # asked for by its name
                    raise SystemExit("bench: " + told)
                self._note(told)
                continue
            found.append(contender)
        return found

    def _note(self, text: str) -> None:
        self.notes.append(text)
        _say("note: " + text)


def _takes_part(contender: Contender, group: Group, turn: int) -> bool:
    return (
        turn <= contender.rounds
        and group.kind in contender.kinds
        and group.links in contender.links
        and group.target in contender.targets
    )


def _say(text: str) -> None:
    print(text, flush=True)


def _end(number: int, _frame: Any) -> None:
    raise KeyboardInterrupt(signal.Signals(number).name)


def _measure(chosen: Any) -> Dict[str, Any]:
    groups = options.groups(chosen)
    if not groups:
        raise SystemExit("bench: nothing is left to measure with these options")
    longest = max(group.nodes for group in groups)
    largest = max(group.data * group.nodes for group in groups)
    room = max(group.data * (group.nodes + 3) for group in groups) + (256 << 20)
    is_root = os.geteuid() == 0 and shutil.which("ip") and shutil.which("tc")
    network = Namespaces(longest) if is_root else Loopback(longest)
    begin = time.monotonic()
    is_complete = False
    with network, Workspace(chosen.disk_folder, room, chosen.pages == "huge") as workspace:
        _say("touching %d MiB of memory" % (largest >> 20))
        reservoir = Reservoir(largest)
        bench = Bench(chosen, workspace, network, reservoir)
        bench.prepare()
        facts = machine.facts(
            network.title, workspace.folder("disk"), chosen.pages if workspace.can_limit else "small"
        )
        try:
            bench.run(groups)
            is_complete = True
        except KeyboardInterrupt:
            _say("bench: interrupted; what was measured so far is kept in the JSON file")
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "machine": facts,
        "minutes": round((time.monotonic() - begin) / 60, 1),
        "complete": is_complete,
        "notes": bench.notes,
        "measurements": [one.to_dict() for one in bench.measurements],
    }


def main() -> int:
    """Measure, then write; the exit status."""
    chosen = options.parser().parse_args()
    os.environ["PATH"] += ":/usr/sbin:/sbin"  # where Debian keeps ip and tc
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGHUP, _end)
    path = Path(chosen.json)
    if not chosen.report:
        found = _measure(chosen)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        _say("wrote %s" % path)
        if not found["complete"]:
            return 130
    run = json.loads(path.read_text(encoding="utf-8"))
    results = Results(Measurement.from_dict(one) for one in run["measurements"])
    target = Path(chosen.page)
    drawn = plots.draw(results, target.parent / target.stem)
    page.write(target, page.markdown(run, results, drawn))
    _say("wrote %s and %d plots" % (target, len(drawn)))
    _say("\n" + page.claims_table(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
