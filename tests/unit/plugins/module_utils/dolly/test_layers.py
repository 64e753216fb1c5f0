# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Imports inside the engine point down only; pure folders touch no system; nothing is imported absolutely."""

from __future__ import annotations

import ast
import pathlib

import pytest

ENGINE = pathlib.Path(__file__).resolve().parents[5] / "plugins" / "module_utils" / "dolly"

# The table of docs/architecture.md. A unit may import itself and every unit on a lower floor; so units of
# one floor (net and storage, wire and plan) do not know each other.
FLOORS = {
    "run": 7,
    "relay": 6,
    "net": 5, "storage": 5,
    "recovery": 4, "integrity": 4, "progress": 4, "profile": 4, "bottleneck": 4,
    "wire": 3, "plan": 3, "gmac": 3,
    "ranges": 1, "rates": 1, "units": 1, "errors": 1, "buffers": 1, "happened": 1,
}
PURE = {"recovery", "wire", "plan", "bottleneck"}
IMPURE = {
    "socket", "os", "threading", "time", "random", "secrets", "select", "selectors", "subprocess",
}
FOREIGN = {"ansible", "ansible_collections"}


def _imports(tree):
    """Yield (line, level, module, names) of each import statement, wherever it stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, 0, alias.name, ()
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, node.level, node.module or "", tuple(alias.name for alias in node.names)


def _targets(package, level, module, names):
    """Return the units that a relative import in ``package`` (a tuple of folders) reaches, None: outside."""
    if level - 1 > len(package):
        return [None]
    path = package[:len(package) - (level - 1)] + tuple(module.split(".") if module else ())
    return [path[0]] if path else list(names)


def _absolute_violation(unit, module):
    top = module.split(".")[0]
    if top in FOREIGN:
        return "imports %s absolutely" % module
    if unit in PURE and top in IMPURE:
        return "is pure but imports %s" % module
    return None


def _arrow_violation(unit, target):
    if target is None:
        return "imports from outside of the engine"
    if target not in FLOORS:
        return "imports %s, which has no floor in the table" % target
    if target != unit and FLOORS[target] >= FLOORS[unit]:
        return "(floor %d) imports %s (floor %d)" % (FLOORS[unit], target, FLOORS[target])
    return None


def violations(path, source):
    """Return what is wrong with the imports of an engine file; ``path`` is relative to the engine."""
    parts = pathlib.PurePosixPath(path).with_suffix("").parts
    if parts[-1] == "__init__":
        return ["%s is not empty" % path] if source else []
    unit = parts[0]
    if unit not in FLOORS:
        return ["%s has no floor in the table" % path]
    found = []
    for line, level, module, names in _imports(ast.parse(source)):
        if level == 0:
            reasons = [_absolute_violation(unit, module)]
        else:
            targets = _targets(parts[:-1], level, module, names)
            reasons = [_arrow_violation(unit, target) for target in targets]
        found += ["%s:%d %s" % (path, line, reason) for reason in reasons if reason]
    return found


def _engine_files():
    return sorted(path.relative_to(ENGINE).as_posix() for path in ENGINE.rglob("*.py"))


@pytest.mark.parametrize("path", _engine_files())
def test_imports_point_down(path):
    assert violations(path, (ENGINE / path).read_text(encoding="utf-8")) == []


def test_the_engine_was_found():
    assert {"ranges.py", "plan/job.py", "progress.py", "wire/__init__.py"} <= set(_engine_files())


@pytest.mark.parametrize("path, source", [
    ("relay/node.py", "from ..net import sockets\nfrom ..storage.base import Store\nfrom . import link\n"),
    ("relay/node.py", "import os, threading\nfrom .. import ranges, errors\nfrom ..recovery import healer"),
    ("wire/codec.py", "import struct\nfrom ..errors import ProtocolError\nfrom .messages import Data\n"),
    ("recovery/healer.py", "from ..plan import topology\nfrom ..wire.messages import Need\n"),
    ("progress.py", "import os\nfrom .plan.job import Plan\nfrom . import ranges\n"),
    ("net/deep/er.py", "from ...wire import codec\nfrom ..sockets import dial\n"),
    ("wire/__init__.py", ""),
])
def test_good_imports_pass(path, source):
    assert violations(path, source) == []


@pytest.mark.parametrize("path, source, what", [
    ("relay/node.py", "from ..run import daemon", "imports run"),
    ("relay/node.py", "from .. import run", "imports run"),
    ("progress.py", "from .relay.node import Node", "imports relay"),
    ("progress.py", "from . import integrity", "imports integrity"),
    ("recovery/healer.py", "from ..progress import Board", "imports progress"),
    ("net/lane.py", "from ..storage.base import Store", "imports storage"),
    ("storage/file.py", "from .. import errors, net", "imports net"),
    ("net/deep/er.py", "from ...storage import base", "imports storage"),
    ("wire/codec.py", "from ..plan.job import Plan", "imports plan"),
    ("plan/job.py", "from ..wire import codec", "imports wire"),
    ("ranges.py", "from .errors import DollyError", "imports errors"),
    ("wire/codec.py", "def late():\n    from ..relay import node", "imports relay"),
    ("wire/codec.py", "import os", "is pure but imports os"),
    ("plan/job.py", "import os.path", "is pure but imports os.path"),
    ("recovery/healer.py", "from time import monotonic", "is pure but imports time"),
    ("recovery/healer.py", "import json, socket as s", "is pure but imports socket"),
    ("ranges.py", "from ansible_collections.dolly.ring.plugins.module_utils.dolly import x", "absolutely"),
    ("run/cli.py", "import ansible.module_utils.basic", "absolutely"),
    ("run/cli.py", "from ... import outside", "outside of the engine"),
    ("run/cli.py", "from ..nowhere import x", "nowhere, which has no floor"),
    ("extra.py", "", "has no floor"),
    ("wire/__init__.py", "# comment", "is not empty"),
])
def test_planted_violations_are_caught(path, source, what):
    found = violations(path, source)
    assert len(found) == 1 and what in found[0]


@pytest.mark.parametrize("module", sorted(IMPURE))
@pytest.mark.parametrize("folder", sorted(PURE))
def test_each_impure_module_is_caught_in_each_pure_folder(folder, module):
    assert len(violations("%s/x.py" % folder, "import %s" % module)) == 1
    assert len(violations("%s/x.py" % folder, "from %s import anything" % module)) == 1
