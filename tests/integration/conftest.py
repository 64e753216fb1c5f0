# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests of real devices, namespaces and mounts have in common: they leave nothing behind."""

from __future__ import annotations

import subprocess

import pytest


@pytest.fixture
def undo():
    """Takes commands that undo something; runs them in reverse order, whatever happened to the test."""
    commands = []
    yield lambda *command: commands.append(command)
    for command in reversed(commands):
        subprocess.run(command, check=False, stderr=subprocess.DEVNULL)
