# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""ansible-test ends well when it leaves something out; what runs it here must not."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Iterator

import pytest

TOOLS = Path(__file__).resolve().parent
REPORT = """<?xml version="1.0"?><testsuites>
<testsuite name="pytest" tests="12" skipped="3" failures="1" errors="2"/>
</testsuites>"""


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(TOOLS))
    import sanity_and_units

    monkeypatch.setattr(sanity_and_units, "FOLDER", tmp_path)
    yield sanity_and_units
    for name in ("sanity_and_units", "environments", "find_python"):
        sys.modules.pop(name, None)


def as_ansible_test(monkeypatch: pytest.MonkeyPatch, tool: ModuleType, says: str, status: int = 0) -> None:
    """A program of that name that does nothing else."""
    folder = tool.FOLDER / tool.OLDEST.version
    (folder / "venv/bin").mkdir(parents=True)
    for python in tool.NODE_PYTHONS:
        tool.OLDEST.copy(python).mkdir(parents=True)
    program = folder / "venv/bin/ansible-test"
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{says}\nEND\nexit {status}\n")
    program.chmod(0o755)


def test_a_missing_python_is_named(tool: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    there = {"3.9": None, "3.11": sys.executable, "3.13": None}
    monkeypatch.setattr(tool, "find", there.get)
    with pytest.raises(tool.CheckFailed, match=r"not installed: 3\.9, 3\.13 \("):
        tool.link_pythons(set(there))
    assert (tool.link_pythons({"3.11"}) / "python3.11").resolve() == Path(sys.executable).resolve()


@pytest.mark.parametrize(
    ("says", "status"),
    [
        ("all is well", 1),
        ("WARNING: All targets skipped.", 0),
        ("WARNING: Skipping unit tests on Python 3.9 because it could not be found.", 0),
        ("WARNING: Skipping sanity test 'pslint' on Python 3.11 due to missing pwsh.", 0),
    ],
)
def test_what_it_leaves_out_fails(
    tool: ModuleType, monkeypatch: pytest.MonkeyPatch, says: str, status: int
) -> None:
    as_ansible_test(monkeypatch, tool, says, status)
    with pytest.raises(tool.CheckFailed, match="failed, or left something out") as caught:
        tool.ansible_test(tool.OLDEST, "3.9", "units", [])
    assert says in str(caught.value)


def test_a_python_on_which_no_test_ran_fails(tool: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    as_ansible_test(monkeypatch, tool, "all is well")
    with pytest.raises(tool.CheckFailed, match=r"with Python 3\.9 no unit test of modules, module_utils ran"):
        tool.units(tool.OLDEST, "3.9", [])


def test_sanity_without_its_cornerstones_fails(tool: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    as_ansible_test(monkeypatch, tool, 'Running sanity test "pep8"')
    with pytest.raises(tool.CheckFailed, match="did not run compile, import, pylint"):
        tool.sanity(tool.OLDEST, "3.11", [])
    assert tool.sanity(tool.OLDEST, "3.11", ["--test", "pep8"]) == 1


def test_only_what_passed_is_counted(tool: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "report.xml"
    assert tool.passed_in(path) == 0
    path.write_text(REPORT)
    assert tool.passed_in(path) == 12 - 3 - 1 - 2
