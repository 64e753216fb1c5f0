# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes images and inspects copies of them, without the engine."""

from __future__ import annotations

import errno
import hashlib
import os
import random
from pathlib import Path
from typing import List, Tuple

MIB = 1 << 20
#: The bytes that one digest covers.
CHUNK = 4 * MIB


def make_image(path: Path, size: int, seed: int = 1) -> Path:
    """Make a file whose bytes never repeat, so that a moved or missing piece is always detected."""
    with path.open("wb") as file:
        source = random.Random(seed)
        for start in range(0, size, MIB):
            file.write(source.randbytes(min(MIB, size - start)))
    return path


def digest(path: Path, length: int = -1) -> str:
    """Return the SHA-256 of a file, or of the first `length` bytes of a device."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while length:
            piece = file.read(MIB if length < 0 else min(MIB, length))
            if not piece:
                break
            found.update(piece)
            length -= len(piece) if length > 0 else 0
    return found.hexdigest()


def data_ranges(path: Path) -> List[Tuple[int, int]]:
    """Return the ranges of a file that are data, not holes."""
    found: List[Tuple[int, int]] = []
    with path.open("rb") as file:
        end = 0
        while True:
            try:
                start = os.lseek(file.fileno(), end, os.SEEK_DATA)
            except OSError as error:
                if error.errno == errno.ENXIO:
                    return found
                raise
            end = os.lseek(file.fileno(), start, os.SEEK_HOLE)
            found.append((start, end))


def same_data(one: Path, other: Path) -> bool:
    """Whether two files of equal size are equal; reads only ranges where either has data."""
    if one.stat().st_size != other.stat().st_size:
        return False
    with one.open("rb") as left, other.open("rb") as right:
        for start, end in data_ranges(one) + data_ranges(other):
            for at in range(start, end, MIB):
                length = min(MIB, end - at)
                if os.pread(left.fileno(), length, at) != os.pread(right.fileno(), length, at):
                    return False
    return True


def allocated(path: Path) -> int:
    """Return the bytes that a file occupies, 0 if it does not exist. stat(2): units of 512 bytes."""
    try:
        return path.stat().st_blocks * 512
    except FileNotFoundError:
        return 0
