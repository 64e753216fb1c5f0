# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""As root a skipped test fails the run; elsewhere it is counted."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

SKIPS = Path(__file__).resolve().parent.parent / "plugins" / "skips.py"

SOURCE = """
import pytest

def test_passes():
    pass

@pytest.mark.xfail
def test_known():
    assert False

{more}
"""
SKIPPED = '@pytest.mark.skip(reason="why not")\ndef test_skipped():\n    pass\n'
WORKERS = ["-p", "xdist", "-n", "2"]
FAILING = "def test_failing():\n    assert False\n"


def _run(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, uid: int, more: str, options: list[str]
) -> pytest.RunResult:
    shutil.copy(SKIPS, pytester.path / "skips.py")
    pytester.makeconftest(f"import os\nos.geteuid = lambda: {uid}\npytest_plugins = ['skips']\n")
    pytester.makepyfile(test_it=SOURCE.format(more=more))
    pytester.syspathinsert()
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    return pytester.runpytest_subprocess("-p", "no:cacheprovider", "--counts", "counts", *options)


@pytest.mark.parametrize(
    ("uid", "more", "options", "status", "counts"),
    [
        (0, "", ["--no-skips-as-root"], 0, "1 passed, 0 failed, 0 skipped"),
        (0, SKIPPED, ["--no-skips-as-root"], 1, "1 passed, 0 failed, 1 skipped"),
        (0, SKIPPED, [], 0, "1 passed, 0 failed, 1 skipped"),
        (1000, SKIPPED, ["--no-skips-as-root"], 0, "1 passed, 0 failed, 1 skipped"),
        (1000, SKIPPED + FAILING, ["--no-skips-as-root"], 1, "1 passed, 1 failed, 1 skipped"),
        (0, "pytest.skip('all of it', allow_module_level=True)", ["--no-skips-as-root"], 5, None),
        (0, SKIPPED, ["--no-skips-as-root", *WORKERS], 1, "1 passed, 0 failed, 1 skipped"),
        (1000, SKIPPED + FAILING, ["--no-skips-as-root", *WORKERS], 1, "1 passed, 1 failed, 1 skipped"),
    ],
    ids=[
        *("root", "root-skip", "root-skip-allowed", "user-skip", "user-skip-failure", "root-all-skipped"),
        *("root-skip-workers", "user-skip-failure-workers"),
    ],
)
def test_policy(
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    uid: int,
    more: str,
    options: list[str],
    status: int,
    counts: str | None,
) -> None:
    result = _run(pytester, monkeypatch, uid, more, options)
    assert result.ret == status
    if counts is None:
        return
    assert (pytester.path / "counts").read_text() == counts + "\n"
    refused = uid == 0 and bool(more) and "--no-skips-as-root" in options
    assert ("skipped as root" in result.stdout.str()) == refused
