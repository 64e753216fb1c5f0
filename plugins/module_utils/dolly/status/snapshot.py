# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known about each node: snapshots that merge in any order.

A node describes itself in snapshots with a growing version; an observer may add the opinion that it cannot
reach the node. An opinion carries the last version that the observer had seen, so it loses against every
newer snapshot of the node itself. The snapshots of a rank have a total order, and merging keeps the
greatest, so merging is commutative, associative and idempotent.
"""

from __future__ import annotations

import json
import math
import re
import reprlib
from collections import Counter, OrderedDict
from dataclasses import dataclass, field, fields, replace
from typing import Any, Dict, Iterable, List, Optional, Set, Tuple

from ..errors import printable_values
from ..plan.job import CONTROL
from ..ranges import is_integer

OWN_STATES = ("waiting", "ready", "receiving", "verifying", "flushing", "serving", "done", "failed")
TERMINAL_STATES = ("done", "failed")
# Of two opinions on the same version of a node, the one further to the right wins.
OPINIONS = ("unreachable", "lost", "excluded")
_UNSEEN = -1  # the version of an opinion while the node has sent no snapshot
_DIGEST = re.compile(r"(?:[0-9a-f]{64})?\Z")
_LARGEST = 2 ** 63 - 1
_MAX_INCARNATION = 2 ** 53
_MAX_DEPTH = 16


@dataclass(frozen=True)
class Snapshot:
    """A node at one moment.

    ``held``, ``verified``, ``total`` are bytes (``total`` None: size unknown), ``rate`` bytes per second,
    ``seconds`` since START, ``repaired`` chunks, ``received`` and ``sent`` bytes of the image that crossed
    the network, without zeros, ``resumed`` bytes that were there before and did not have to be sent,
    ``checked`` bytes that were read to find those, ``demoted`` whether the node was too slow to have
    children, ``late`` whether it joined after START, ``healed`` how often it got another parent and
    ``stalled`` the seconds without data because of that, ``digest`` the root in hex or empty. ``observed_by``
    is None in the node's own snapshot, else the rank of the observer; ``version`` is then the node's last
    version that the observer had seen, -1 for none. ValueError: a field that is out of bounds.
    """

    rank: int
    name: str
    incarnation: int
    version: int
    state: str
    parent: Optional[int] = None
    epoch: int = 0
    held: int = 0
    verified: int = 0
    total: Optional[int] = None
    repaired: int = 0
    received: int = 0
    sent: int = 0
    resumed: int = 0
    checked: int = 0
    rate: float = 0.0
    seconds: float = 0.0
    blocked_on: str = ""
    digest: str = ""
    synced: bool = False
    changed: bool = False
    demoted: bool = False
    late: bool = False
    healed: int = 0
    stalled: float = 0.0
    error: Optional[Dict[str, Any]] = None
    detail: Dict[str, Any] = field(default_factory=dict)
    observed_by: Optional[int] = None

    def __post_init__(self) -> None:
        self._check_numbers()
        self._check_texts()
        states, lowest = (OWN_STATES, 0) if self.observed_by is None else (OPINIONS, _UNSEEN)
        _expect("version", self.version, _is_int(self.version, lowest), "an integer from %d" % lowest)
        _expect("state", self.state, self.state in states, "one of " + ", ".join(states))
        for name in ("synced", "changed", "demoted", "late"):
            _expect(name, getattr(self, name), isinstance(getattr(self, name), bool), "true or false")
        is_error = self.error is None or _is_object(self.error)
        _expect("error", self.error, is_error, "a JSON object or null")
        _expect("detail", self.detail, _is_object(self.detail), "a JSON object")

    def _check_numbers(self) -> None:
        counts = ("held", "verified", "repaired", "received", "sent", "resumed", "checked", "healed")
        for name in ("rank", "incarnation", "epoch", *counts):
            _expect(name, getattr(self, name), _is_int(getattr(self, name)), "an integer from 0")
        is_start = self.incarnation <= _MAX_INCARNATION
        _expect("incarnation", self.incarnation, is_start, "at most %d" % _MAX_INCARNATION)
        for name in ("parent", "total", "observed_by"):
            value = getattr(self, name)
            _expect(name, value, value is None or _is_int(value), "an integer from 0, or null")
        for name in ("rate", "seconds", "stalled"):
            _expect(name, getattr(self, name), _is_amount(getattr(self, name)), "a number from 0")

    def _check_texts(self) -> None:
        # Names that peers choose are printed on terminals, so they must not contain control characters.
        for field_name in ("name", "blocked_on"):
            text = getattr(self, field_name)
            is_text = isinstance(text, str) and len(text) <= 255 and not CONTROL.search(text)
            _expect(field_name, text, is_text, "at most 255 characters, none of them a control character")
        _expect("name", self.name, self.name != "", "a name")
        _expect("digest", self.digest, _is_digest(self.digest), "64 lower-case hex digits, or nothing")

    @property
    def is_terminal(self) -> bool:
        """Whether the node is in a terminal state: done or failed."""
        return self.state in TERMINAL_STATES

    @property
    def is_served(self) -> bool:
        """Whether the node needs no more bytes: it only serves its children, or is in a terminal state."""
        return self.is_terminal or self.state == "serving"

    def to_dict(self) -> Dict[str, Any]:
        """Return the snapshot as JSON values."""
        # dataclasses.asdict copies value by value, which is too slow: each node does this for every node
        # behind it.
        found = {name: getattr(self, name) for name in _FIELDS}
        return dict(found, detail=dict(self.detail), error=None if self.error is None else dict(self.error))

    @classmethod
    def from_dict(cls, data: Any) -> Snapshot:
        """Return the snapshot that ``to_dict`` described, from untrusted JSON. ValueError: not a snapshot.

        Texts of its error are made printable: nodes that pass them on, and the server, show them to people.
        """
        _expect("snapshot", data, isinstance(data, dict), "an object")
        allowed = {item.name for item in fields(cls)}
        for name in data:
            _expect("snapshot", name, name in allowed, "only the fields of a snapshot")
        for name in ("rank", "name", "incarnation", "version", "state"):
            _expect("snapshot", data, name in data, "also the field " + name)
        found = cls(**data)
        return found if found.error is None else replace(found, error=printable_values(found.error))

    def _order(self) -> Tuple[int, bool, int, bool, int]:
        strength = 0 if self.observed_by is None else OPINIONS.index(self.state)
        return self.incarnation, self.is_terminal, self.version, self.observed_by is not None, strength

    def _supersedes(self, other: Snapshot) -> bool:
        mine, theirs = self._order(), other._order()
        if mine != theirs or self == other:
            return mine > theirs
        # Two observers, or a node that reused a version: any choice will do if all nodes choose the same.
        return _canonical(self) > _canonical(other)


_FIELDS = tuple(item.name for item in fields(Snapshot))


class Board:
    """The greatest snapshot of each rank. ``observer`` is the rank whose opinions ``declare`` records.

    Not thread-safe.
    """

    def __init__(self, observer: int = 0) -> None:
        self._observer = observer
        self._latest: "OrderedDict[int, Tuple[int, Snapshot]]" = OrderedDict()
        self._children: Dict[int, Set[int]] = {}
        self._states: Counter[str] = Counter()
        self._serial = 0

    @property
    def serial(self) -> int:
        """A number that grows with every change; pass it to ``changed_since`` later."""
        return self._serial

    def merge(self, snapshot: Snapshot) -> bool:
        """Store a snapshot if it is the greatest of its rank; return whether the board changed."""
        old = self.get(snapshot.rank)
        if old is not None and not snapshot._supersedes(old):
            return False
        if old is not None and old.parent is not None:
            self._children[old.parent].discard(old.rank)
        if snapshot.parent is not None:
            self._children.setdefault(snapshot.parent, set()).add(snapshot.rank)
        self._states[snapshot.state] += 1
        if old is not None:
            self._states[old.state] -= 1
        self._serial += 1
        self._latest[snapshot.rank] = (self._serial, snapshot)
        self._latest.move_to_end(snapshot.rank)
        return True

    def declare(self, rank: int, name: str, state: str, error: Optional[Dict[str, Any]] = None) -> bool:
        """Record the opinion that a node is unreachable, lost or excluded; return whether the board changed.

        The byte counts that the node last reported are kept. ValueError: another state.
        """
        _expect("state", state, state in OPINIONS, "one of " + ", ".join(OPINIONS))
        last = self.get(rank)
        if last is None:
            opinion = Snapshot(rank, name, 0, _UNSEEN, state, error=error, observed_by=self._observer)
        elif last.is_terminal:
            return False
        else:
            opinion = replace(last, state=state, error=error, rate=0.0, observed_by=self._observer)
        return self.merge(opinion)

    def get(self, rank: int) -> Optional[Snapshot]:
        """Return the snapshot of a rank, None if nothing is known."""
        entry = self._latest.get(rank)
        return None if entry is None else entry[1]

    def count(self, states: Iterable[str]) -> int:
        """Return how many ranks are known to be in one of ``states``, without iterating over the ranks."""
        return sum(self._states[state] for state in states)

    def all(self) -> List[Snapshot]:
        """Return the snapshots of all ranks that are known, by rank."""
        return [self._latest[rank][1] for rank in sorted(self._latest)]

    def changed_since(self, serial: int) -> List[Snapshot]:
        """Return the snapshots that changed after the board had this serial, oldest change first."""
        changed = []
        for stamp, snapshot in reversed(self._latest.values()):
            if stamp <= serial:
                break
            changed.append(snapshot)
        return changed[::-1]

    def children_of(self, rank: int) -> List[int]:
        """Return the ranks whose snapshot names ``rank`` as their parent, ascending."""
        return sorted(self._children.get(rank, ()))


def _canonical(snapshot: Snapshot) -> str:
    return json.dumps(snapshot.to_dict(), sort_keys=True)


def _is_int(value: Any, lowest: int = 0) -> bool:
    return is_integer(value) and lowest <= value <= _LARGEST


def _is_amount(value: Any) -> bool:
    is_number = is_integer(value) or isinstance(value, float)
    return is_number and 0 <= value <= _LARGEST  # false for NaN, too


def _is_digest(value: Any) -> bool:
    return isinstance(value, str) and _DIGEST.match(value) is not None


def _is_object(value: Any) -> bool:
    return isinstance(value, dict) and _is_json(value)


def _is_json(value: Any, depth: int = 0) -> bool:
    """Whether a value is JSON of bounded depth: deeper nesting would exhaust the stack when it is sent on."""
    if value is None or isinstance(value, (str, int)):
        return True
    if isinstance(value, float):
        return math.isfinite(value)
    if depth >= _MAX_DEPTH:
        return False
    if isinstance(value, dict):
        return all(isinstance(name, str) and _is_json(item, depth + 1) for name, item in value.items())
    return isinstance(value, list) and all(_is_json(item, depth + 1) for item in value)


def _expect(name: str, found: Any, is_good: bool, expected: str) -> None:
    if not is_good:
        raise ValueError("%s is %s, expected %s" % (name, reprlib.repr(found), expected))
