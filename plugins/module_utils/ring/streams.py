# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Compressed images, split images, and no image: options of dolly_server, and checks of dolly_client."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.dolly.ring.plugins.module_utils.dolly.errors import Refused, UsageError
from ansible_collections.dolly.ring.plugins.module_utils.dolly.plan.streams import (
    Infile,
    Outfile,
    node_decompresses,
    server_compresses,
)
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage import compressed, parts, registry
from ansible_collections.dolly.ring.plugins.module_utils.dolly.storage.facts import SourceFacts, TargetFacts
from ansible_collections.dolly.ring.plugins.module_utils.ring import classic, numbers

Params = t.Mapping[str, t.Any]

_FLAGS = ("compressed", "source_split", "dest_compressed")
_SIZES = ("dest_split", "uncompressed_size")
_DUMMY = ("dummy_size", "dummy_seconds")
#: Options that a run without disks does not allow: of the server, and of a node.
_OF_IMAGES = ("source", "source_facts", "dest", "checksum", "bmap", "compare", "sha256")
_OF_TARGETS = ("dest", "source", "expect_size", "expect_serial", "expect_wwn", "allow_sector_size", "move_gpt", "purge")


def spec() -> t.Dict[str, t.Any]:
    """Return the argument spec of these options of dolly_server."""
    found: t.Dict[str, t.Any] = {name: {"type": "bool", "default": False} for name in _FLAGS}
    found["compressed"] = {"type": "bool"}  # unset refuses an archive, false writes it unchanged
    found.update((name, {"type": "str", "default": ""}) for name in (*_SIZES, "dummy_size"))
    found["dummy_seconds"] = {"type": "float", "default": 0.0}
    return found


def is_dummy(params: Params) -> bool:
    """Whether these options of dolly_server measure the network, without disks."""
    return any(params[name] for name in _DUMMY)


def dummy_bytes(params: Params) -> t.Optional[int]:
    """Return the bytes that a dummy run sends; None if time or an image decides. Raises UsageError."""
    return numbers.check("dummy_size", params["dummy_size"]) or None


def files_of(params: Params) -> t.Tuple[Infile, Outfile]:
    """Return how the source is read and the target written. Raises UsageError for conflicting options."""
    _check_protocol(params)
    if is_dummy(params):
        return _nothing(params), Outfile()
    split, uncompressed = (numbers.check(name, params[name]) for name in _SIZES)
    if uncompressed and not params["compressed"]:
        raise UsageError("uncompressed_size", params["uncompressed_size"], "none without compressed")
    kind = "compressed" if params["compressed"] else "plain"
    infile = Infile(kind, is_split=bool(params["source_split"]), uncompressed_size=uncompressed or None)
    outfile = Outfile(bool(params["dest_compressed"]), split)
    _check_others(params, infile, outfile)
    return infile, outfile


def archives_of(params: Params) -> str:
    """Return where an archive may go that the nodes do not unpack (see `registry.ARCHIVES`)."""
    if params["compressed"] is None:
        return registry.ARCHIVE_REFUSED
    return registry.ARCHIVE_ANYWHERE if params["dest_compressed"] else registry.ARCHIVE_TO_FILES


def _nothing(params: Params) -> Infile:
    """Return the source of a run without disks. Raises UsageError for options that need an image."""
    for name in (*_OF_IMAGES, *_FLAGS, *_SIZES):
        if params.get(name):
            raise UsageError(name, params[name], "none in a run that measures the network and has no image")
    seconds = params["dummy_seconds"]
    size = dummy_bytes(params)
    if size and seconds:
        raise UsageError("dummy_seconds", seconds, "none with dummy_size: a run without disks ends by one of them")
    try:
        return Infile("dummy", dummy_seconds=None if size else seconds)
    except ValueError:
        raise UsageError("dummy_seconds", seconds, "seconds, more than 0 and up to 30 days") from None


def check_dummy_client(params: Params) -> None:
    """Raise UsageError for options of dolly_client that a node without a target cannot use."""
    if params["dummy"] and classic.is_classic(params):
        raise UsageError("dummy", True, "false with protocol=classic")
    for name in _OF_TARGETS if params["dummy"] else ():
        if params[name]:
            raise UsageError(name, params[name], "none with dummy: nothing is read or written")
    if not params["dummy"] and not params["dest"]:
        raise UsageError("dest", params["dest"], "the absolute path of what is overwritten, or dummy=true")


def _check_protocol(params: Params) -> None:
    asked = [name for name in (*_FLAGS, *_SIZES, *_DUMMY) if params[name]]
    if asked and classic.is_classic(params):
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
    """Return the facts about the source, and what nodes write of it (see `Written`).

    Raises UsageError, SourceError, Refused.
    """
    infile, outfile = files_of(params)
    # Open a plain source without compression: looking at it must not compress anything.
    opens_as = outfile if infile.kind == "compressed" else Outfile()
    opened = registry.open_source(params["source"], infile, opens_as, 0.0, archives=archives_of(params))
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
    """What a node writes. `size` in bytes, None if unknown. `codec`: what it decompresses, "" for nothing."""

    size: t.Optional[int]
    codec: str = ""
    is_split: bool = False

    @classmethod
    def of_source(cls, values: t.Optional[Params], size: t.Optional[int]) -> Written:
        """Read `written` of a source's facts; if missing, the image itself is written. Raises UsageError."""
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
        """Whether the image is written unchanged, so that holes of the source take no space."""
        return self.size is not None and not self.codec

    def path(self, dest: str) -> str:
        """Return the file to check before anything is written."""
        return parts.part_name(dest, 0) if self.is_split else dest

    def check(self, found: TargetFacts, moves_gpt: bool) -> None:
        """Raise Refused for a missing decompressor or parts on a device; UsageError for move_gpt."""
        if self.codec:
            compressed.check_codec(self.codec)
        if moves_gpt and self.codec:
            raise UsageError("move_gpt", True, "false with a compressed source, which is not read back as a disk")
        if self.is_split and found.kind == "block":
            raise Refused(found.path, "it is a device, and an image in parts needs files")
