# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decompressing zstd: with the standard library from Python 3.14 on, otherwise with the program zstd."""

from __future__ import annotations

import os
import select
import shutil
from typing import Any, Iterator, Optional

from .program import Program

_PATIENCE_S = 60.0
_MAX_COMPLAINT = 500
_MAX_SAID = 1 << 16


def new_zstd() -> Optional[Any]:
    """Return a decompressor of the standard library for one frame, None if it has none."""
    try:
        from compression import zstd  # type: ignore[import-not-found]
    except ImportError:
        return None
    return zstd.ZstdDecompressor()


def find_zstd() -> Optional[str]:
    """Return the path of the program zstd, None if it is not installed."""
    return shutil.which("zstd", path=os.environ.get("PATH") or os.defpath)


class ZstdProgram:
    """The program zstd as a decompressor. Raises ValueError with the program's message."""

    def __init__(self, most: int) -> None:
        path = find_zstd()
        if path is None:
            raise ValueError("the program zstd is not there")
        self._most = most
        self._program = Program([path, "-dcq"])
        self._in, self._out = self._program.stdin, self._program.stdout
        os.set_blocking(self._in, False)
        os.set_blocking(self._out, False)
        self._has_more = True

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Pass `data` to the program; yield what is decompressed meanwhile. More may follow later."""
        left = memoryview(data)
        while left:
            readable, writable, _none = select.select([self._out] if self._has_more else [], [self._in], [])
            if readable:
                yield from self._read()
            elif writable:
                left = left[self._write(left) :]

    def end(self) -> Iterator[bytes]:
        """Yield the rest. Raises ValueError if the program failed."""
        self._program.close_stdin()
        while self._has_more:
            select.select([self._out], [], [])
            yield from self._read()
        self._check()

    def abort(self) -> None:
        """Kill the program if it still runs. May be called twice."""
        self._program.close(_PATIENCE_S)

    def _read(self) -> Iterator[bytes]:
        try:
            data = os.read(self._out, self._most)
        except BlockingIOError:
            return
        if data:
            yield data
        else:
            self._has_more = False

    def _write(self, data: memoryview) -> int:
        try:
            return os.write(self._in, data)
        except BlockingIOError:
            return 0
        except BrokenPipeError:
            self._check()
            raise ValueError("there is something else behind the end of the archive") from None

    def _check(self) -> None:
        if self._program.wait(_PATIENCE_S):
            text = os.read(self._program.stderr, _MAX_SAID).decode("utf-8", "replace")
            raise ValueError("zstd says: %s" % " ".join(text.split())[-_MAX_COMPLAINT:])
