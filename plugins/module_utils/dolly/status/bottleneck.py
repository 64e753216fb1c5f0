# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which disk or link limited a ring, judged from what its nodes spent their time on (see profile.py).

The node that finished last determines how long the run took. The cause is followed from it upwards:

    it flushed, read back or digested longer than it received bytes     that step
    it wrote longer than it waited, and its parent had bytes for it     its target
    it waited, and its parent was busy sending to it                    the link between them
    it waited, and its parent lacked the bytes itself                   ask the same of the parent
    the server lacked the bytes                                         reading or digesting the source

Pure: no clock, no system call. The nodes' own times are validated before use.
"""

from __future__ import annotations

import math
from typing import Any, Collection, Dict, List, Mapping, NamedTuple, Optional

#: A shorter run consists mostly of its start and its end.
SHORTEST_S = 1.0
#: A step that took less than this share of the time is not a bottleneck.
_LEAST_SHARE = 0.5
#: A node that writes for this share of the time has no time to spare, whatever its parent reports.
_BUSY_SHARE = 0.85

_SECONDS = ("receive", "write", "read", "hash", "flush", "idle")
_CHILD_SECONDS = ("send", "lack")


class Station(NamedTuple):
    """A node as this judgement needs it; rank 0 is the server. `times` must be a result of `tidy`."""

    name: str
    parent: Optional[int]
    is_done: bool
    seconds: float
    times: Mapping[str, Any]


class _Verdict(NamedTuple):
    text: str
    seconds: float


def tidy(times: Any, names: Collection[str]) -> Dict[str, Any]:
    """Return the valid entries of the times that a node reported; children only if in `names`."""
    if not isinstance(times, dict):
        return {}
    found: Dict[str, Any] = {what: times[what] for what in _SECONDS if _is_amount(times.get(what))}
    children = times.get("children")
    if isinstance(children, dict):
        found["children"] = {
            name: {what: told[what] for what in _CHILD_SECONDS if _is_amount(told.get(what))}
            for name, told in children.items()
            if name in names and isinstance(told, dict)
        }
    return found


def limited_by(stations: Mapping[int, Station]) -> str:
    """Return the bottleneck, such as "node07 target write (28.1 of 31.2 s)"; empty when nothing stands out.

    The result is also empty when no node is done, or the run was too short to tell.
    """
    done = [rank for rank, station in stations.items() if rank and station.is_done]
    if not done:
        return ""
    last = max(done, key=lambda rank: stations[rank].seconds)
    elapsed = stations[last].seconds
    if elapsed < SHORTEST_S:
        return ""
    verdict = _judge(stations, last)
    if verdict is None or verdict.seconds < elapsed * _LEAST_SHARE:
        return ""
    return "%s (%.1f of %.1f s)" % (verdict.text, min(verdict.seconds, elapsed), elapsed)


def _judge(stations: Mapping[int, Station], rank: int) -> Optional[_Verdict]:
    name, times = stations[rank].name, stations[rank].times
    taking = _of(times, "receive") + _of(times, "write")
    checking = _of(times, "read") + _of(times, "hash")
    if _of(times, "flush") > max(taking, checking):
        return _Verdict("%s flush" % name, _of(times, "flush"))
    if checking > taking:
        is_reading = _of(times, "read") > _of(times, "hash")
        return _Verdict("%s %s" % (name, "reading back" if is_reading else "digest"), checking)
    return _judge_taking(stations, rank)


def _judge_taking(stations: Mapping[int, Station], rank: int) -> Optional[_Verdict]:
    station = stations[rank]
    receive, write = _of(station.times, "receive"), _of(station.times, "write")
    target = _Verdict("%s target write" % station.name, write)
    if write >= _BUSY_SHARE * (receive + write):
        return target
    parent = station.parent
    if parent is None or parent not in stations or parent >= rank:
        return None
    told = (stations[parent].times.get("children") or {}).get(station.name)
    if not told:
        return None
    if _of(told, "lack") > _of(told, "send"):
        return _judge_taking(stations, parent) if parent else _judge_source(stations[0])
    return target if write > receive else _judge_links(stations, parent, station)


def _judge_links(stations: Mapping[int, Station], parent: int, child: Station) -> _Verdict:
    """Blame the link to `child`, or all slow links of its parent if there are several: they share an end."""
    above = stations[parent]
    slow = [one.name for rank, one in sorted(stations.items()) if rank and one.parent == parent and _waits(above, one)]
    receive = _of(child.times, "receive")
    if len(slow) < 2:
        return _Verdict("link from %s to %s" % (above.name, child.name), receive)
    return _Verdict("links from %s to %s" % (above.name, _listed(slow)), receive)


def _waits(parent: Station, child: Station) -> bool:
    told = (parent.times.get("children") or {}).get(child.name) or {}
    return _of(told, "send") > _of(told, "lack") and _of(child.times, "receive") > _of(child.times, "write")


def _judge_source(server: Station) -> _Verdict:
    read, digest = _of(server.times, "read"), _of(server.times, "hash")
    text = "%s source read" if read > digest else "%s digest"
    return _Verdict(text % server.name, read + digest)


def _listed(names: List[str]) -> str:
    if len(names) > 3:
        return "%d nodes" % len(names)
    return "%s and %s" % (", ".join(names[:-1]), names[-1])


def _of(times: Mapping[str, Any], what: str) -> float:
    return float(times.get(what) or 0.0)


def _is_amount(value: Any) -> bool:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and math.isfinite(value) and 0 <= value < 1e9
