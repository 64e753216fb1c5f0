# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plots as SVG: throughput, time and CPU over the number of nodes."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, List, Tuple

from .contenders import CONTENDERS
from .options import Group
from .statistics import Figure, Results, cpu, rate, seconds

_LICENCE = """\
<!--
SPDX-FileCopyrightText: 2026 The dolly.ring authors
SPDX-License-Identifier: GPL-3.0-or-later
-->
"""
_PLOTS: Tuple[Tuple[str, str, Figure, str, str], ...] = (
    ("throughput", "MB/s to every node", rate, "unshaped", "memory"),
    ("throughput-disk", "MB/s to every node", rate, "unshaped", "disk"),
    ("time", "seconds", seconds, "unshaped", "memory"),
    ("time-shaped", "seconds", seconds, "shaped", "memory"),
    ("cpu-per-hop", "CPU seconds per GB and hop", cpu, "unshaped", "memory"),
)


def draw(results: Results, folder: Path) -> List[str]:
    """Write the plots for which there are figures at two lengths of the ring or more; their names."""
    drawn = []
    for name, label, figure, links, target in _PLOTS:
        groups = [
            group
            for group in results.groups()
            if (group.kind, group.links, group.target) == ("matrix", links, target)
        ]
        if len(groups) > 1:
            folder.mkdir(parents=True, exist_ok=True)
            _draw(results, groups, figure, label, folder / (name + ".svg"))
            drawn.append(name + ".svg")
    return drawn


def _draw(results: Results, groups: List[Group], figure: Figure, label: str, path: Path) -> None:
    from matplotlib import rc_context  # slow to import, and without plots not needed
    from matplotlib.figure import Figure as Sheet

    with rc_context({"svg.hashsalt": "dolly", "svg.fonttype": "none", "font.size": 10}):
        sheet = Sheet(figsize=(7, 4), layout="constrained")
        axes = sheet.add_subplot()
        for number, contender in enumerate(CONTENDERS):
            points = _points(results, groups, contender.name, figure)
            if points:
                lengths = sorted(points)
                middle = [points[nodes][0] for nodes in lengths]
                errors = [[points[nodes][side] for nodes in lengths] for side in (1, 2)]
                axes.errorbar(
                    lengths, middle, yerr=errors, marker="o", capsize=3, color="C%d" % number,
                    label=contender.title.replace("`", ""),
                )  # fmt: skip
        axes.set_xlabel("nodes in the ring")
        axes.set_ylabel(label)
        axes.set_xticks(sorted({group.nodes for group in groups}))
        axes.set_ylim(bottom=0)
        axes.set_title(
            "%s links, targets in %s" % (groups[0].links, groups[0].target.replace("disk", "files on disk"))
        )
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
        sheet.savefig(path, metadata={"Date": None, "Creator": None})
    text = path.read_text(encoding="utf-8")
    clean = "\n".join(line.rstrip() for line in text.splitlines()) + "\n"
    path.write_text(clean.replace("<svg ", _LICENCE + "<svg ", 1), encoding="utf-8")


def _points(
    results: Results, groups: List[Group], contender: str, figure: Figure
) -> Dict[int, Tuple[float, float, float]]:
    """By length of the ring: the median, and how far down and up the rounds reach from it."""
    found = {}
    for group in groups:
        spread = results.spread(group, contender, figure)
        if spread is not None:
            found[group.nodes] = (spread.median, spread.median - spread.low, spread.high - spread.median)
    return found
