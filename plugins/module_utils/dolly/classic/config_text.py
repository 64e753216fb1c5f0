# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dollytab text in a ring of originals, parsed as an original parses it, and who sends to whom.

An original goes by the order of the lines and checks little else; a text that an original accepts must not be
refused here. The dollytab that a person writes is parsed by `dollytab.py`, which is stricter.

    [compressed] infile FILE [split]                  or in place of both: dummy [MB]
    [compressed] outfile FILE [split N(k,M,G,T)]
    segsize BYTES                                     may be left out, like the next three
    add N:suffix[:suffix]                             or add2
    fanout N
    hyphennormal                                      or hypheninterface
    server NAME
    firstclient NAME
    lastclient NAME
    clients N
    N lines with a NAME
    endconfig
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

MAX_HOSTS = 10000  # the limit of an original
MAX_DUMMY = 2047  # MB: an original counts these bytes in 31 bits
MAX_EXTRA = 7  # its MAXFANOUT is 8, the first connection included
_ORDER = (
    "dummy", "infile", "outfile", "segsize", "add", "fanout", "hyphen", "server", "firstclient", "lastclient",
    "clients",
)  # fmt: skip
_NEEDED = ("server", "firstclient", "lastclient", "clients")
_FILES = ("infile", "outfile")
_MULTIPLIERS = {"": 1, "k": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_SPLIT = re.compile(r"([0-9]{1,15})([kMGT]?)")
_NUMBER = re.compile(r"\s*([0-9]{1,9})")
_DIGIT = re.compile(r"[0-9]")


@dataclass(frozen=True)
class ClassicText:
    """The parsed text. ``hosts`` are the clients in ring order; where an index is meant, -1 is the server.

    ``dummy``: MB to measure the network with, without files; 0: by time, None: there are files. ``split_out``
    in bytes, 0: one file. ``suffixes`` of further interfaces, or with ``renames_primary`` the suffix of the
    only interface; ``goes_before_number``: add2.
    """

    hosts: Tuple[str, ...]
    dummy: Optional[int] = None
    infile: str = ""
    outfile: str = ""
    server: str = ""
    is_compressed_in: bool = False
    is_compressed_out: bool = False
    is_split_in: bool = False
    split_out: int = 0
    segsize: int = 0
    suffixes: Tuple[str, ...] = ()
    goes_before_number: bool = False
    renames_primary: bool = False
    fanout: int = 1
    is_hyphen_normal: bool = False

    @property
    def lanes(self) -> int:
        """The number of data connections on each hop."""
        return 1 if self.renames_primary else 1 + len(self.suffixes)

    def children(self, index: int) -> List[int]:
        """The hosts that a host sends to; -1 is the server."""
        first = (index + 1) * self.fanout
        return list(range(first, min(first + self.fanout, len(self.hosts))))

    def subtree(self, index: int) -> List[int]:
        """A host and all hosts that get the image through it, in ring order."""
        found = [index]
        for each in found:
            found.extend(self.children(each))
        return sorted(found)

    def addresses(self, index: int) -> List[str]:
        """The host names for the data connections of a host, the first connection's first.

        Raises ValueError for add2 and a name without a number.
        """
        host = self.hosts[index]
        if self.renames_primary:
            return [self._interface(host, self.suffixes[0])]
        return [host] + [self._interface(host, suffix) for suffix in self.suffixes]

    def _interface(self, host: str, suffix: str) -> str:
        if not self.goes_before_number:
            return host + suffix
        digit = _DIGIT.search(host)
        if digit is None:
            raise ValueError("%r has no number before which add2 could put %r" % (host, suffix))
        return host[: digit.start()] + suffix + host[digit.start() :]

    def find(self, name: str) -> int:
        """The index of the host that a machine's own name stands for; -1: none.

        Unless hyphens are normal, cluster-1 stands for cluster-1-giga if cluster-1 itself is not listed.
        """
        if name in self.hosts:
            return self.hosts.index(name)
        label = name.partition(".")[0]
        for index, host in enumerate(self.hosts):
            if name and not self.is_hyphen_normal and host.partition(".")[0].startswith(label + "-"):
                return index
        return -1


def find_self(
    text: ClassicText,
    dialled: str,
    is_own: Callable[[str], bool],
    names: Sequence[str],
    leads_here: Callable[[str], bool],
) -> Tuple[int, str]:
    """Which host of the list this machine is, and by which name it was found; -1 and '' if none.

    ``dialled``: the local address that the parent connected to; if it is listed, it decides. Then any
    address of this machine, then ``names`` in their order (MYNODENAME, HOST, the host name). At last, unlike
    in an original, a name that the resolver says ``leads_here``.
    """
    if dialled in text.hosts:
        return text.hosts.index(dialled), dialled
    for index, host in enumerate(text.hosts):
        if is_own(host):
            return index, host
    for name in names:
        index = text.find(name)
        if index >= 0:
            return index, name
    for index, host in enumerate(text.hosts):
        if leads_here(host):
            return index, host
    return -1, ""


def parse(text: str) -> ClassicText:
    """Parse a text. Raises ValueError, with the reason, where an original could not use it either."""
    said: Dict[str, Any] = {}
    lines = iter(text.split("\n"))
    for line in lines:
        words = line.split()
        if not words or line.startswith("#"):
            continue
        key = words[1] if words[0] == "compressed" and len(words) > 1 else words[0]
        if key not in _READERS:
            raise ValueError("%r: expected one of %s" % (line[:80], ", ".join(_READERS)))
        said.update(_READERS[key](words))
        if key == "clients":
            said["hosts"] = _hosts(lines, said.pop("count"))
            break
    if "hosts" not in said:
        raise ValueError("there is no list of clients")
    return ClassicText(**said)


def to_text(ring: ClassicText) -> str:
    """Write the text in the order that originals need. Raises ValueError for a name that would be misread."""
    files = (ring.infile, ring.outfile) if ring.dummy is None else ()
    for name in (*files, ring.server, *ring.hosts):
        if not name or name.split() != [name]:
            raise ValueError("%r cannot be said in a dollytab: expected a name without spaces" % name)
    lines = _what(ring)
    if ring.segsize:
        lines.append("segsize %d" % ring.segsize)
    if ring.suffixes:
        count = 0 if ring.renames_primary else len(ring.suffixes)
        keyword = "add2" if ring.goes_before_number else "add"
        lines.append("%s %s" % (keyword, ":".join([str(count), *ring.suffixes])))
    if ring.fanout != 1:
        lines.append("fanout %d" % ring.fanout)
    if ring.is_hyphen_normal:
        lines.append("hyphennormal")
    lines += ["server " + ring.server, "firstclient " + ring.hosts[0], "lastclient " + ring.hosts[-1]]
    lines += ["clients %d" % len(ring.hosts), *ring.hosts, "endconfig"]
    return "\n".join(lines) + "\n"


def _what(ring: ClassicText) -> List[str]:
    if ring.dummy is not None:
        # More would overflow in an original, which counts bytes in 31 bits; only its own server uses it.
        return ["dummy %d" % min(ring.dummy, MAX_DUMMY) if ring.dummy else "dummy"]
    split = " split %s" % _size(ring.split_out) if ring.split_out else ""
    return [
        "%sinfile %s%s" % ("compressed " * ring.is_compressed_in, ring.infile, " split" * ring.is_split_in),
        "%soutfile %s%s" % ("compressed " * ring.is_compressed_out, ring.outfile, split),
    ]


def is_strict(text: str) -> bool:
    """Whether an original can read the text as it is: all lines that it needs, in order, and nothing else."""
    lines = text.split("\n")
    keys = []
    for number, line in enumerate(lines):
        words = line.split(" ")
        key = words[1] if words[0] == "compressed" and len(words) > 1 else words[0]
        key = {"add2": "add", "hyphennormal": "hyphen", "hypheninterface": "hyphen"}.get(key, key)
        keys.append(key)
        if key == "clients":
            rest = lines[number + 1 :]
            break
    else:
        return False
    places = [_ORDER.index(key) for key in keys if key in _ORDER]
    count = _NUMBER.match(line[len("clients") :])
    if len(places) != len(keys) or places != sorted(set(places)) or count is None:
        return False
    names, end = rest[: int(count.group(1))], rest[int(count.group(1)) : int(count.group(1)) + 1]
    said = set(keys)
    if not set(_NEEDED) <= said or said & {"dummy", *_FILES} not in ({"dummy"}, set(_FILES)):
        return False
    return all(names) and [one[:9] for one in end] == ["endconfig"]


def _hosts(lines: Any, count: int) -> Tuple[str, ...]:
    hosts: List[str] = []
    for line in lines:
        name = line.strip()
        if len(hosts) == count:
            if name.startswith("endconfig"):
                return tuple(hosts)
            raise ValueError("%r behind %d clients: expected endconfig" % (line[:80], count))
        if not name or " " in name or not name.isprintable():
            raise ValueError("%r as client %d: expected a name" % (line[:80], len(hosts) + 1))
        hosts.append(name)
    raise ValueError("it ends after %d of %d clients: expected endconfig" % (len(hosts), count))


def _infile(words: List[str]) -> Dict[str, Any]:
    rest = _behind(words, "infile")
    return {
        "infile": rest[0],
        "is_compressed_in": words[0] == "compressed",
        "is_split_in": rest[1:2] == ["split"],
    }


def _outfile(words: List[str]) -> Dict[str, Any]:
    rest = _behind(words, "outfile")
    size = 0
    if rest[1:2] == ["split"]:
        found = _SPLIT.match("".join(rest[2:3]))
        size = int(found.group(1)) * _MULTIPLIERS[found.group(2)] if found else 0
        if not size:
            raise ValueError("%r: expected split N(k,M,G,T)" % " ".join(words)[:80])
    return {"outfile": rest[0], "is_compressed_out": words[0] == "compressed", "split_out": size}


def _add(words: List[str]) -> Dict[str, Any]:
    number, *suffixes = _behind(words, words[0])[0].split(":")
    found = _NUMBER.match(number)
    count = int(found.group(1)) if found else -1
    wanted = max(1, count)
    if not 0 <= count <= MAX_EXTRA or len(suffixes) < wanted or not all(suffixes[:wanted]):
        raise ValueError("%r: expected %s N:suffix[:suffix], N up to %d" % (words[1][:80], words[0], MAX_EXTRA))
    return {
        "suffixes": tuple(suffixes[:wanted]),
        "goes_before_number": words[0] == "add2",
        "renames_primary": count == 0,
    }


def _number(words: List[str], lowest: int, highest: int) -> int:
    found = _NUMBER.match(_behind(words, words[0])[0])
    if found is None or not lowest <= int(found.group(1)) <= highest:
        raise ValueError("%r: expected %s and %d to %d" % (" ".join(words)[:80], words[0], lowest, highest))
    return int(found.group(1))


def _behind(words: List[str], keyword: str) -> List[str]:
    rest = words[words.index(keyword) + 1 :]
    if not rest:
        raise ValueError("%r: expected something behind it" % keyword)
    return rest


def _dummy(words: List[str]) -> Dict[str, Any]:
    return {"dummy": _number(words, 1, 10 ** 9) if len(words) > 1 else 0}


_READERS: Dict[str, Callable[[List[str]], Dict[str, Any]]] = {
    "infile": _infile,
    "outfile": _outfile,
    "segsize": lambda words: {"segsize": _number(words, 0, 65535)},
    "add": _add,
    "add2": _add,
    "fanout": lambda words: {"fanout": _number(words, 1, MAX_HOSTS)},
    "hyphennormal": lambda words: {"is_hyphen_normal": True},
    "hypheninterface": lambda words: {"is_hyphen_normal": False},
    "server": lambda words: {"server": _behind(words, "server")[0]},
    "firstclient": lambda words: {},
    "lastclient": lambda words: {},
    "clients": lambda words: {"count": _number(words, 1, MAX_HOSTS)},
    "dummy": _dummy,
}


def _size(count: int) -> str:
    for letter in "TGMk":
        if count % _MULTIPLIERS[letter] == 0:
            return "%d%s" % (count // _MULTIPLIERS[letter], letter)
    return str(count)
