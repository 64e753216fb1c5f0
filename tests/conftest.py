# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lets the tests import the collection under its full name from any checkout."""

from __future__ import annotations

import atexit
import importlib.util
import os
import shutil
import sys
import tempfile

from hypothesis import HealthCheck, settings

# How long an example takes tells how busy the machine is: a limit on that fails tests that are good.
settings.register_profile("dolly", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("dolly")

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def _is_installed_in_place() -> bool:
    return ROOT.endswith(os.path.join("ansible_collections", "dolly", "ring"))


def _make_importable() -> None:
    """Put a folder on sys.path in which ansible_collections/dolly/ring is this checkout."""
    if _is_installed_in_place():
        base = os.path.dirname(os.path.dirname(os.path.dirname(ROOT)))
    else:
        base = tempfile.mkdtemp(prefix="dolly-tests-")
        atexit.register(shutil.rmtree, base, True)
        os.makedirs(os.path.join(base, "ansible_collections", "dolly"))
        os.symlink(ROOT, os.path.join(base, "ansible_collections", "dolly", "ring"))
    sys.path.insert(0, base)


def _is_importable() -> bool:
    try:
        return importlib.util.find_spec("ansible_collections.dolly.ring") is not None
    except ImportError:
        return False


if not _is_importable():
    _make_importable()

pytest_plugins = [
    "ansible_collections.dolly.ring.tests.plugins.leaks",
    "ansible_collections.dolly.ring.tests.plugins.skips",
]
