# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds other runs on this machine that write to the same target, by their run directories."""

from __future__ import annotations

import os
import stat
import time
from typing import Tuple

from ..errors import Refused
from .rundir import RunDir


def refuse_taken(base: str, target: str, run_id: str = "") -> None:
    """Raise Refused if a receiver that runs below `base` has the same target. `run_id`: the caller's own run.

    A lock on the target would not do: a receiver opens its target only when its ring starts.
    """
    wanted = _place(target)
    for other_id in _names(base):
        for name in _names(os.path.join(base, other_id)):
            other = RunDir(base, other_id, name)
            taken = str((other.read_json("config.json") or {}).get("target") or "")
            pid = other.process_id() if taken and _place(taken) == wanted else None
            if pid is not None:
                raise _refusal(target, other, other_id, name, pid, is_same_run=other_id == run_id)


def _refusal(target: str, other: RunDir, run_id: str, name: str, pid: int, is_same_run: bool) -> Refused:
    what = "process %d, since %s" % (pid, _begin(other))
    if is_same_run:
        found = "%s of this run is to write to it (%s): both are names of one machine" % (name, what)
        return Refused(target, found, "only one of the two in the run, or a target of its own for each")
    found = "run %s is at work on it (node %s, %s)" % (run_id, name, what)
    return Refused(target, found, "the end of that run, or state=absent with its run_id")


def _place(path: str) -> Tuple[object, ...]:
    """Return a key that is the same for all names of a target: device number, or directory and file name."""
    real_path = os.path.realpath(path)
    try:
        found = os.stat(real_path)
        if stat.S_ISBLK(found.st_mode):
            return ("device", found.st_rdev)
    except OSError:
        pass  # the file does not exist yet
    directory, name = os.path.split(real_path)
    try:
        found = os.stat(directory)
    except OSError:
        return (real_path,)
    return (found.st_dev, found.st_ino, name)


def _begin(rundir: RunDir) -> str:
    try:
        began = os.stat(rundir.file("config.json")).st_mtime
    except OSError:  # the other run has ended, and its directory was removed meanwhile
        return "just now"
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(began))


def _names(path: str) -> "list[str]":
    try:
        return sorted(os.listdir(path))
    except OSError:
        return []
