# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Imports inside the engine point down only; pure modules touch no system; nothing is imported absolutely."""

from __future__ import annotations

import ast
import pathlib

import pytest

ENGINE = pathlib.Path(__file__).resolve().parents[5] / "plugins" / "module_utils" / "dolly"

# The table of docs/architecture.md. A unit may import itself and every unit on a lower floor; so units of
# one floor (relay and classic, net and storage, wire and plan) do not know each other.
FLOORS = {
    "cli": 8,
    "run": 7,
    "relay": 6, "classic": 6,
    "net": 5, "storage": 5,
    "recovery": 4, "integrity": 4, "status": 4,
    "wire": 3, "plan": 3,
    "ranges": 1, "rates": 1, "units": 1, "errors": 1, "buffers": 1, "workers": 1,
}
# The same inside of the relay: what its modules and sub-packages may import of each other.
RELAY_FLOORS = {
    "streaming": 7,
    "client": 6, "server": 6,
    "node": 5, "finalizer": 5, "lessons": 5, "own_status": 5, "repairs": 5, "standstill": 5,
    "up": 4, "down": 4, "work": 4,
    "image": 3,
    "accept": 2, "dial": 2,
    "context": 1, "log_text": 1,
}
#: Folders and modules that make no system call: time, randomness and nonces are arguments.
PURE = {"recovery", "wire", "plan", "status/bottleneck", "classic/config_text", "classic/protocol"}
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
    """Return the paths that a relative import in ``package`` (a tuple of folders) reaches, None: outside."""
    if level - 1 > len(package):
        return [None]
    path = package[:len(package) - (level - 1)] + tuple(module.split(".") if module else ())
    return [(*path, name) for name in names]


def _is_pure(parts):
    return parts[0] in PURE or "/".join(parts[:2]) in PURE


def _absolute_violation(parts, module):
    top = module.split(".")[0]
    if top in FOREIGN:
        return "imports %s absolutely" % module
    if _is_pure(parts) and top in IMPURE:
        return "is pure but imports %s" % module
    return None


def _floor_violation(floors, unit, target):
    if target not in floors:
        return "imports %s, which has no floor in the table" % target
    if target != unit and floors[target] >= floors[unit]:
        return "(floor %d) imports %s (floor %d)" % (floors[unit], target, floors[target])
    return None


def _arrow_violation(parts, target):
    if target is None:
        return "imports from outside of the engine"
    if parts[0] == "relay" and target[:1] == ("relay",):
        return _floor_violation(RELAY_FLOORS, parts[1], target[1])
    return _floor_violation(FLOORS, parts[0], target[0])


def violations(path, source):
    """Return what is wrong with the imports of an engine file; ``path`` is relative to the engine."""
    parts = pathlib.PurePosixPath(path).with_suffix("").parts
    if parts[-1] == "__init__":
        return ["%s is not empty" % path] if source else []
    if parts[0] not in FLOORS or (parts[0] == "relay" and parts[1] not in RELAY_FLOORS):
        return ["%s has no floor in the table" % path]
    found = []
    for line, level, module, names in _imports(ast.parse(source)):
        if level == 0:
            reasons = [_absolute_violation(parts, module)]
        else:
            targets = _targets(parts[:-1], level, module, names)
            reasons = [_arrow_violation(parts, target) for target in targets]
        found += ["%s:%d %s" % (path, line, reason) for reason in sorted({reason for reason in reasons if reason})]
    return found


def _engine_files():
    return sorted(path.relative_to(ENGINE).as_posix() for path in ENGINE.rglob("*.py"))


@pytest.mark.parametrize("path", _engine_files())
def test_imports_point_down(path):
    assert violations(path, (ENGINE / path).read_text(encoding="utf-8")) == []


def _imported_modules(path):
    """Yield the engine modules that an engine file imports, for type checkers alone, too."""
    package = pathlib.PurePosixPath(path).parts[:-1]
    tree = ast.parse((ENGINE / path).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            names = tuple(alias.name for alias in node.names)
            for target in _targets(package, node.level, node.module or "", names):
                for parts in (target, target[:-1]):
                    if parts and (ENGINE / ("/".join(parts) + ".py")).is_file():
                        yield "/".join(parts) + ".py"


def circle_from(path, imports):
    """Return a chain of imports that leads from ``path`` back to it, empty where there is none."""
    trail, seen = [[path]], set()
    while trail:
        chain = trail.pop()
        for target in imports[chain[-1]]:
            if target == path:
                return [*chain, target]
            if target not in seen:
                seen.add(target)
                trail.append([*chain, target])
    return []


def test_no_modules_import_each_other_in_a_circle():
    imports = {path: set(_imported_modules(path)) for path in _engine_files()}
    assert [circle for circle in (circle_from(path, imports) for path in imports) if circle] == []


def test_a_circle_is_found():
    assert circle_from("a", {"a": {"b", "c"}, "b": {"c"}, "c": {"a"}}) in (["a", "c", "a"], ["a", "b", "c", "a"])
    assert circle_from("a", {"a": {"b"}, "b": {"c"}, "c": {"b"}}) == []


def test_the_engine_was_found():
    assert {"ranges.py", "plan/job.py", "status/snapshot.py", "wire/__init__.py"} <= set(_engine_files())


@pytest.mark.parametrize("path, source", [
    ("relay/node.py", "from ..net import sockets\nfrom ..storage.base import Store\nfrom . import context\n"),
    ("relay/node.py", "import os, threading\nfrom .. import ranges, errors\nfrom ..recovery import healer"),
    ("relay/down/child.py", "from ..image.ledger import Ledger\nfrom .. import dial\nfrom . import scheduler"),
    ("relay/client.py", "from .up.upstream import Upstream\nfrom .node import Node"),
    ("classic/client.py", "from ..net import sockets\nfrom . import protocol"),
    ("wire/codec.py", "import struct\nfrom ..errors import ProtocolError\nfrom .messages import Data\n"),
    ("recovery/healer.py", "from ..plan import topology\nfrom ..wire.messages import Need\n"),
    ("status/snapshot.py", "import os\nfrom ..plan.job import Plan\nfrom .. import ranges\n"),
    ("net/deep/er.py", "from ...wire import codec\nfrom ..sockets import dial\n"),
    ("wire/__init__.py", ""),
])
def test_good_imports_pass(path, source):
    assert violations(path, source) == []


@pytest.mark.parametrize("path, source, what", [
    ("relay/node.py", "from ..run import daemon", "imports run"),
    ("relay/node.py", "from .. import run", "imports run"),
    ("run/sender.py", "from ..cli import main", "imports cli"),
    ("relay/node.py", "from ..classic import flow", "imports classic"),
    ("classic/server.py", "from ..relay.node import Node", "imports relay"),
    ("relay/up/parent.py", "from ..down.child import ChildLink", "imports down"),
    ("relay/down/child.py", "from ..up import upstream", "imports up"),
    ("relay/work/verifier.py", "from ..down import scheduler", "imports down"),
    ("relay/image/ledger.py", "from ..work.digester import Digester", "imports work"),
    ("relay/image/ledger.py", "from .. import dial, node", "imports node"),
    ("relay/dial.py", "from .accept import Listener", "imports accept"),
    ("relay/context.py", "from .image import ledger", "imports image"),
    ("relay/extra.py", "", "has no floor"),
    ("status/snapshot.py", "from ..relay.node import Node", "imports relay"),
    ("status/snapshot.py", "from ..integrity import manifest", "imports integrity"),
    ("recovery/healer.py", "from ..status.snapshot import Board", "imports status"),
    ("net/lane.py", "from ..storage.base import Store", "imports storage"),
    ("storage/file.py", "from .. import errors, net", "imports net"),
    ("net/deep/er.py", "from ...storage import base", "imports storage"),
    ("wire/codec.py", "from ..plan.job import Plan", "imports plan"),
    ("plan/job.py", "from ..wire import codec", "imports wire"),
    ("ranges.py", "from .errors import DollyError", "imports errors"),
    ("wire/codec.py", "def late():\n    from ..relay import node", "imports relay"),
    ("wire/codec.py", "import os", "is pure but imports os"),
    ("status/bottleneck.py", "import time", "is pure but imports time"),
    ("classic/protocol.py", "import socket", "is pure but imports socket"),
    ("plan/job.py", "import os.path", "is pure but imports os.path"),
    ("recovery/healer.py", "from time import monotonic", "is pure but imports time"),
    ("recovery/healer.py", "import json, socket as s", "is pure but imports socket"),
    ("ranges.py", "from ansible_collections.dolly.ring.plugins.module_utils.dolly import x", "absolutely"),
    ("cli/main.py", "import ansible.module_utils.basic", "absolutely"),
    ("cli/main.py", "from ... import outside", "outside of the engine"),
    ("cli/main.py", "from ..nowhere import x", "nowhere, which has no floor"),
    ("extra.py", "", "has no floor"),
    ("wire/__init__.py", "# comment", "is not empty"),
])
def test_planted_violations_are_caught(path, source, what):
    found = violations(path, source)
    assert len(found) == 1 and what in found[0]


@pytest.mark.parametrize("module", sorted(IMPURE))
@pytest.mark.parametrize("place", sorted(PURE))
def test_each_impure_module_is_caught_in_each_pure_place(place, module):
    path = place + ".py" if "/" in place else place + "/x.py"
    assert len(violations(path, "import %s" % module)) == 1
    assert len(violations(path, "from %s import anything" % module)) == 1
