# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists of hosts as people write them: a,b,c with ranges such as node[01-16] and 10.0.0.[5-9,12]."""

from __future__ import annotations

import itertools
import re
from typing import List

from .job import CONTROL, MAX_NODES

_BRACKETS = re.compile(r"\[([^\[\]]*)\]")
_RANGE = re.compile(r"([0-9]{1,9})(?:-([0-9]{1,9}))?\Z")
_EXPECTED = "names or addresses with commas between them, each once, or ranges such as node[01-16]"


def parse_hosts(text: str) -> List[str]:
    """Return the hosts in order. ValueError: an empty name, a duplicate, an invalid range."""
    found: List[str] = []
    for part in _split(text):
        found += expand(part.strip())
        if len(found) > MAX_NODES:
            raise ValueError("more than %d hosts" % MAX_NODES)
    seen = set()
    for host in found:
        if host in seen:
            raise ValueError("%s is there twice: expected %s" % (host, _EXPECTED))
        seen.add(host)
    return found


def expand(text: str) -> List[str]:
    """Return the hosts that one name with ranges stands for; numbers are padded like the first of a range.

    ValueError: an invalid name or range, or more hosts than a run may have.
    """
    pieces = _BRACKETS.split(text)
    literal, ranges = pieces[::2], pieces[1::2]
    if not text or any(mark in part for part in literal for mark in "[]"):
        raise ValueError("%r is no host: expected %s" % (text, _EXPECTED))
    if CONTROL.search(text) or any(part != "".join(part.split()) for part in literal):
        raise ValueError("%r has a space or a control character in it: expected %s" % (text, _EXPECTED))
    choices = [_numbers(one, text) for one in ranges]
    count = 1
    for numbers in choices:
        count *= len(numbers)
    if count > MAX_NODES:
        raise ValueError("%s stands for %d hosts: expected at most %d" % (text, count, MAX_NODES))
    found = [_joined(literal, chosen) for chosen in itertools.product(*choices)]
    if len(found[-1]) > 255 or "/" in text:
        raise ValueError("%r is no host: expected at most 255 characters, none of them /" % text[:300])
    return found


def _split(text: str) -> List[str]:
    """Split at commas that are not in brackets."""
    parts, depth, start = [], 0, 0
    for index, character in enumerate(text):
        depth += {"[": 1, "]": -1}.get(character, 0)
        if character == "," and depth <= 0:
            parts.append(text[start:index])
            start = index + 1
    return [*parts, text[start:]]


def _numbers(text: str, whole: str) -> List[str]:
    found: List[str] = []
    for part in text.split(","):
        match = _RANGE.match(part.strip())
        if match is None:
            raise ValueError("[%s] in %s is no range: expected numbers such as [1-9] or [01-16,20]" % (text, whole))
        first, last = match.group(1), match.group(2) or match.group(1)
        if int(last) < int(first):
            raise ValueError("[%s] in %s goes backwards: expected the smaller number first" % (text, whole))
        if int(last) - int(first) >= MAX_NODES:
            raise ValueError("[%s] in %s stands for more than %d hosts" % (text, whole, MAX_NODES))
        width = len(first) if first.startswith("0") or len(first) == len(last) else 0
        found += ["%0*d" % (width, number) for number in range(int(first), int(last) + 1)]
    return found


def _joined(literal: List[str], chosen: "tuple[str, ...]") -> str:
    parts = [literal[0]]
    for number, text in zip(chosen, literal[1:]):
        parts += [number, text]
    return "".join(parts)
