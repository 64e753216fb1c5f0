# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Other runs on this machine, found by their directories."""

from __future__ import annotations

import os
import time

from ..errors import Refused
from .rundir import RunDir


def refuse_taken(base: str, target: str) -> None:
    """Raise Refused when a receiver that runs below `base` has the same target.

    A receiver opens its target only when its ring starts: until then no lock would show it.
    """
    wanted = os.path.realpath(target)
    for run_id in _names(base):
        for name in _names(os.path.join(base, run_id)):
            other = RunDir(base, run_id, name)
            taken = str((other.read_json("config.json") or {}).get("target") or "")
            pid = other.process_id() if taken and os.path.realpath(taken) == wanted else None
            if pid is not None:
                found = "run %s is at work on it (node %s, process %d, since %s)" % (run_id, name, pid, _begin(other))
                raise Refused(target, found, "the end of that run, or state=absent with its run_id")


def _begin(rundir: RunDir) -> str:
    try:
        began = os.stat(rundir.file("config.json")).st_mtime
    except OSError:  # it has ended and was removed in between
        return "just now"
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(began))


def _names(path: str) -> "list[str]":
    try:
        return sorted(os.listdir(path))
    except OSError:
        return []
