# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A mutant that no longer applies, or names a test that is not there, shows here and not hours later."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PATCHES = sorted((ROOT / "tests" / "mutants").glob("*.patch"))


def test_there_are_some() -> None:
    assert PATCHES


@pytest.mark.parametrize("patch", PATCHES, ids=lambda patch: patch.stem)
def test_it_applies_and_its_test_exists(patch: Path) -> None:
    checked = subprocess.run(
        ["git", "apply", "--check", str(patch)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr
    named = re.search(r"^# Killed by: (\S+)$", patch.read_text(encoding="utf-8"), re.MULTILINE)
    assert named is not None
    path, *names = re.sub(r"\[.*\]$", "", named[1]).split("::")
    text = (ROOT / path).read_text(encoding="utf-8")
    for name in names:
        assert re.search(r"^\s*(def|class) %s\b" % re.escape(name), text, re.MULTILINE), name
