# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Compressed images and images in parts: what dolly_server is asked for, what dolly_client checks."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.dolly.ring.plugins.module_utils import classic_ring
from ansible_collections.dolly.ring.plugins.module_utils.dolly import units
from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import Refused, UsageError
from ansible_collections.dolly.ring.plugins.module_utils.dolly.plan.streams import (
    Infile,
    Outfile,
    node_decompresses,
    server_compresses,
)
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage import compressed, parts, registry
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.facts import SourceFacts, TargetFacts
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.source import inspect_source

Params = t.Mapping[str, t.Any]

_FLAGS = ("compressed", "source_split", "dest_compressed")
_SIZES = ("dest_split", "uncompressed_size")
_LARGEST = 2 ** 63 - 1


def spec() -> t.Dict[str, t.Any]:
    """Return the argument spec of the options of dolly_server for this."""
    found: t.Dict[str, t.Any] = {name: {"type": "bool", "default": False} for name in _FLAGS}
    found.update((name, {"type": "str", "default": ""}) for name in _SIZES)
    return found


def files_of(params: Params) -> t.Tuple[Infile, Outfile]:
    """Return what is read and what is written. Raises UsageError for options that do not go together."""
    split, uncompressed = (_size(params, name) for name in _SIZES)
    if uncompressed and not params["compressed"]:
        raise UsageError("uncompressed_size", params["uncompressed_size"], "none without compressed")
    kind = "compressed" if params["compressed"] else "plain"
    infile = Infile(kind, is_split=bool(params["source_split"]), uncompressed_size=uncompressed or None)
    outfile = Outfile(bool(params["dest_compressed"]), split)
    _check_protocol(params)
    _check_others(params, infile, outfile)
    return infile, outfile


def _size(params: Params, name: str) -> int:
    """Bytes, 0 for the empty string."""
    try:
        size = units.parse_size(params[name] or 0)
    except ValueError:
        size = -1
    if not 0 <= size <= _LARGEST:
        raise UsageError(name, params[name], "a size in bytes such as 2147483648 or 2G")
    return size


def _check_protocol(params: Params) -> None:
    asked = [name for name in (*_FLAGS, *_SIZES) if params[name]]
    if asked and classic_ring.is_classic(params):
        raise UsageError(asked[0], params[asked[0]], "nothing of that kind with protocol=classic")


def _check_others(params: Params, infile: Infile, outfile: Outfile) -> None:
    is_sent_as_it_is = infile == Infile() and not outfile.is_compressed
    if params["bmap"] and not is_sent_as_it_is:
        raise UsageError("bmap", params["bmap"], "none for an image that is compressed or in parts")
    stores_another = server_compresses(infile, outfile) or node_decompresses(infile, outfile)
    if params["compare"] and (stores_another or outfile.split_size):
        raise UsageError("compare", True, "false: only a target that gets the image as it is can be compared")
    if params["checksum"] and server_compresses(infile, outfile):
        raise UsageError("checksum", params["checksum"], "none with dest_compressed: what is sent is not the image")


def inspect(params: Params) -> t.Tuple[SourceFacts, t.Dict[str, t.Any]]:
    """Return the facts about the source, and what nodes make of it (see `Written`).

    Raises UsageError, SourceError.
    """
    infile, outfile = files_of(params)
    if infile == Infile() and not outfile.is_compressed:
        found, codec = inspect_source(params["source"]), ""
    else:
        # What the server would compress is opened plainly: nothing of it is read here.
        opens_as = outfile if infile.kind == "compressed" else Outfile()
        opened = registry.open_source(params["source"], infile, opens_as, 0.0)
        opened.close()
        found, codec = t.cast(SourceFacts, opened.facts), opened.infile.codec
    size: t.Optional[int] = found.size
    if server_compresses(infile, outfile):
        size = None
    elif node_decompresses(infile, outfile):
        size = infile.uncompressed_size
    return found, dataclasses.asdict(Written(size, codec, bool(outfile.split_size)))


@dataclasses.dataclass(frozen=True)
class Written:
    """What a node writes. `size` in bytes, None: nobody knows yet; `codec`: what it decompresses, "" for nothing."""

    size: t.Optional[int]
    codec: str = ""
    is_split: bool = False

    @classmethod
    def of_source(cls, values: t.Optional[Params], size: t.Optional[int]) -> Written:
        """What dolly_server returned beside the facts of a source; without it the image as it is. Raises UsageError."""
        said = (values or {}).get("written")
        if said is None:
            return cls(size)
        try:
            found = cls(**said)
            if not (found.size is None or (isinstance(found.size, int) and found.size >= 0)):
                raise ValueError("the size")
        except (TypeError, ValueError):
            raise UsageError("source.written", said, "what dolly_server returns with state=inspected") from None
        return found

    @property
    def is_as_sent(self) -> bool:
        """Whether the image is written as it is, so that holes of the source take no room."""
        return self.size is not None and not self.codec

    def path(self, dest: str) -> str:
        """The file that is looked at before anything is written."""
        return parts.part_name(dest, 0) if self.is_split else dest

    def check(self, found: TargetFacts, moves_gpt: bool) -> None:
        """Raise Refused where this node cannot decompress, or a device is to be a file in parts; UsageError."""
        if self.codec:
            compressed.check_codec(self.codec)
        if moves_gpt and self.codec:
            raise UsageError("move_gpt", True, "false with a compressed source, which is not read back as a disk")
        if self.is_split and found.kind == "block":
            raise Refused(found.path, "it is a device, and an image in parts needs files")
