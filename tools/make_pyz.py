# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packs the engine into dist/dolly.pyz, a command that runs wherever Python 3.9 or later does.

The same sources and the same Python give the same bytes: entries are sorted, and have a fixed time and fixed
permissions.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import marshal
import os
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENGINE = ROOT / "plugins" / "module_utils" / "dolly"
SHEBANG = b"#!/usr/bin/env python3\n"
#: The earliest time that a zip entry can carry.
EPOCH = (1980, 1, 1, 0, 0, 0)


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(name, EPOCH)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.create_system = 3  # Unix, on every platform
    entry.external_attr = 0o100644 << 16
    archive.writestr(entry, content)


def _compiled(name: str, source: bytes) -> bytes:
    """Return the content of a .pyc file, marked as never to be compared with its source.

    zipimport prefers the .pyc, and falls back to the source under another version of Python. Without it,
    every start would compile everything, which takes half a second.
    """
    code = compile(source, name, "exec", dont_inherit=True)
    unchecked = (1).to_bytes(4, "little") + bytes(8)  # flags of PEP 552, and an unused hash
    return importlib.util.MAGIC_NUMBER + unchecked + marshal.dumps(code)


def encode(engine: Path) -> bytes:
    """Return the bytes of the archive, with `engine` in it as the package `dolly`."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        _add(archive, "__main__.py", _main_of(engine))
        for source in sorted(engine.rglob("*.py")):
            name, text = "dolly/" + source.relative_to(engine).as_posix(), source.read_bytes()
            _add(archive, name, text)
            _add(archive, name + "c", _compiled(name, text))
    return SHEBANG + buffer.getvalue()


def _main_of(engine: Path) -> bytes:
    """Return the __main__ of the engine, the same that is sent to a node."""
    spec = importlib.util.spec_from_file_location("archive", engine / "run" / "archive.py")
    if spec is None or spec.loader is None:
        raise SystemExit("make pyz: there is no engine in %s" % engine)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return bytes(module.MAIN)


def write(target: Path, content: bytes) -> None:
    """Replace `target` atomically with `content`, executable."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(target.name + ".part")
    partial.write_bytes(content)
    partial.chmod(0o755)
    os.replace(partial, target)


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("output", nargs="?", type=Path, default=ROOT / "dist" / "dolly.pyz")
    output = parser.parse_args(argv).output
    content = encode(ENGINE)
    write(output, content)
    print(f"Wrote {output} ({len(content)} bytes)")
    return 0


if __name__ == "__main__":
    if sys.version_info < (3, 9):
        sys.exit("make pyz: needs Python 3.9 or later, this is %d.%d" % sys.version_info[:2])
    sys.exit(main(sys.argv[1:]))
