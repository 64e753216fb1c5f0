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
    assert names == sources | {name + "c" for name in sources} | {"__main__.py"}


def test_what_is_compiled_beforehand_is_what_runs(tmp_path: Path) -> None:
    """Nothing is compiled at the start, which is what it is for."""
    path = tmp_path / "dolly.pyz"
    _make(path)
    program = "import sys, zipimport; sys.path.insert(0, %r); zipimport._compile_source = None; import dolly.cli.main"
    command = [sys.executable, "-I", "-c", program % str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_another_python_takes_the_sources(tmp_path: Path) -> None:
    path, other = tmp_path / "dolly.pyz", tmp_path / "other.pyz"
    _make(path)
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(other, "w") as copy:
        for name in archive.namelist():
            content = archive.read(name)
            copy.writestr(name, b"\0\0\r\n" + content[4:] if name.endswith(".pyc") else content)
    done = subprocess.run([sys.executable, "-I", str(other), "--version"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("dolly ")


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
