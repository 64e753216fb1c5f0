# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/dolly-manual.md: every row of the original's manual is there, and the tests that it names exist."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path
from typing import Dict, List, Set

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "dolly-manual.md"
NODE_ID = re.compile(r"`(tests/[^`]+\.py::[^`]+)`")
OPTIONS = set("-s -S -I -O -H -f -d -R -4 -6 -v -q -h -V -a -r -n -u -b -c -o -t".split())
KEYWORDS = {
    "infile", "outfile", "compressed", "split", "dummy", "segsize", "add", "add2", "fanout", "hyphennormal",
    "hypheninterface", "server", "firstclient", "lastclient", "clients", "endconfig",
}  # fmt: skip
DEFECTS = 14


def tables() -> Dict[str, List[List[str]]]:
    """For each heading the rows below it, heads of tables left out."""
    found: Dict[str, List[List[str]]] = {}
    heading = ""
    for line in PAGE.read_text().splitlines():
        if line.startswith("#"):
            heading = line.lstrip("# ")
        elif line.startswith("|---"):
            found[heading][-1:] = []
        elif line.startswith("|"):
            cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            found.setdefault(heading, []).append(cells)
    return found


@functools.cache
def names_in(path: str) -> Set[str]:
    """The tests of a file, those of a class as Class::test."""
    found = set()
    for node in ast.parse((ROOT / path).read_text()).body:
        if isinstance(node, ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            found |= {"%s::%s" % (node.name, one.name) for one in node.body if isinstance(one, ast.FunctionDef)}
    return {name for name in found if name.rpartition("::")[2].startswith("test_")}


NAMED = sorted(set(NODE_ID.findall(PAGE.read_text())))


@pytest.mark.parametrize("node_id", NAMED)
def test_a_named_test_exists(node_id: str) -> None:
    path, _separator, name = node_id.partition("::")
    assert name.partition("[")[0] in names_in(path)


def test_every_row_has_a_line_and_a_test() -> None:
    found = tables()
    for row in found["Command line"] + found["Configuration file"]:
        assert len(row) == 5 and all(row), row
        assert "`" in row[2] and NODE_ID.search(row[4]), row


def test_a_named_variable_is_one_of_the_role() -> None:
    known = set(re.findall(r"dolly_ring_\w+", (ROOT / "roles/dolly_ring/meta/argument_specs.yml").read_text()))
    assert set(re.findall(r"`(dolly_ring_\w+)`", PAGE.read_text())) - known == set()


def test_every_row_of_the_manual_is_there() -> None:
    found = tables()
    rows = " ".join(row[0] for row in found["Command line"])
    assert OPTIONS - set(re.findall(r"(?<![\w-])-\w", rows)) == set()
    assert all(name in rows for name in ("(no option)", "MYNODENAME", "HOST"))
    rows = " ".join(row[0] + " " + row[2] for row in found["Configuration file"])
    assert KEYWORDS - set(re.findall(r"\w+", rows)) == set()


def test_every_defect_has_a_patch_whose_test_is_named() -> None:
    rows = [row for row in tables()["What the original gets wrong"] if row[0].isdigit()]
    assert {int(row[0]) for row in rows} == set(range(1, DEFECTS + 1))
    named = []
    for _number, _defect, patch, tests in rows:
        named.append(patch.strip("`"))
        text = (ROOT / "tests" / "mutants" / (named[-1] + ".patch")).read_text()
        (killer,) = re.findall(r"^# Killed by: (\S+)$", text, re.MULTILINE)
        assert killer in NODE_ID.findall(tests), patch
    ours = {path.stem for path in (ROOT / "tests" / "mutants").glob("original-*.patch")}
    assert ours <= set(named), "a patch that the page does not name"
