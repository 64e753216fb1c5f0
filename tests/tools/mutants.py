# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Applies each patch of tests/mutants to a copy of the checkout; the test that it names has to fail there.

python tests/tools/mutants.py [NAME...]
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import List, Tuple

ROOT = Path(__file__).resolve().parents[2]
_TEST = re.compile(r"^# Killed by: (\S+)$", re.MULTILINE)
_TESTS_FAILED = 1  # pytest's exit status; others mean that no test ran, or not to its end
_LIMIT_S = 300


def main(names: List[str]) -> int:
    """Try the named mutants, or all; how many live."""
    patches = sorted((ROOT / "tests/mutants").glob("*.patch"))
    if names:
        patches = [patch for patch in patches if patch.stem in names]
    alive = 0
    # Each is tried in a copy of its own, and waits for as long as it computes.
    with ThreadPoolExecutor(min(4, len(os.sched_getaffinity(0)))) as pool:
        for patch, (verdict, seconds) in zip(patches, pool.map(timed, patches)):
            alive += verdict != "killed"
            print("%-45s %s (%.0f s)" % (patch.stem, verdict, seconds), flush=True)
    print("%d mutants, %d not killed" % (len(patches), alive))
    return 1 if alive or not patches else 0


def timed(patch: Path) -> Tuple[str, float]:
    began_at = time.monotonic()
    return judge(patch, ROOT), time.monotonic() - began_at


def judge(patch: Path, root: Path) -> str:
    """`killed`, or what is wrong with the mutant."""
    named = _TEST.search(patch.read_text())
    if named is None:
        return "names no test"
    with tempfile.TemporaryDirectory(prefix="dolly-mutant-") as folder:
        copy = Path(folder) / "checkout"
        _copy(root, copy)
        applied = _run(["git", "apply", "--whitespace=nowarn", str(patch)], copy)
        if applied.returncode:
            return "does not apply: " + applied.stderr.strip()
        try:
            tested = _run([sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", named[1]], copy)
        except subprocess.TimeoutExpired:
            return "killed"  # what goes round in circles has been noticed too
    if tested.returncode == 0:
        return "ALIVE: %s passes" % named[1]
    return "killed" if tested.returncode == _TESTS_FAILED else "cannot be tested:\n" + tested.stdout[-1000:]


def _copy(root: Path, copy: Path) -> None:
    """What git tracks, as it is now in the working tree; without git, everything."""
    listed = _run(["git", "-C", str(root), "ls-files", "-z"], root)
    if listed.returncode:
        ignored = shutil.ignore_patterns(".venv", "build", "dist", ".git", "__pycache__")
        shutil.copytree(root, copy, ignore=ignored)
        return
    for name in filter(None, listed.stdout.split("\0")):
        if (root / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, copy / name)


def _run(command: List[str], folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, check=False, cwd=folder, capture_output=True, text=True, timeout=_LIMIT_S)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
