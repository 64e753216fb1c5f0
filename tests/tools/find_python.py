# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prints the path of an installed Python of one version (3.9, say) that runs and can make environments."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

PROBE = "import ensurepip, sys, venv; print(sys.executable, '%d.%d' % sys.version_info[:2])"


def candidates(version: str) -> Iterator[str]:
    on_path = shutil.which(f"python{version}")
    if on_path:
        yield on_path
    yield f"/usr/bin/python{version}"
    yield f"/usr/local/bin/python{version}"
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from sorted(str(path) for path in pyenv.glob(f"versions/{version}.*/bin/python{version}"))


def find(version: str) -> str | None:
    for candidate in candidates(version):
        try:
            done = subprocess.run(
                [candidate, "-I", "-c", PROBE], capture_output=True, text=True, timeout=30, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            continue
        executable, separator, found = done.stdout.strip().rpartition(" ")
        if done.returncode == 0 and separator and found == version:
            return executable
    return None


if __name__ == "__main__":
    path = find(sys.argv[1])
    if path is None:
        sys.exit(1)
    print(path)
