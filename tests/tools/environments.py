# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Virtual environments below build/ for checkers that do not go with what .venv holds. They are made once."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Callable

CHECKOUT = Path(__file__).resolve().parents[2]
BUILD = CHECKOUT / "build"
COLLECTIONS = BUILD / "collections"
INSTALLED = COLLECTIONS / "ansible_collections/dolly/ring"
TOOLS = Path(__file__).resolve().parent


class CheckFailed(Exception):
    """What is said last."""


def run(command: list[str | Path], folder: Path = CHECKOUT, **variables: str) -> str:
    """What a command that ends well says on both its outputs."""
    done = subprocess.run(
        [str(word) for word in command],
        check=False,
        cwd=folder,
        env=dict(os.environ, LC_ALL="C.UTF-8", **variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        raise CheckFailed(f"{' '.join(map(str, command))} failed:\n{done.stdout}")
    return done.stdout


def install(folder: Path, python: Path, requirements: list[str]) -> Path:
    """The folder of the programs of an environment with these packages; what else was in the folder goes."""
    made_for = folder / "made-for"
    wanted = f"{python.resolve()} in {folder}: {' '.join(requirements)}\n"
    if not made_for.exists() or made_for.read_text() != wanted:
        print(f"Installing {' '.join(requirements)} for {python.name}", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        run([python, "-m", "venv", folder / "venv"])
        pip = [folder / "venv/bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        run([*pip, *requirements])
        made_for.write_text(wanted)
    return folder / "venv/bin"


def report(name: str, check: Callable[[], str]) -> int:
    """Run a check that returns its last word; the exit status."""
    try:
        said = check()
    except CheckFailed as failure:
        print(failure, file=sys.stderr)
        print(f"{name}: failed", file=sys.stderr)
        return 1
    print(f"{name}: {said}")
    return 0
