# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the bytes on the wire are made from the source, and what a node writes. Part of a plan.

    infile              outfile       wire             node writes
    plain               plain         the source       the same
    plain               compressed    server's gzip    the same
    compressed          plain         the source       decompressed
    compressed          compressed    the source       the same
    dummy               -             any bytes        nothing

``from_dict`` treats its argument as hostile, like the rest of the plan.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Dict, Optional, Type, TypeVar

from ..ranges import is_integer
from .field_error import FieldError

KINDS = ("plain", "compressed", "dummy")
#: The codecs that a compressed source may have, by its first bytes.
CODECS = ("gzip", "xz", "bzip2", "zstd")
_MAX_SIZE = 2 ** 63 - 1
_MAX_SECONDS = 30 * 86400.0

Part = TypeVar("Part")


@dataclass(frozen=True)
class Infile:
    """What the server reads.

    ``is_split``: the source is FILE_0, FILE_1, ...; ``codec``: the codec of a compressed source, "" until it
    was inspected; ``is_seekable``: the server can serve every range of the wire at any time, unlike from a
    pipe; ``uncompressed_size``: bytes as given by the user, for statistics; ``dummy_seconds``: how long a
    dummy run without a size lasts.
    """

    kind: str = "plain"
    is_split: bool = False
    codec: str = ""
    is_seekable: bool = True
    uncompressed_size: Optional[int] = None
    dummy_seconds: Optional[float] = None

    def __post_init__(self) -> None:
        _expect("infile.kind", self.kind, self.kind in KINDS, "one of " + ", ".join(KINDS))
        for name in ("is_split", "is_seekable"):
            value = getattr(self, name)
            _expect("infile." + name, value, isinstance(value, bool), "true or false")
        is_codec = self.codec == "" or (self.codec in CODECS and self.kind == "compressed")
        _expect("infile.codec", self.codec, is_codec, "of a compressed one: " + ", ".join(CODECS))
        size, seconds = self.uncompressed_size, self.dummy_seconds
        is_size = size is None or (is_integer(size) and 0 <= size <= _MAX_SIZE)
        _expect("infile.uncompressed_size", size, is_size, "bytes, or null")
        is_number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
        is_time = seconds is None or (is_number and 0 < seconds <= _MAX_SECONDS and self.kind == "dummy")
        _expect("infile.dummy_seconds", seconds, is_time, "seconds of a dummy run, or null")

    def to_dict(self) -> Dict[str, Any]:
        """Return the fields as JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Any) -> Infile:
        """Return what ``to_dict`` described; a missing field has its default. ValueError: invalid."""
        return _part(cls, "infile", data)


@dataclass(frozen=True)
class Outfile:
    """What each node writes. ``split_size``: the bytes in each part FILE_0, FILE_1, ...; 0: one file."""

    is_compressed: bool = False
    split_size: int = 0

    def __post_init__(self) -> None:
        _expect("outfile.is_compressed", self.is_compressed, isinstance(self.is_compressed, bool), "true or false")
        is_size = is_integer(self.split_size) and 0 <= self.split_size <= _MAX_SIZE
        _expect("outfile.split_size", self.split_size, is_size, "bytes, or 0 for one file")

    def to_dict(self) -> Dict[str, Any]:
        """Return the fields as JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Any) -> Outfile:
        """Return what ``to_dict`` described; a missing field has its default. ValueError: invalid."""
        return _part(cls, "outfile", data)


def server_compresses(infile: Infile, outfile: Outfile) -> bool:
    """Whether the server compresses what it sends; a compressed source is sent as it is."""
    return infile.kind == "plain" and outfile.is_compressed


def node_decompresses(infile: Infile, outfile: Outfile) -> bool:
    """Whether a node decompresses what the wire carries before storing it."""
    return infile.kind == "compressed" and not outfile.is_compressed


def _part(kind: Type[Part], what: str, data: Any) -> Part:
    _expect(what, data, isinstance(data, dict), "an object")
    allowed = sorted(item.name for item in fields(kind))  # type: ignore[arg-type]
    for name in data:
        _expect(what, name, name in allowed, "only the fields " + ", ".join(allowed))
    return kind(**data)


def _expect(name: str, found: Any, is_good: bool, expected: str) -> None:
    if not is_good:
        raise FieldError(name, found, expected)


PLAIN_IN = Infile()
PLAIN_OUT = Outfile()
