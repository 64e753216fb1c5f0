# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of a run: its nodes in ring order, its image, its limits. Immutable and always valid.

Plans travel as JSON. ``from_dict`` treats its argument as hostile: a field that is missing, unknown or
out of bounds is a ValueError that names the field, what was found and what was expected.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Dict, Iterable, List, Optional, Pattern, Tuple

from ..ranges import Range, RangeSet, is_integer
from . import topology
from .field_error import FieldError
from .interfaces import MAX_EXTRA
from .streams import PLAIN_IN, PLAIN_OUT, Infile, Outfile
from .transport import UNTOUCHED, Transport

VERIFY_LEVELS = ("none", "readback", "mac")
MAX_NODES = 65535
MAX_SIZE = 2 ** 63 - 1  # off_t
MAX_CHUNK_SIZE = 2 ** 47  # 65,536 of these chunks make the largest image
MAX_CHUNKS = 65536
MIN_ASKED_CHUNK = 4096  # a user may ask for a multiple of this, the page size of most machines
MAX_ASKED_CHUNK = 2 ** 30  # streams keep several chunks in memory
MAX_MAPPED = 65536  # ranges of a block map: a NEED names them all, and has to fit its frames
MAX_PATH = 4096  # PATH_MAX of Linux
MAX_SECONDS = 30 * 86400.0

_MIN_CHUNK_SIZE = 4 * 1024 * 1024
_RUN_ID = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class NodeSpec:
    """A node: its name in the inventory, and the address and port that it is dialled at.

    Only the server's may be unknown, '' and 0: its children learn the address when the server dials them.
    ``extra``: addresses of further interfaces, which share the traffic.
    """

    name: str
    host: str
    port: int
    extra: Tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_name("name", self.name)
        if "/" in self.name:
            raise FieldError("name", self.name, "a name without '/'")
        if self.host != "":
            _check_name("host", self.host)
        _check_int("port", self.port, 0, 65535)
        _check_type("extra", self.extra, tuple, "addresses")
        for host in self.extra:
            _check_name("extra", host)
        if len(self.extra) > MAX_EXTRA or len({self.host, *self.extra}) <= len(self.extra):
            raise FieldError("extra", self.extra, "at most %d addresses, each another one" % MAX_EXTRA)

    @property
    def hosts(self) -> Tuple[str, ...]:
        """All addresses of the node, ``host`` first."""
        return (self.host, *self.extra)

    def to_dict(self) -> Dict[str, Any]:
        """Return the node as JSON values."""
        return dict(asdict(self), extra=list(self.extra))

    @classmethod
    def from_dict(cls, data: Any) -> NodeSpec:
        """Return the node that ``to_dict`` described. ValueError: invalid data."""
        members = _members("node", data, ("name", "host", "port"), ("extra",))
        extra = members.get("extra", [])
        _check_type("extra", extra, list, "a list of addresses")
        return cls(**dict(members, extra=tuple(extra)))


@dataclass(frozen=True)
class Image:
    """What is cloned: ``size`` in bytes (None while unknown), ``chunk_size`` in bytes.

    ``sha256`` is the hex digest of the whole image that the user expects, if any. ``mapped`` are the bytes
    in a block map (None: all); other bytes are not read, sent or written, and no digest covers them. The set
    must not be changed.
    """

    size: Optional[int]
    chunk_size: int
    sha256: Optional[str] = None
    mapped: Optional[RangeSet] = field(default=None, hash=False)

    def __post_init__(self) -> None:
        if self.size is not None:
            _check_int("size", self.size, 0, MAX_SIZE)
        _check_int("chunk_size", self.chunk_size, 1, MAX_CHUNK_SIZE)
        if self.sha256 is not None and not _is_match(_SHA256, self.sha256):
            raise FieldError("sha256", self.sha256, "64 lower-case hexadecimal digits")
        if self.mapped is not None:
            _check_type("mapped", self.mapped, RangeSet, "a set of ranges")
            if self.size is None or self.mapped.span_end > self.size or len(list(self.mapped)) > MAX_MAPPED:
                raise FieldError("mapped", self.mapped, "at most %d ranges of an image of known size" % MAX_MAPPED)

    @property
    def chunk_count(self) -> Optional[int]:
        """The number of chunks; None while the size is unknown."""
        return None if self.size is None else -(-self.size // self.chunk_size)

    @property
    def covered(self) -> Optional[int]:
        """The number of bytes that are cloned; None while the size is unknown."""
        return self.size if self.mapped is None else self.mapped.total

    @property
    def coverage(self) -> str:
        """A description of what is cloned, for a result."""
        if self.mapped is None:
            return "all bytes"
        return "mapped blocks, %d of %d bytes" % (self.mapped.total, self.size or 0)

    def chunk_bounds(self, index: int) -> Tuple[int, int]:
        """Return (start, end) of a chunk in bytes; while the size is unknown every chunk is full.

        IndexError: the image has no such chunk.
        """
        start = index * self.chunk_size
        if index < 0 or start >= (MAX_SIZE if self.size is None else self.size):
            raise IndexError("chunk %d of an image of %s bytes" % (index, self.size))
        end = start + self.chunk_size
        return start, end if self.size is None else min(end, self.size)

    def whole_chunks(self, ranges: RangeSet) -> RangeSet:
        """Return the indexes of the chunks of which every byte is in ``ranges``."""
        size = self.chunk_size
        return RangeSet(
            (first, last)
            for first, last in (
                (-(-start // size), -(-end // size) if end == self.size else end // size) for start, end in ranges
            )
            if first < last
        )

    def chunk_parts(self, index: int) -> List[Range]:
        """Return the cloned ranges of a chunk, ascending: its digest covers them. IndexError: no chunk."""
        bounds = self.chunk_bounds(index)
        return [bounds] if self.mapped is None else list(self.mapped.within(*bounds))

    def given_in(self, index: int) -> int:
        """Return how many bytes of a chunk are not cloned. IndexError: no such chunk."""
        start, end = self.chunk_bounds(index)
        return end - start - sum(stop - begin for begin, stop in self.chunk_parts(index))

    def unmapped(self) -> RangeSet:
        """Return the bytes that are not cloned."""
        return RangeSet() if self.mapped is None else RangeSet.span(0, self.size or 0) - self.mapped

    def with_size(self, size: int) -> Image:
        """Return the same image with its size in bytes known. ValueError: not a size."""
        return replace(self, size=size)

    def to_dict(self) -> Dict[str, Any]:
        """Return the image as JSON values."""
        mapped = None if self.mapped is None else self.mapped.to_gaps()
        return {"size": self.size, "chunk_size": self.chunk_size, "sha256": self.sha256, "mapped": mapped}

    @classmethod
    def from_dict(cls, data: Any) -> Image:
        """Return the image that ``to_dict`` described. ValueError: invalid data."""
        members = _members("image", data, ("size", "chunk_size"), ("sha256", "mapped"))
        if members.get("mapped") is not None:
            members["mapped"] = RangeSet.from_gaps(members["mapped"], MAX_SIZE)
        return cls(**members)


@dataclass(frozen=True)
class Timeouts:
    """The limits of a run, in seconds, each above 0 and at most 30 days."""

    join: float = 600.0
    barrier: float = 60.0
    connect: float = 10.0
    orphan: float = 60.0
    dead_after: float = 5.0
    stall: float = 30.0
    flush: float = 1800.0
    handshake: float = 5.0

    def __post_init__(self) -> None:
        for item in fields(self):
            _check_seconds(item.name, getattr(self, item.name))

    def to_dict(self) -> Dict[str, Any]:
        """Return the limits as JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Any) -> Timeouts:
        """Return the limits that ``to_dict`` described, defaults for missing ones. ValueError: invalid."""
        return cls(**_members("timeouts", data, (), tuple(item.name for item in fields(cls))))


@dataclass(frozen=True)
class Plan:
    """A run: ``nodes`` by rank (0 is the server), ``fanout`` children for each, image and limits.

    ``output``: the path to write if a node has no path of its own; ``source``: facts about the source, so
    that a node on the same machine can refuse to overwrite it; ``infile`` and ``outfile``: what the wire
    carries and what a node writes; ``compare``: nodes compare their targets first, and request the rest.
    """

    run_id: str
    nodes: Tuple[NodeSpec, ...]
    fanout: int
    image: Image
    verify: str
    sync: bool
    timeouts: Timeouts
    output: str = ""
    source: Dict[str, Any] = field(default_factory=dict, hash=False)
    infile: Infile = PLAIN_IN
    outfile: Outfile = PLAIN_OUT
    transport: Transport = UNTOUCHED
    compare: bool = False
    _ranks: Dict[str, int] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        if not _is_match(_RUN_ID, self.run_id):
            raise FieldError("run_id", self.run_id, "1 to 64 of the characters A-Z a-z 0-9 . _ -")
        self._check_nodes()
        _check_int("fanout", self.fanout, 1, MAX_NODES)
        _check_type("image", self.image, Image, "an image")
        if self.verify not in VERIFY_LEVELS:
            raise FieldError("verify", self.verify, "one of " + ", ".join(VERIFY_LEVELS))
        _check_type("sync", self.sync, bool, "true or false")
        _check_type("timeouts", self.timeouts, Timeouts, "limits")
        _check_type("output", self.output, str, "a path")
        if len(self.output) > MAX_PATH or "\0" in self.output:
            raise FieldError("output", self.output, "a path of at most %d characters" % MAX_PATH)
        _check_type("source", self.source, dict, "an object")
        _check_type("infile", self.infile, Infile, "a description of the source")
        _check_type("outfile", self.outfile, Outfile, "a description of the output")
        _check_type("transport", self.transport, Transport, "numbers of the transport")
        _check_type("compare", self.compare, bool, "true or false")
        if self.compare and (self.verify == "none" or self.image.size is None):
            raise FieldError("compare", True, "false where there are no digests or no size to compare with")

    def _check_nodes(self) -> None:
        _check_type("nodes", self.nodes, tuple, "a tuple of nodes")
        if not 1 <= len(self.nodes) <= MAX_NODES:
            raise FieldError("nodes", self.nodes, "1 to %d nodes" % MAX_NODES)
        for rank, node in enumerate(self.nodes):
            _check_type("nodes[%d]" % rank, node, NodeSpec, "a node")
            if node.name in self._ranks:
                raise FieldError("nodes[%d].name" % rank, node.name, "a name that no other node has")
            if not node.host and rank != 0:
                raise FieldError("nodes[%d].host" % rank, "", "an address, for only the server's may be unknown")
            if node.port == 0 and rank != 0:
                raise FieldError("nodes[%d].port" % rank, 0, "1 to 65535, for only the server's may be unknown")
            self._ranks[node.name] = rank

    @property
    def resumable(self) -> int:
        """How many bytes one digest covers, if digests can show what a target has already; otherwise 0.

        With a block map, bytes that an earlier run wrote outside the map would stay, because no digest covers
        them. With ``compare``, the user accepts that.
        """
        is_covered = self.image.mapped is None or self.compare
        return self.image.chunk_size if self.verify != "none" and is_covered else 0

    def rank_of(self, name: str) -> int:
        """Return the rank of the node with this name. KeyError: there is none."""
        return self._ranks[name]

    def parent(self, rank: int) -> int:
        """Return the rank that feeds ``rank``. ValueError: the server, or no such rank."""
        if rank >= len(self.nodes):
            raise FieldError("rank", rank, "less than %d" % len(self.nodes))
        return topology.parent(rank, self.fanout)

    def children(self, rank: int) -> range:
        """Return the ranks that ``rank`` feeds. ValueError: no such rank."""
        return topology.children(rank, self.fanout, len(self.nodes))

    def to_dict(self) -> Dict[str, Any]:
        """Return the plan as JSON values."""
        return {
            "run_id": self.run_id,
            "nodes": [node.to_dict() for node in self.nodes],
            "fanout": self.fanout,
            "image": self.image.to_dict(),
            "verify": self.verify,
            "sync": self.sync,
            "timeouts": self.timeouts.to_dict(),
            "output": self.output,
            "source": self.source,
            "infile": self.infile.to_dict(),
            "outfile": self.outfile.to_dict(),
            "transport": self.transport.to_dict(),
            "compare": self.compare,
        }

    @classmethod
    def from_dict(cls, data: Any) -> Plan:
        """Return the plan that ``to_dict`` described. ValueError: invalid data."""
        names = ("run_id", "nodes", "fanout", "image", "verify", "sync", "timeouts")
        members = _members("plan", data, names, ("output", "source", "infile", "outfile", "transport", "compare"))
        nodes = members["nodes"]
        if not isinstance(nodes, list) or len(nodes) > MAX_NODES:
            raise FieldError("nodes", nodes, "a list of 1 to %d nodes" % MAX_NODES)
        members["nodes"] = tuple(NodeSpec.from_dict(node) for node in nodes)
        members["image"] = Image.from_dict(members["image"])
        members["timeouts"] = Timeouts.from_dict(members["timeouts"])
        members["infile"] = Infile.from_dict(members.get("infile", {}))
        members["outfile"] = Outfile.from_dict(members.get("outfile", {}))
        members["transport"] = Transport.from_dict(members.get("transport", {}))
        return cls(**members)


def default_chunk_size(size: Optional[int]) -> int:
    """Return the chunk size in bytes: 4 MiB, doubled until at most 65,536 chunks make ``size`` bytes."""
    chunk_size = _MIN_CHUNK_SIZE
    while size is not None and size > chunk_size * MAX_CHUNKS:
        chunk_size *= 2
    return chunk_size


def chunk_size_of(asked: int, size: Optional[int]) -> int:
    """Return the chunk size in bytes for an image of ``size`` bytes: ``asked``, or the default if that is 0.

    ValueError: that would make more than 65,536 chunks. Each chunk costs a digest and a check of its own, so
    a run with millions of chunks would spend its time on these.
    """
    if not asked:
        return default_chunk_size(size)
    least = -(-(size or 0) // MAX_CHUNKS)
    if asked < least:
        expected = "at least %d for an image of %d bytes, which has at most %d chunks" % (least, size or 0, MAX_CHUNKS)
        raise FieldError("chunk_size", asked, expected)
    return asked


def _members(what: str, data: Any, required: Iterable[str], optional: Iterable[str] = ()) -> Dict[str, Any]:
    if not isinstance(data, dict):
        raise FieldError(what, data, "an object")
    for name in required:
        if name not in data:
            raise ValueError("%s.%s is missing" % (what, name))
    allowed = {*required, *optional}
    for name in data:
        if name not in allowed:
            raise FieldError(what, name, "only the fields " + ", ".join(sorted(allowed)))
    return dict(data)


def _check_int(name: str, value: Any, lowest: int, highest: int) -> None:
    if not is_integer(value) or not lowest <= value <= highest:
        raise FieldError(name, value, "an integer from %d to %d" % (lowest, highest))


def _check_type(name: str, value: Any, kind: type, expected: str) -> None:
    if not isinstance(value, kind):
        raise FieldError(name, value, expected)


def _is_match(pattern: Pattern[str], value: Any) -> bool:
    return isinstance(value, str) and pattern.match(value) is not None


def _check_seconds(name: str, value: Any) -> None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not 0 < value <= MAX_SECONDS:  # false for NaN, too
        raise FieldError(name, value, "seconds above 0 and up to %d" % MAX_SECONDS)


def _check_name(name: str, value: Any) -> None:
    if not isinstance(value, str) or not 1 <= len(value) <= 255 or CONTROL.search(value):
        raise FieldError(name, value, "1 to 255 characters, none of them a control character")
