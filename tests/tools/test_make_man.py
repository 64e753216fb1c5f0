# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The manual page has every option, and is the one that its tool writes."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WRITE = "import runpy, sys; sys.stdout.write(runpy.run_path(sys.argv[1])['page']())"


def run(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments], check=True, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True
    )
    return done.stdout


def test_the_page_is_up_to_date() -> None:
    page = (ROOT / "docs" / "man" / "dolly.1").read_text()
    assert page == run("-c", WRITE, str(ROOT / "tools" / "make_man.py")), "run tools/make_man.py"


def test_every_option_is_in_the_page(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "man" / "dolly.1").read_text().replace("\\-", "-")
    run(str(ROOT / "tools" / "make_pyz.py"), str(tmp_path / "dolly.pyz"))
    shown = run(str(tmp_path / "dolly.pyz"), "--help")
    options = set(re.findall(r"(?<![\w-])(--?[a-zA-Z0-9][a-z0-9-]*)", shown.partition("examples:")[0]))
    assert {"-s", "-S", "-I", "-O", "-H", "-f", "-R", "-4", "-6", "-v", "-q", "-h", "-V", "-a", "-r", "-n"} <= options
    assert {"-u", "-b", "-c", "-o", "-t", "--insecure", "--json", "--key-file"} <= options
    assert {option for option in options if "\\fB%s\\fR" % option not in page} == set()
