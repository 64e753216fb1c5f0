# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Loop devices for tests in several processes at once: who takes one has his turn."""

from __future__ import annotations

import contextlib
import fcntl
import subprocess
from pathlib import Path


@contextlib.contextmanager
def turn():
    """Nobody else's test attaches a loop device meanwhile. Raises OSError where there are none."""
    with open("/dev/loop-control", "rb") as control:
        fcntl.flock(control, fcntl.LOCK_EX)
        yield


def attach(path, *options):
    """A loop device on a file; its name."""
    with turn():
        device = _losetup("--find", "--show", *options, str(path))
        _forget_partitions(device)
    return device


def exchange(device, path):
    """Put another file behind a device. Between the two steps it would be the first that `attach` finds free."""
    with turn():
        _losetup("--detach", device)
        _losetup(device, str(path))


def _forget_partitions(device):
    """They stay with the number of a device when they were in use as it was detached, or a test was killed."""
    disk = Path("/sys/class/block", Path(device).name)
    for number in disk.glob(disk.name + "p*/partition"):
        subprocess.run(["delpart", device, number.read_text().strip()], check=True)


def _losetup(*arguments):
    done = subprocess.run(["losetup", *arguments], check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.strip()
