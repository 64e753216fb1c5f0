# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packs the engine, wherever it runs from, into one file that Python can execute."""

from __future__ import annotations

import os
import zipfile
from typing import Iterator, Optional, Tuple

PACKAGE = "dolly"
#: The first code to run. Every Python can parse it, so that a version that is too old gets a clear error.
MAIN = b"""\
import sys

if sys.version_info < (3, 9):
    found = "%d.%d" % tuple(sys.version_info[:2])
    raise SystemExit("dolly: this is Python %s, and 3.9 or later is needed: start dolly with such a one" % found)

from dolly.cli.entry import run

run()
"""
_ROOT = __name__.rpartition(".run.")[0]


def write_engine(path: str) -> None:
    """Write the archive. The engine uses relative imports, so it works under its new package name.

    An Ansible module runs from an archive that is deleted when the module ends, so its process needs a copy.
    """
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        for name, data in _modules():
            target.writestr("%s/%s" % (PACKAGE, name), data)
        target.writestr("__main__.py", MAIN)


def _modules() -> Iterator[Tuple[str, bytes]]:
    archive = _own_archive()
    if archive is not None:
        return _modules_of_zip(archive)
    return _modules_of_directory(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def _own_archive() -> Optional[str]:
    loader = globals().get("__loader__")
    archive = getattr(loader, "archive", None)
    return archive if isinstance(archive, str) else None


def _modules_of_zip(archive: str) -> Iterator[Tuple[str, bytes]]:
    prefix = _ROOT.replace(".", "/") + "/"
    with zipfile.ZipFile(archive) as source:
        for name in source.namelist():
            if name.startswith(prefix) and name.endswith(".py"):
                yield name[len(prefix) :], source.read(name)


def _modules_of_directory(root: str) -> Iterator[Tuple[str, bytes]]:
    for folder, _folders, names in sorted(os.walk(root)):
        for name in sorted(names):
            if name.endswith(".py"):
                path = os.path.join(folder, name)
                with open(path, "rb") as file:
                    yield os.path.relpath(path, root).replace(os.sep, "/"), file.read()
