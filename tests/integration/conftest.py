# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests of real devices, namespaces and mounts have in common: they leave nothing behind."""

from __future__ import annotations

import ctypes
import os
import subprocess

import pytest

CLONE_NEWNS = 0x00020000  # linux/sched.h


@pytest.fixture(scope="session", autouse=True)
def _own_mounts():
    """What is mounted here is seen by this process and those that it starts.

    `ip netns exec` copies all mounts that there are. What the tests of another process had mounted at that moment
    stayed in use in there after they had unmounted it, and could not be mounted in another way.
    """
    if os.geteuid() == 0:  # Python has os.unshare since 3.12
        ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS)


@pytest.fixture
def undo():
    """Takes commands that undo something; runs them in reverse order, whatever happened to the test."""
    commands = []
    yield lambda *command: commands.append(command)
    for command in reversed(commands):
        subprocess.run(command, check=False, stderr=subprocess.DEVNULL)
