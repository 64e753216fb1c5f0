# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine as one file: the same from a directory and from a zip, and it runs."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import zipfile

import pytest

from ansible_collections.dolly.ring.plugins.module_utils.dolly.run import archive
from ansible_collections.dolly.ring.plugins.module_utils.dolly.run.archive import write_engine

PACK_AGAIN = """
import sys
sys.path.insert(0, sys.argv[1])
from dolly.run.archive import write_engine
write_engine(sys.argv[2])
"""


def interpreters():
    """This Python, and the oldest that the engine promises to run on."""
    found = [sys.executable]
    oldest = shutil.which("python3.9")
    if oldest and subprocess.run([oldest, "-c", ""], capture_output=True, check=False).returncode == 0:
        found.append(oldest)
    return found


def content(path):
    with zipfile.ZipFile(path) as file:
        return {name: file.read(name) for name in file.namelist()}


@pytest.fixture
def engine(tmp_path):
    path = str(tmp_path / "x.pyz")
    write_engine(path)
    return path


def test_holds_every_module_and_nothing_else(engine):
    root = os.path.dirname(os.path.dirname(os.path.abspath(archive.__file__)))
    expected = {"__main__.py"}
    for folder, _folders, names in os.walk(root):
        for name in names:
            if name.endswith(".py"):
                expected.add("dolly/" + os.path.relpath(os.path.join(folder, name), root))
    assert set(content(engine)) == expected


def test_from_a_zip_it_is_the_same(engine, tmp_path):
    again = str(tmp_path / "again.pyz")
    subprocess.run([sys.executable, "-I", "-c", PACK_AGAIN, engine, again], check=True, timeout=30)
    assert content(again) == content(engine)


@pytest.mark.parametrize("python", interpreters())
def test_runs(engine, python):
    done = subprocess.run([python, "-I", engine, "--help"], capture_output=True, check=True, timeout=30)
    assert b"Clone a disk, partition or image" in done.stdout


@pytest.mark.parametrize("version", [(2, 7, 18), (3, 6, 15), (3, 8, 18)])
def test_a_python_that_is_too_old_says_so(monkeypatch, version):
    ast.parse(archive.MAIN, feature_version=(3, 4))  # as old as this can ask for
    monkeypatch.setattr(sys, "version_info", version)
    with pytest.raises(SystemExit, match="this is Python %d.%d, and 3.9 or later is needed" % version[:2]):
        exec(archive.MAIN, {})


def test_runs_from_a_zip_of_a_zip(engine, tmp_path):
    again = str(tmp_path / "again.pyz")
    subprocess.run([sys.executable, "-I", "-c", PACK_AGAIN, engine, again], check=True, timeout=30)
    done = subprocess.run([sys.executable, "-I", again], capture_output=True, check=False, timeout=30)
    assert done.returncode == 1
    assert b"--key-file" in done.stderr
