# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where images lie: the sources in memory, the targets in memory or on a disk."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from typing import Callable, Dict, Tuple

from .contenders import OUTPUT

MIB = 1 << 20
#: The sparse image's data lies in so many places.
EXTENTS = 256
_SAMPLE = 64 * 1024
_SAMPLES = 96
SHM = "/dev/shm"
#: A target is given up in steps of this, so that its memory can be taken over before anybody misses it.
_SHRINK_STEP = 64 * MIB


class Workspace:
    """Two folders, one in memory and one on the disk, that are gone when it is left.

    As root the folder in memory is a file system of its own with a limit, so that a contender that writes holes as
    zeros fails by itself before the machine runs out of memory.
    """

    def __init__(self, disk_folder: str, memory_limit: int, is_huge: bool) -> None:
        os.makedirs(disk_folder, exist_ok=True)
        self._limit = memory_limit
        self._is_huge = is_huge
        self._sources: Dict[Tuple[int, int], str] = {}
        self._mounted = False
        self._disk = tempfile.mkdtemp(prefix="run-", dir=os.path.abspath(disk_folder))
        self._memory = tempfile.mkdtemp(prefix="dolly-bench-", dir=SHM)

    def __enter__(self) -> Workspace:
        if os.geteuid() == 0:
            size = "size=%d%s" % (self._limit, ",huge=always" if self._is_huge else "")
            command = ["mount", "-t", "tmpfs", "-o", size, "dolly-bench", self._memory]
            self._mounted = not subprocess.run(command, check=False, timeout=30).returncode
        return self

    def __exit__(self, *_ignored: object) -> None:
        if self._mounted:
            subprocess.run(["umount", "--lazy", self._memory], check=False, timeout=30)
        shutil.rmtree(self._memory, ignore_errors=True)
        shutil.rmtree(self._disk, ignore_errors=True)

    @property
    def can_limit(self) -> bool:
        """Whether a full folder in memory is a full folder and not a machine without memory."""
        return self._mounted

    def folder(self, target: str) -> str:
        return self._memory if target == "memory" else self._disk

    def has_room(self, target: str, size: int) -> bool:
        """Whether `size` bytes more fit, with something to spare."""
        return shutil.disk_usage(self.folder(target)).free > size + 64 * MIB

    def source(self, size: int, data: int) -> str:
        """An image with `data` bytes that cannot be compressed and holes for the rest; one at a time is kept."""
        path = self._sources.get((size, data))
        if path is None:
            for old in self._sources.values():
                os.unlink(old)
            path = os.path.join(self._memory, "source.img")
            self._sources = {(size, data): path}
            _write_image(path, size, data)
        return path

    def make_node(self, target: str, rank: int) -> str:
        """An empty folder for one node."""
        path = os.path.join(self.folder(target), "node%d" % rank)
        shutil.rmtree(path, ignore_errors=True)
        os.mkdir(path)
        return path

    def clear(self, shrunk: Callable[[], None]) -> None:
        """Remove the nodes' folders; `shrunk` is called each time that some of their memory is free again."""
        for folder in (self._memory, self._disk):
            for name in os.listdir(folder):
                if name.startswith("node"):
                    _shrink(os.path.join(folder, name, OUTPUT), shrunk)
                    shutil.rmtree(os.path.join(folder, name), ignore_errors=True)
        shrunk()


def _shrink(path: str, shrunk: Callable[[], None]) -> None:
    try:
        size = os.stat(path).st_size
    except OSError:
        return  # it was not made
    for end in range(max(0, size - _SHRINK_STEP), 0, -_SHRINK_STEP):
        os.truncate(path, end)
        shrunk()


def _write_image(path: str, size: int, data: int) -> None:
    extents = EXTENTS if data < size else 1
    piece = data // extents
    with open(path, "wb") as file:
        file.truncate(size)
        for number in range(extents):
            file.seek(size // extents * number)
            left = piece
            while left:
                left -= file.write(os.urandom(min(left, 4 * MIB)))


def flush(path: str) -> None:
    """Wait until a file is on its medium."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def difference(source: str, target: str) -> str:
    """How a target differs from the source, by size and by samples that each extent has its share of; or ""."""
    try:
        size, found = os.path.getsize(source), os.path.getsize(target)
    except OSError as error:
        return "no target: %s" % error.strerror
    if size != found:
        return "%d bytes instead of %d" % (found, size)
    step = max(1, size // _SAMPLES)
    with open(source, "rb") as wanted, open(target, "rb") as got:
        for offset in [*range(0, size, step), max(0, size - _SAMPLE)]:
            wanted.seek(offset)
            got.seek(offset)
            if wanted.read(_SAMPLE) != got.read(_SAMPLE):
                return "other bytes near offset %d" % offset
    return ""
