# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration file of the original dolly, and the same keys as a dictionary (read from YAML elsewhere).

    [compressed] infile FILE [split]
    [compressed] outfile FILE [split N(k,M,G,T)]
    dummy [MB]
    segsize BYTES
    add N:suffix[:suffix]      or add2
    fanout N
    hyphennormal               or hypheninterface
    server NAME
    firstclient NAME
    lastclient NAME
    clients N
    NAME of each client, in ring order
    endconfig

Here the order is free, and each keyword may appear once. Empty lines, lines that begin with #, and everything
behind endconfig are ignored. A name may be a range, node[01-16].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Tuple

from ..errors import UsageError
from . import tabfields as fields
from .interfaces import NO_INTERFACES, Interfaces, is_interface_of
from .tabfields import File, Wrong

#: The usual suffixes of the formats that the engine can decompress; another suffix causes a warning.
COMPRESSED_SUFFIXES = (".gz", ".xz", ".bz2", ".zst")
MAX_CLASSIC = 4095  # bytes of text that the original dolly accepts


@dataclass(frozen=True)
class Dollytab:
    """The content of a configuration file. Empty, None or 0: the file does not set the key.

    ``split`` of the outfile and ``segsize`` are in bytes; ``dummy`` is in MB of 10^6 bytes, 0: by time.
    """

    infile: Optional[File] = None
    outfile: Optional[File] = None
    dummy: Optional[int] = None
    segsize: int = 0
    interfaces: Interfaces = NO_INTERFACES
    fanout: int = 1
    is_hyphen_normal: bool = False
    server: str = ""
    firstclient: str = ""
    lastclient: str = ""
    clients: Tuple[str, ...] = ()

    @property
    def warnings(self) -> List[str]:
        """Sentences on settings that are allowed but probably wrong."""
        found = []
        for keyword, file in (("infile", self.infile), ("outfile", self.outfile)):
            if file is not None and file.is_compressed and not file.path.endswith(COMPRESSED_SUFFIXES):
                ends = ", ".join(COMPRESSED_SUFFIXES)
                found.append("the compressed %s %s ends in none of %s" % (keyword, file.path, ends))
        return found


def parse(text: str, where: str = "dollytab") -> Dollytab:
    """Read the classic form. UsageError: names `where`, the line, what was found and what was expected."""
    draft = _Draft(where)
    for number, line in enumerate(text.split("\n"), start=1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if words[0] == "endconfig":
            fields.no_more("endconfig", words[1:], draft.at(number), line)
            break
        draft.take_line(number, line.strip(), words)
    return draft.finish()


def from_dict(data: Any, where: str = "dollytab", lines: Optional[Dict[str, int]] = None) -> Dollytab:
    """Read the same keys from a dictionary; `lines` has the line number of each. UsageError: as for `parse`.

    infile and outfile are a path, or a dictionary of file, compressed and split; clients is the list of names;
    add and add2 are N:suffix as in the text, or a list of suffixes; hyphennormal and hypheninterface are true.
    """
    draft = _Draft(where)
    if not isinstance(data, dict):
        raise UsageError(where, type(data).__name__, "a mapping of keys such as infile, outfile and clients")
    for key, value in data.items():
        draft.take_item(str(key), value, (lines or {}).get(str(key), 0))
    return draft.finish()


def to_dict(tab: Dollytab) -> Dict[str, Any]:
    """Return the file as JSON values; `from_dict` reads them."""
    data: Dict[str, Any] = {}
    for keyword, file in (("infile", tab.infile), ("outfile", tab.outfile)):
        if file is not None:
            data[keyword] = file.to_dict(keyword)
    if tab.interfaces.suffixes:
        data["add2" if tab.interfaces.goes_before_number else "add"] = tab.interfaces.to_text()
    if tab.is_hyphen_normal:
        data["hyphennormal"] = True
    for key in ("dummy", "segsize", "server", "firstclient", "lastclient"):
        value = getattr(tab, key)
        if value is not None and (value or key == "dummy"):
            data[key] = value
    return {**data, "fanout": tab.fanout, "clients": list(tab.clients)}


def format_text(tab: Dollytab) -> str:
    """Return the classic form, in the order that the original dolly requires. `parse` reads it.

    Missing keys that the original requires are filled in: fanout, firstclient and lastclient.
    UsageError: a path with a space, which the classic form cannot express.
    """
    lines = [file.to_line(keyword) for keyword, file in (("infile", tab.infile), ("outfile", tab.outfile)) if file]
    if tab.dummy is not None:
        lines.append("dummy %d" % tab.dummy if tab.dummy else "dummy")
    if tab.segsize:
        lines.append("segsize %d" % tab.segsize)
    if tab.interfaces.suffixes:
        keyword = "add2" if tab.interfaces.goes_before_number else "add"
        lines.append("%s %s" % (keyword, tab.interfaces.to_text()))
    if tab.fanout != 1:
        lines.append("fanout %d" % tab.fanout)
    if tab.is_hyphen_normal:
        lines.append("hyphennormal")
    if tab.server:
        lines.append("server %s" % tab.server)
    lines.append("firstclient %s" % (tab.firstclient or tab.clients[0]))
    lines.append("lastclient %s" % (tab.lastclient or tab.clients[-1]))
    lines += ["clients %d" % len(tab.clients), *tab.clients, "endconfig"]
    return "\n".join(lines) + "\n"


class _Draft:
    """A file while it is read: the values so far, and the line of each."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._said: Dict[str, Any] = {}
        self._lines: Dict[str, int] = {}
        self._clients: List[Tuple[str, int]] = []
        self._count: Optional[int] = None

    def at(self, line: int) -> str:
        """Return the place of an error as text."""
        return "%s line %d" % (self._where, line) if line else self._where

    def take_line(self, number: int, line: str, words: List[str]) -> None:
        """Read one line of the classic form."""
        try:
            keyword = words[0]
            if keyword == "compressed" and words[1:2] in (["infile"], ["outfile"]):
                keyword = words[1]
            if keyword in fields.READERS:
                self._set(keyword, fields.READERS[keyword](words), number)
            elif keyword == "clients":
                self._once("clients", number)
                self._count = fields.number_of_clients(words)
            else:
                self._clients += [(name, number) for name in fields.read_name(words)]
        except Wrong as wrong:
            raise UsageError(self.at(number), wrong.found or line, wrong.expected) from wrong

    def take_item(self, key: str, value: Any, number: int) -> None:
        """Read one key of the dictionary."""
        where = "%s: %s" % (self.at(number), key)
        try:
            if key == "clients":
                self._lines[key] = number
                self._clients = [(name, number) for name in fields.names_from_value(value)]
            elif key in fields.VALUES:
                read = fields.VALUES[key](value)
                if read is not None:
                    self._set(key, read, number)
            else:
                raise Wrong("one of the keys clients, %s" % ", ".join(sorted(fields.VALUES)))
        except Wrong as wrong:
            raise UsageError(where, wrong.found or value, wrong.expected) from wrong

    def finish(self) -> Dollytab:
        """Check that the values are consistent, and return the result."""
        self._check_clients()
        self._check_interfaces()
        names = tuple(name for name, _line in self._clients)
        is_hyphen_normal = self._said.pop("hyphennormal", False)
        self._said.pop("hypheninterface", None)
        self._check_ends(names, is_hyphen_normal)
        interfaces = self._said.pop("add", None) or self._said.pop("add2", None) or NO_INTERFACES
        return Dollytab(interfaces=interfaces, is_hyphen_normal=is_hyphen_normal, clients=names, **self._said)

    def _set(self, keyword: str, value: Any, number: int) -> None:
        self._once(keyword, number)
        rival = fields.RIVALS.get(keyword)
        if rival in self._said:
            raise Wrong("either %s or %s: the latter is on line %d" % (keyword, rival, self._lines[str(rival)]))
        self._said[keyword] = value

    def _once(self, keyword: str, number: int) -> None:
        if keyword in self._lines:
            raise Wrong("%s only once: it is on line %d already" % (keyword, self._lines[keyword]))
        self._lines[keyword] = number

    def _check_clients(self) -> None:
        if not self._clients:
            raise UsageError(self._where, "without clients", "the name of each client on a line of its own")
        seen: Dict[str, int] = {}
        for name, line in self._clients:
            if name in seen:
                expected = "each client once: it is on line %d already" % seen[name] if line else "each client once"
                raise UsageError(self.at(line), name, expected)
            seen[name] = line
        server = self._said.get("server")
        if server in seen:
            expected = "a client: this is the server (line %d)" % self._lines["server"]
            raise UsageError(self.at(seen[server]), server, expected)
        if self._count is not None and self._count != len(self._clients):
            expected = "clients %d, for so many names are listed" % len(self._clients)
            raise UsageError(self.at(self._lines["clients"]), "clients %d" % self._count, expected)

    def _check_interfaces(self) -> None:
        for keyword in ("add", "add2"):
            interfaces = self._said.get(keyword)
            if interfaces is None:
                continue
            try:
                for name, _line in self._clients:
                    interfaces.primary(name)
                    interfaces.extra(name)
            except ValueError as error:
                expected = "names of which those of interfaces can be made (%s)" % error
                raise UsageError(self.at(self._lines[keyword]), keyword, expected) from error

    def _check_ends(self, names: Tuple[str, ...], is_hyphen_normal: bool) -> None:
        for keyword, listed in (("firstclient", names[0]), ("lastclient", names[-1])):
            machine = self._said.get(keyword)
            if machine is not None and not is_interface_of(listed, machine, is_hyphen_normal):
                place = "first" if keyword == "firstclient" else "last"
                expected = "the machine of the %s client in the list, %s" % (place, listed)
                raise UsageError(self.at(self._lines[keyword]), machine, expected)
