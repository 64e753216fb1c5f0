# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The value of each keyword of a dollytab, read from the words of a line or from a value of a dictionary."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Optional, Union

from ..errors import UsageError
from ..ranges import is_integer
from ..units import parse_size
from .hosts import expand, parse_hosts
from .interfaces import Interfaces
from .job import CONTROL, MAX_NODES, MAX_PATH, MAX_SIZE
from .transport import BOUNDS

SEGSIZE_BOUNDS = BOUNDS["segsize"][:2]
MAX_DUMMY_MB = 10 ** 9
RIVALS = {"add": "add2", "add2": "add", "hyphennormal": "hypheninterface", "hypheninterface": "hyphennormal"}

_INFILE = "[compressed] infile FILE [split]"
_OUTFILE = "[compressed] outfile FILE [split N(k,M,G,T)]"
_SPLIT = re.compile(r"[0-9]{1,15}[kKMGT]?\Z")
_MULTIPLIERS = (("T", 1024 ** 4), ("G", 1024 ** 3), ("M", 1024 ** 2), ("k", 1024))


class Wrong(Exception):
    """An invalid value: what was expected, and what was found if that is only a part of the line."""

    def __init__(self, expected: str, found: str = "") -> None:
        super().__init__(expected)
        self.expected = expected
        self.found = found


@dataclass(frozen=True)
class File:
    """An infile or outfile. ``split``: 1 for an infile FILE_0, FILE_1, ...; bytes per part for an outfile."""

    path: str
    is_compressed: bool = False
    split: int = 0

    def to_dict(self, keyword: str) -> Union[str, Dict[str, Any]]:
        """Return the file as a value of the dictionary."""
        if not self.is_compressed and not self.split:
            return self.path
        split: Any = bool(self.split) if keyword == "infile" else self.split
        return {"file": self.path, "compressed": self.is_compressed, "split": split}

    def to_line(self, keyword: str) -> str:
        """Return the file as a line. UsageError: the path is empty, or contains a space or a line end."""
        if self.path.split() != [self.path]:
            raise UsageError(keyword, self.path, "a path without spaces, which the classic form cannot say")
        words = ["compressed"] if self.is_compressed else []
        words += [keyword, self.path]
        if self.split:
            words += ["split"] if keyword == "infile" else ["split", _size_text(self.split)]
        return " ".join(words)


def no_more(keyword: str, rest: List[str], where: str, line: str) -> None:
    """Raise UsageError if words follow a keyword that takes no value."""
    if rest:
        raise UsageError(where, line.strip(), "%s alone on its line" % keyword)


def read_name(words: List[str]) -> List[str]:
    """Read the client, or the range of clients, that is alone on its line."""
    if len(words) > 1 or re.match("hyph?en?norm|hyph?en?int", words[0], re.IGNORECASE):
        raise Wrong("the name of a client alone on its line, or a keyword: clients, endconfig, %s" % ", ".join(READERS))
    return _expanded(words[0])


def names_from_value(value: Any) -> List[str]:
    """Read the clients from a list of names, or from text with commas."""
    expected = "a list of the names of the clients"
    try:
        names = parse_hosts(value) if isinstance(value, str) else value
        if isinstance(names, list) and all(isinstance(name, str) for name in names):
            return [host for name in names for host in _expanded(name)]
    except ValueError as error:
        raise Wrong("%s (%s)" % (expected, error)) from error
    raise Wrong(expected)


def number_of_clients(words: List[str]) -> int:
    """Read the line `clients N`."""
    return _line_number(words, "clients N", 1, MAX_NODES)


def _expanded(name: str) -> List[str]:
    try:
        names = expand(name)
    except ValueError as error:
        raise Wrong("the name of a client (%s)" % error) from error
    for one in names:
        if one.startswith("#") or one in _RESERVED:
            raise Wrong("a name that is no keyword and does not begin with #")
    return names


def _read_infile(words: List[str]) -> File:
    is_compressed, rest = words[0] == "compressed", words[1:]
    rest = rest[1:] if is_compressed else rest
    if not rest or len(rest) > 2 or rest[1:] not in ([], ["split"]):
        raise Wrong(_INFILE)
    return File(_path(rest[0], _INFILE), is_compressed, len(rest) - 1)


def _read_outfile(words: List[str]) -> File:
    is_compressed, rest = words[0] == "compressed", words[1:]
    rest = rest[1:] if is_compressed else rest
    if not rest or len(rest) not in (1, 3) or rest[1:2] not in ([], ["split"]):
        raise Wrong(_OUTFILE)
    return File(_path(rest[0], _OUTFILE), is_compressed, _split_size(rest[2]) if len(rest) > 1 else 0)


def _read_dummy(words: List[str]) -> int:
    return 0 if len(words) == 1 else _line_number(words, "dummy [MB]", 1, MAX_DUMMY_MB)


def _read_segsize(words: List[str]) -> int:
    return _line_number(words, "segsize N", *SEGSIZE_BOUNDS)


def _read_fanout(words: List[str]) -> int:
    return _line_number(words, "fanout N", 1, MAX_NODES)


def _read_flag(words: List[str]) -> bool:
    if len(words) > 1:
        raise Wrong("%s alone on its line" % words[0])
    return True


def _read_add(words: List[str]) -> Interfaces:
    form = "%s N:suffix[:suffix]" % words[0]
    if len(words) != 2:
        raise Wrong(form)
    try:
        return Interfaces.from_text(words[1], words[0] == "add2")
    except ValueError as error:
        raise Wrong("%s (%s)" % (form, error)) from error


def _read_machine(words: List[str]) -> str:
    if len(words) != 2 or "[" in words[1]:
        raise Wrong("%s and the name of one machine" % words[0])
    return _expanded(words[1])[0]


def _line_number(words: List[str], form: str, lowest: int, highest: int) -> int:
    expected = "%s with a number from %d to %d" % (form, lowest, highest)
    if len(words) != 2 or not (words[1].isascii() and words[1].isdigit()) or len(words[1]) > 18:
        raise Wrong(expected)
    return _bounded(int(words[1]), expected, lowest, highest)


def _bounded(number: Any, expected: str, lowest: int, highest: int) -> int:
    if not is_integer(number) or not lowest <= number <= highest:
        raise Wrong(expected)
    return int(number)


def _path(text: Any, expected: str) -> str:
    if not isinstance(text, str) or not 1 <= len(text) <= MAX_PATH or CONTROL.search(text):
        raise Wrong("%s with a path of 1 to %d characters" % (expected, MAX_PATH))
    return text


def _split_size(value: Any) -> int:
    expected = "split and the size of a part, N(k,M,G,T), from 1 byte to %d" % MAX_SIZE
    text = str(value)
    if isinstance(value, bool) or not _SPLIT.match(text):
        raise Wrong(expected)
    return _bounded(parse_size(text), expected, 1, MAX_SIZE)


def _size_text(size: int) -> str:
    for letter, factor in _MULTIPLIERS:
        if size % factor == 0:
            return "%d%s" % (size // factor, letter)
    return str(size)


READERS: Dict[str, Callable[[List[str]], Any]] = {
    "infile": _read_infile,
    "outfile": _read_outfile,
    "dummy": _read_dummy,
    "segsize": _read_segsize,
    "add": _read_add,
    "add2": _read_add,
    "fanout": _read_fanout,
    "hyphennormal": _read_flag,
    "hypheninterface": _read_flag,
    "server": _read_machine,
    "firstclient": _read_machine,
    "lastclient": _read_machine,
}
_RESERVED = frozenset(("compressed", "clients", "endconfig", *READERS))


# --- the same as values of a dictionary ------------------------------------------------------------


def _file_value(keyword: str) -> Callable[[Any], File]:
    form = "a path, or a mapping of file, compressed and split"

    def read(value: Any) -> File:
        if isinstance(value, str):
            return File(_path(value, form))
        if not isinstance(value, dict) or "file" not in value or set(value) - {"file", "compressed", "split"}:
            raise Wrong(form)
        is_compressed, split = value.get("compressed", False), value.get("split") or 0
        if not isinstance(is_compressed, bool):
            raise Wrong("%s (compressed is true or false)" % form)
        if keyword == "infile" and not isinstance(split, bool) and split != 0:
            raise Wrong("%s (split of an infile is true or false)" % form)
        size = int(split) if keyword == "infile" else split and _split_size(split)
        return File(_path(value["file"], form), is_compressed, size)

    return read


def _dummy_value(value: Any) -> Optional[int]:
    if isinstance(value, bool):
        return 0 if value else None
    return _bounded(value, "true, or a number of MB from 0 to %d" % MAX_DUMMY_MB, 0, MAX_DUMMY_MB)


def _number_value(lowest: int, highest: int) -> Callable[[Any], int]:
    return lambda value: _bounded(value, "a number from %d to %d" % (lowest, highest), lowest, highest)


def _flag_value(value: Any) -> Optional[bool]:
    if not isinstance(value, bool):
        raise Wrong("true or false")
    return True if value else None


def _add_value(goes_before_number: bool) -> Callable[[Any], Interfaces]:
    form = "N:suffix[:suffix], or a list of suffixes"

    def read(value: Any) -> Interfaces:
        try:
            if isinstance(value, str):
                return Interfaces.from_text(value, goes_before_number)
            if isinstance(value, list) and value:
                return Interfaces(tuple(value), goes_before_number)
        except ValueError as error:
            raise Wrong("%s (%s)" % (form, error)) from error
        raise Wrong(form)

    return read


def _machine_value(value: Any) -> str:
    if not isinstance(value, str) or "[" in value:
        raise Wrong("the name of one machine")
    return _expanded(value)[0]


VALUES: Dict[str, Callable[[Any], Any]] = {
    "infile": _file_value("infile"),
    "outfile": _file_value("outfile"),
    "dummy": _dummy_value,
    "segsize": _number_value(*SEGSIZE_BOUNDS),
    "add": _add_value(False),
    "add2": _add_value(True),
    "fanout": _number_value(1, MAX_NODES),
    "hyphennormal": _flag_value,
    "hypheninterface": _flag_value,
    "server": _machine_value,
    "firstclient": _machine_value,
    "lastclient": _machine_value,
}
