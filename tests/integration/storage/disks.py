# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of real disks need beside fixtures."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

MIB = 1 << 20
DISK_SIZE = 32 * MIB

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root for loop devices and mounts")


def needs(*programs):
    missing = [name for name in programs if shutil.which(name) is None]
    return pytest.mark.skipif(bool(missing), reason="missing here: " + ", ".join(missing))


def run(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
