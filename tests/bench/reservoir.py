# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory that is handed back to the kernel as fast as the targets grow, and not sooner.

A virtual machine's host may take back the memory that its guest leaves free, within a second or two, and the next
use of such a page takes far longer: 64 MiB took 200 to 280 ms instead of 5 to 10 on one machine. A contender would pay
for how long it took to start, or for being slow. So the memory is in use here until the targets need it, and every
contender writes into pages that the machine has.
"""

from __future__ import annotations

import mmap
from typing import Callable

_HUGE_PAGE = 2 << 20
#: So much is free ahead of the targets, in bytes: what they grow by between two looks, several times over.
AHEAD = 64 << 20


def file_memory() -> int:
    """Bytes of memory that hold files, of every file system."""
    with open("/proc/meminfo", encoding="ascii") as file:
        return sum(int(line.split()[1]) for line in file if line.startswith(("Cached:", "Buffers:"))) * 1024


class Reservoir:
    """`size` bytes, touched. `used` tells how many bytes of memory hold files now."""

    def __init__(self, size: int, used: Callable[[], int] = file_memory) -> None:
        self._pages = max(1, size // _HUGE_PAGE)
        self._used = used
        self._before = used()
        self._given = self._pages
        self._memory = mmap.mmap(-1, 2 * self._pages * _HUGE_PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self._memory.madvise(mmap.MADV_HUGEPAGE)
        self._memory.madvise(mmap.MADV_DONTFORK)
        for number in range(2 * self._pages):
            self._touch(number)
        self._given = 0

    def follow(self) -> None:
        """Give back what the targets are about to need. Cheap enough to be called every few milliseconds."""
        self._keep_all_but(self._used() - self._before + AHEAD, self._given)

    def take_back(self) -> None:
        """Take what the targets do not use any more, before anybody else does."""
        self._keep_all_but(self._used() - self._before)

    def close(self) -> None:
        """Give back everything."""
        self._memory.close()

    def _keep_all_but(self, wanted: int, at_least: int = 0) -> None:
        pages = min(self._pages, max(at_least, wanted // _HUGE_PAGE))
        # Only every other page: the kernel joins two neighbours that are free and gives such a pair away last,
        # after every single one that has been free for long.
        for number in range(self._given, pages):
            self._memory.madvise(mmap.MADV_DONTNEED, 2 * number * _HUGE_PAGE, _HUGE_PAGE)
        for number in range(pages, self._given):
            self._touch(2 * number)
        self._given = pages

    def _touch(self, number: int) -> None:
        for offset in range(number * _HUGE_PAGE, (number + 1) * _HUGE_PAGE, mmap.PAGESIZE):
            self._memory[offset] = 1
