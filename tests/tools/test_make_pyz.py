# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line in one file: the same bytes from the same sources, and it starts."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
ENGINE = ROOT / "plugins" / "module_utils" / "dolly"


def _make(path: Path) -> bytes:
    command = [sys.executable, str(ROOT / "tools" / "make_pyz.py"), str(path)]
    subprocess.run(command, check=True, capture_output=True, stdin=subprocess.DEVNULL)
    return path.read_bytes()


def test_made_twice_it_is_the_same(tmp_path: Path) -> None:
    assert _make(tmp_path / "one.pyz") == _make(tmp_path / "two.pyz")


def test_it_holds_the_engine_and_nothing_else(tmp_path: Path) -> None:
    _make(tmp_path / "dolly.pyz")
    with zipfile.ZipFile(tmp_path / "dolly.pyz") as archive:
        names = set(archive.namelist())
    sources = {"dolly/" + path.relative_to(ENGINE).as_posix() for path in ENGINE.rglob("*.py")}
    assert names == sources | {"__main__.py"}


def test_it_runs_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "dolly.pyz"
    assert _make(path).startswith(b"#!/usr/bin/env python3\n")
    assert os.access(path, os.X_OK)
    done = subprocess.run(
        [sys.executable, "-I", str(path), "--help"],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "--key-file" in done.stdout
