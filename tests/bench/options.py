# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is measured: groups of like cells, and how long that may take."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Callable, Iterable, List, Sequence, Tuple

from .contenders import BY_NAME

MIB = 1 << 20
GIB = 1 << 30
LINKS = ("unshaped", "shaped")
TARGETS = ("memory", "disk")
NODES = (1, 3, 8)
#: Cells beside the matrix: peak memory for a small image, and an image that is nearly all holes.
EXTRAS = ("small", "dense", "sparse")
SMALL_SIZE = 256 * MIB
SPARSE_SIZE = 64 * GIB
SHAPED_MBIT = 400


@dataclass(frozen=True)
class Group:
    """Cells that are compared with each other: the same work for every contender.

    `kind` is "matrix" or one of EXTRAS. `size` is the image's, `data` what of it is no hole, both in bytes.
    """

    kind: str
    links: str
    target: str
    nodes: int
    size: int
    data: int
    rounds: int

    @property
    def title(self) -> str:
        what = "" if self.kind == "matrix" else self.kind + " image, "
        return "%s%s links, %s, %d node%s" % (
            what,
            self.links,
            self.target,
            self.nodes,
            "s"[: self.nodes != 1],
        )


@dataclass(frozen=True)
class Profile:
    """Sizes in bytes and repetitions: per kind of target, and for shaped links."""

    size: int
    shaped_size: int
    memory_rounds: int
    disk_rounds: int
    shaped_rounds: int
    nodes: Tuple[int, ...] = NODES
    shaped_nodes: Tuple[int, ...] = NODES
    shaped_targets: Tuple[str, ...] = TARGETS
    disk_nodes: Tuple[int, ...] = NODES
    sparse_data: int = GIB


QUICK = Profile(
    size=128 * MIB,
    shaped_size=64 * MIB,
    memory_rounds=3,
    disk_rounds=1,
    shaped_rounds=1,
    shaped_nodes=(1, 8),
    shaped_targets=("memory",),
    disk_nodes=(3,),
    sparse_data=256 * MIB,
)
DEFAULT = Profile(size=512 * MIB, shaped_size=256 * MIB, memory_rounds=5, disk_rounds=2, shaped_rounds=2)
FULL = Profile(size=GIB, shaped_size=512 * MIB, memory_rounds=7, disk_rounds=3, shaped_rounds=3)


def size_of(text: str) -> int:
    """Bytes of "64MiB", "1GiB" or a plain number. Raises ValueError."""
    for unit, factor in (("KiB", 1024), ("MiB", MIB), ("GiB", GIB)):
        if text.endswith(unit):
            return int(float(text[: -len(unit)]) * factor)
    return int(text)


def parser() -> argparse.ArgumentParser:
    """The options of `make bench BENCH='...'`."""
    options = argparse.ArgumentParser(prog="make bench BENCH='...'; OPTIONS", description=__doc__)
    options.add_argument("--quick", action="store_true", help="under 3 minutes, noisier")
    options.add_argument(
        "--full", action="store_true", help="larger images, more rounds"
    )
    options.add_argument("--size", type=size_of, metavar="SIZE", help="image on unshaped links, such as 1GiB")
    options.add_argument("--shaped-size", type=size_of, metavar="SIZE", help="image on shaped links")
    options.add_argument("--sparse-data", type=size_of, metavar="SIZE", help="data in the sparse image")
    options.add_argument("--rounds", type=_count, metavar="N", help="repetitions of every cell")
    options.add_argument("--nodes", type=_numbers, metavar="N,N", help="lengths of the ring (default 1,3,8)")
    options.add_argument(
        "--only",
        type=_words_of((*LINKS, *TARGETS, "extra")),
        default=(),
        metavar="WORD,...",
        help="memory disk shaped unshaped extra (in any mix)",
    )
    options.add_argument(
        "--contenders",
        type=_words_of(BY_NAME),
        default=(),
        metavar="NAME,...",
        help="only these of " + " ".join(BY_NAME),
    )
    options.add_argument(
        "--pages",
        choices=("huge", "small"),
        default="huge",
        help="of the folder in memory, as root (default: huge)",
    )
    options.add_argument("--disk-folder", default="build/bench", metavar="DIR", help="on the disk to measure")
    options.add_argument("--json", default="build/bench.json", metavar="FILE", help="default: %(default)s")
    options.add_argument("--page", default="docs/performance.md", metavar="FILE", help="default: %(default)s")
    options.add_argument(
        "--report", action="store_true", help="write the page again from --json; measure nothing"
    )
    return options


def groups(options: argparse.Namespace) -> List[Group]:
    """What to measure, the quickest kinds first."""
    profile = QUICK if options.quick else FULL if options.full else DEFAULT
    found = _matrix(profile, options) + _extras(profile, options)
    words = set(options.only)
    return [group for group in found if _is_wanted(group, words)]


def _is_wanted(group: Group, words: Sequence[str]) -> bool:
    if not words:
        return True
    if group.kind != "matrix":
        return "extra" in words
    by_target = {word for word in words if word in TARGETS}
    by_links = {word for word in words if word in LINKS}
    if not by_target and not by_links:
        return False
    return group.target in (by_target or TARGETS) and group.links in (by_links or LINKS)


def _matrix(profile: Profile, options: argparse.Namespace) -> List[Group]:
    found = []
    for links in LINKS:
        for target in TARGETS:
            lengths = profile.nodes
            rounds, size = profile.memory_rounds, options.size or profile.size
            if target == "disk":
                lengths, rounds = profile.disk_nodes, profile.disk_rounds
            if links == "shaped":
                if target not in profile.shaped_targets and target not in options.only:
                    continue
                lengths, rounds = profile.shaped_nodes, profile.shaped_rounds
                size = options.shaped_size or profile.shaped_size
            for nodes in options.nodes or lengths:
                found.append(Group("matrix", links, target, nodes, size, size, options.rounds or rounds))
    return found


def _extras(profile: Profile, options: argparse.Namespace) -> List[Group]:
    data = options.sparse_data or profile.sparse_data
    rounds = options.rounds or profile.shaped_rounds
    return [
        Group("small", "unshaped", "memory", 3, SMALL_SIZE, SMALL_SIZE, rounds),
        Group("dense", "unshaped", "memory", 1, data, data, rounds),
        Group("sparse", "unshaped", "memory", 1, SPARSE_SIZE, data, rounds),
    ]


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("%d is less than 1" % number)
    return number


def _numbers(text: str) -> Tuple[int, ...]:
    return tuple(_count(part) for part in text.split(","))


def _words_of(known: Iterable[str]) -> Callable[[str], Tuple[str, ...]]:
    """Read words with commas between them. A mistyped one is refused: without it less would be measured, or nothing."""
    names = tuple(known)

    def words(text: str) -> Tuple[str, ...]:
        found = tuple(part.strip() for part in text.split(","))
        for word in found:
            if word not in names:
                raise argparse.ArgumentTypeError("%r is none of %s" % (word, ", ".join(names)))
        return found

    return words
