# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Functions stay short enough to be read at once."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "plugins").rglob("*.py"))
LINES_OF_A_FUNCTION = 40
DECISIONS = (ast.If, ast.For, ast.While, ast.Try, ast.With, ast.IfExp, ast.BoolOp)


def is_table(function: ast.AST) -> bool:
    """Whether it only lists something: options, or what an object has. Such a list is not easier to read in two."""
    return not any(isinstance(node, DECISIONS) for node in ast.walk(function))


def too_long(source: str) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and not is_table(node):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > LINES_OF_A_FUNCTION:
                found.append(f"{node.name} has {lines} lines")
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_functions(path: Path) -> None:
    assert not too_long(path.read_text("utf-8"))


def test_one_that_is_too_long_is_found() -> None:
    body = "".join(f"    x = {number}\n" for number in range(LINES_OF_A_FUNCTION))
    assert too_long(f"def f():\n{body}    if x:\n        return x\n") == ["f has 43 lines"]
    assert too_long(f"def f():\n{body}    return x\n") == []
