# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The names of a machine's other network interfaces, made from the name in the list of clients.

`add 1:-fast` makes slave0-fast of slave0, `add2 1:-fast` makes slave-fast0 of it: the suffix goes before the
first digit, as in the original. In a name with a domain only the part before the first dot is changed, so that
the result still lies in that domain.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Any, List, Tuple

MAX_EXTRA = 15  # further data connections to each child; no machine is expected to have more interfaces
_SUFFIX = re.compile(r"[A-Za-z0-9._-]{1,63}\Z")
_FIRST_DIGIT = re.compile(r"[0-9]")


@dataclass(frozen=True)
class Interfaces:
    """The values of `add` and `add2`: suffixes of further interfaces, or a suffix for the only interface.

    ``goes_before_number``: add2. ``renames_primary``: `add 0:suffix`, one suffix and no further interface.
    """

    suffixes: Tuple[str, ...] = ()
    goes_before_number: bool = False
    renames_primary: bool = False

    def __post_init__(self) -> None:
        for suffix in self.suffixes:
            _check_suffix(suffix)
        if len(set(self.suffixes)) != len(self.suffixes):
            raise ValueError("the same suffix is there twice: expected a different one for each interface")
        if len(self.suffixes) > MAX_EXTRA:
            raise ValueError("%d more interfaces: expected at most %d" % (len(self.suffixes), MAX_EXTRA))
        if self.renames_primary and len(self.suffixes) != 1:
            raise ValueError("expected exactly one suffix after 0: for the interface that is renamed")

    def primary(self, host: str) -> str:
        """Return the name to reach ``host`` by. ValueError: no name can be made."""
        return self._named(host, self.suffixes[0]) if self.renames_primary else host

    def extra(self, host: str) -> List[str]:
        """Return the names of the other interfaces of ``host``, in order. ValueError: none can be made."""
        return [] if self.renames_primary else [self._named(host, suffix) for suffix in self.suffixes]

    def to_text(self) -> str:
        """Return the text that follows `add`: the number, then the suffixes. ``from_text`` reads it."""
        count = 0 if self.renames_primary else len(self.suffixes)
        return ":".join([str(count), *self.suffixes])

    @classmethod
    def from_text(cls, text: str, goes_before_number: bool) -> Interfaces:
        """Read N:suffix[:suffix]. ValueError: anything else."""
        number, *suffixes = text.split(":")
        if not (number.isascii() and number.isdigit()) or len(number) > 4:
            raise ValueError("%r is no number of interfaces: expected N:suffix[:suffix]" % number)
        expected = max(1, int(number))
        if len(suffixes) != expected:
            raise ValueError("%d suffixes for %s: expected %d" % (len(suffixes), _interfaces(int(number)), expected))
        return cls(tuple(suffixes), goes_before_number, number == "0" * len(number))

    def _named(self, host: str, suffix: str) -> str:
        if is_address(host):
            raise ValueError("%s is an address, of which no name of an interface can be made" % host)
        label, dot, domain = host.partition(".")
        if not self.goes_before_number:
            return label + suffix + dot + domain
        digit = _FIRST_DIGIT.search(label)
        if digit is None:
            raise ValueError("%s has no number before which the suffix could go" % host)
        return label[: digit.start()] + suffix + label[digit.start() :] + dot + domain


def _check_suffix(suffix: Any) -> None:
    if not isinstance(suffix, str) or not _SUFFIX.match(suffix):
        raise ValueError("%r is no suffix: expected 1 to 63 of the characters A-Z a-z 0-9 . _ -" % (suffix,))


NO_INTERFACES = Interfaces()


def is_address(text: str) -> bool:
    """Whether text is an IPv4 or IPv6 address, rather than a name."""
    try:
        ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True


def is_interface_of(listed: str, machine: str, is_hyphen_normal: bool) -> bool:
    """Whether a listed name can be an interface of a machine: cluster-1-giga is one of cluster-1.

    An address may belong to any machine. With ``is_hyphen_normal`` a hyphen is no separator, so that node-1
    and node are two machines.
    """
    if listed == machine or is_address(listed) != is_address(machine):
        return True
    listed, machine = _label(listed), _label(machine)
    if listed == machine:
        return True
    if is_hyphen_normal:
        return False
    if listed.startswith(machine + "-"):
        return True
    digit = _FIRST_DIGIT.search(machine)  # slave-fast0 is one of slave0
    if digit is None:
        return False
    stem, number = machine[: digit.start()], machine[digit.start() :]
    return listed.startswith(stem + "-") and listed.endswith(number)


def _label(name: str) -> str:
    return name if is_address(name) else name.partition(".")[0]


def _interfaces(number: int) -> str:
    return "%d interface%s" % (number, "" if number == 1 else "s")
