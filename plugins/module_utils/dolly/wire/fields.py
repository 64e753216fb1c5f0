# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Strict JSON: from a peer's bytes to plain values, and from plain values to the fields of a message.

Every function raises ValueError, and no other error, whatever the bytes are.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple

from ..ranges import is_integer

MAX_OFFSET = (1 << 63) - 1
"""The largest offset, size or end of a range; off_t is signed."""
MAX_LANE = 0xFFFF
MAX_DEPTH = 32
"""How deep a plan or a snapshot may nest: nobody behind us has to fear for the stack."""

Range = Tuple[int, int]
Fields = Dict[str, Any]
Check = Callable[[str, Any], Any]
"""Takes a field's name and its JSON value; returns the value as the message holds it."""


def write_json(fields: Mapping[str, Any]) -> bytes:
    """Return fields as one compact object."""
    try:
        text = json.dumps(fields, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, RecursionError) as error:
        raise ValueError(str(error)) from error
    # A file name that is not UTF-8 contains lone surrogates; a "?" in a report is better than no report.
    return text.encode("utf-8", "replace")


def read_json(payload: bytes) -> Fields:
    """Return the single JSON object in payload."""
    try:
        value = _DECODER.decode(payload.decode("utf-8"))
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    if not isinstance(value, dict):
        raise ValueError("is no object")
    return value


def _unique(pairs: List[Tuple[str, Any]]) -> Fields:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a key is doubled")
    return fields


def _parse_int(text: str) -> int:
    # int() of a megabyte of digits takes minutes on a Python without the limit of CVE-2020-10735.
    if len(text) > 20:
        raise ValueError("a number is too long")
    return int(text)


def _parse_float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is too large")
    return number


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is not JSON")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique,
    parse_int=_parse_int,
    parse_float=_parse_float,
    parse_constant=_refuse_constant,
)


def _shown(value: Any) -> str:
    # The repr of a nested list would recurse as deep as the peer nested it.
    return type(value).__name__ if isinstance(value, (dict, list)) else f"{value!r:.50}"


# Checks of one field


def integer(name: str, value: Any) -> int:
    """Return value if it is an offset, size, count or rank."""
    if not is_integer(value) or not 0 <= value <= MAX_OFFSET:
        raise ValueError(f"{name} is no integer from 0 to {MAX_OFFSET}: {_shown(value)}")
    number: int = value
    return number


def flag(name: str, value: Any) -> bool:
    """Return value if it is true or false."""
    if not isinstance(value, bool):
        raise ValueError(f"{name} is {_shown(value)}, not true or false")
    return value


def text(name: str, value: Any) -> str:
    """Return value if it is text that can be encoded as UTF-8."""
    if not isinstance(value, str):
        raise ValueError(f"{name} is no text: {_shown(value)}")
    _check_leaf(name, value)
    return value


def _list(name: str, value: Any) -> List[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{name} is no list: {_shown(value)}")
    return value


def json_object(name: str, value: Any) -> Fields:
    """Return value if it is an object, at most MAX_DEPTH objects and lists deep."""
    if not isinstance(value, dict):
        raise ValueError(f"{name} is no object: {_shown(value)}")
    level: List[Any] = [value]
    for _depth in range(MAX_DEPTH):
        level = [child for parent in level for child in _nested(name, parent)]
        if not level:
            return value
    raise ValueError(f"{name} is nested too deep")


def _nested(name: str, parent: Any) -> List[Any]:
    """Check the leaves of an object or a list and return the objects and lists in it."""
    items = [*parent, *parent.values()] if isinstance(parent, dict) else parent
    for item in items:
        _check_leaf(name, item)
    return [item for item in items if isinstance(item, (dict, list))]


def _check_leaf(name: str, value: Any) -> None:
    # An escaped lone surrogate is legal JSON, but the first log line that prints it would fail.
    if isinstance(value, str) and not value.isascii():
        value.encode("utf-8")
    if is_integer(value) and abs(value) >= 1 << 64:
        raise ValueError(f"{name} holds a number beyond 64 bits")


def object_or_none(name: str, value: Any) -> Optional[Fields]:
    """Return value if it is an object, or None for null."""
    return None if value is None else json_object(name, value)


def objects(name: str, value: Any) -> Tuple[Fields, ...]:
    """Return the objects of a list."""
    return tuple(json_object(name, item) for item in _list(name, value))


def members(name: str, value: Any) -> Tuple[int, ...]:
    """Return the ranks of a strictly ascending list."""
    ranks = tuple(integer(name, item) for item in _list(name, value))
    if any(left >= right for left, right in zip(ranks, ranks[1:])):
        raise ValueError(f"{name} do not ascend")
    return ranks


def ranges(most: int) -> Check:
    """Return a check for at most `most` ranges [start, end), ascending without overlap; they may touch."""

    def check(name: str, value: Any) -> Tuple[Range, ...]:
        items = _list(name, value)
        if len(items) > most:
            raise ValueError(f"{name} holds {len(items)} ranges, not up to {most}")
        found: List[Range] = []
        last = 0
        for item in items:
            if not isinstance(item, list) or len(item) != 2:
                raise ValueError(f"{name} holds what is no range: {_shown(item)}")
            start, end = integer(name, item[0]), integer(name, item[1])
            if not last <= start < end:
                raise ValueError(f"{name}: {start}..{end} is empty or out of order")
            found.append((start, end))
            last = end
        return tuple(found)

    return check


_LANE = re.compile(r"0|[1-9][0-9]{0,4}")


def lanes(name: str, value: Any) -> Dict[int, int]:
    """Return counts by lane; in JSON the lanes are text."""
    pieces: Dict[int, int] = {}
    for key, count in json_object(name, value).items():
        if not _LANE.fullmatch(key) or int(key) > MAX_LANE:
            raise ValueError(f"{name}: {key!r:.50} is no lane")
        pieces[int(key)] = integer(name, count)
    return pieces
