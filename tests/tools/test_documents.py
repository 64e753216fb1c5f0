# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the documents name is there: variables of the role, files, guides."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
ROLE = ROOT / "roles/dolly_ring"
MARKDOWN = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROLE / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
GUIDES = sorted((ROOT / "docs/docsite/rst").glob("*.rst"))
EXAMPLES = sorted((ROOT / "docs/examples").rglob("*.yml"))
PLAYBOOKS = sorted((ROOT / "playbooks").glob("*.yml"))
#: What the role sets, what its playbook takes, and its tag; two underscores are for the role's own use.
NOT_OPTIONS = {
    *("dolly_ring_result", "dolly_ring_results", "dolly_ring_summary"),
    *("dolly_ring_hosts", "dolly_ring_hooks"),
}


def options_of_the_role() -> dict[str, dict[str, object]]:
    """Those of all entry points; what two of them take is the same."""
    specs = yaml.safe_load((ROLE / "meta/argument_specs.yml").read_text("utf-8"))
    return {name: option for entry in specs["argument_specs"].values() for name, option in entry["options"].items()}


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_the_defaults_are_those_of_the_specification() -> None:
    defaults = yaml.safe_load((ROLE / "defaults/main.yml").read_text("utf-8"))
    options = options_of_the_role()
    assert set(defaults) <= set(options)
    templated = {name for name, value in defaults.items() if str(value).startswith("{{")}
    specified = {name: option["default"] for name, option in options.items() if "default" in option}
    assert specified == {name: value for name, value in defaults.items() if name not in templated}


@pytest.mark.parametrize("path", [*MARKDOWN, *GUIDES, *EXAMPLES, *PLAYBOOKS], ids=named)
def test_variables_are_those_of_the_role(path: Path) -> None:
    words = set(re.findall(r"\bdolly_ring_[a-z0-9]\w*", path.read_text("utf-8")))
    assert words - NOT_OPTIONS <= set(options_of_the_role())


def test_each_option_is_described_in_the_same_way() -> None:
    for name, option in options_of_the_role().items():
        assert option["type"], name
        sentences = option["description"]
        assert isinstance(sentences, list) and all(str(one).strip().endswith(".") for one in sentences), name


@pytest.mark.parametrize("path", MARKDOWN, ids=named)
def test_links_lead_somewhere(path: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", path.read_text("utf-8")):
        assert "://" in link or (path.parent / link).exists(), link


def test_the_guides_are_all_listed() -> None:
    listed = yaml.safe_load((ROOT / "docs/docsite/extra-docs.yml").read_text("utf-8"))["sections"]
    assert sorted(name for section in listed for name in section["toctree"]) == [guide.stem for guide in GUIDES]


@pytest.mark.parametrize("path", GUIDES, ids=named)
def test_references_between_guides(path: Path) -> None:
    prefix = "ansible_collections.dolly.ring.docsite."
    text = path.read_text("utf-8")
    assert f".. _{prefix}{path.stem}:" in text
    known = {guide.stem for guide in GUIDES}
    assert set(re.findall(rf":ref:`[^`]*<{re.escape(prefix)}(\w+)>`", text)) <= known
    for mentioned in re.findall(r"``(docs/[\w./-]+)``", text):
        assert (ROOT / mentioned).exists(), mentioned


def test_the_index_of_decisions() -> None:
    folder = ROOT / "docs/decisions"
    listed = set(re.findall(r"\]\((\S+\.md)\)", (folder / "README.md").read_text("utf-8")))
    assert listed == {path.name for path in folder.glob("*.md")} - {"README.md"}


def test_the_trials_name_tests_that_exist() -> None:
    rows = [line for line in (ROOT / "docs/trials.md").read_text("utf-8").splitlines() if re.match(r"\| \d", line)]
    assert {int(row.split("|")[1]) for row in rows} == set(range(1, 42))
    for row in rows:
        named_tests = re.findall(r"`(tests/[^`:]+)::([^`\[]+)", row)
        assert named_tests, row
        for path, name in named_tests:
            function = name.rpartition("::")[2]
            assert re.search(r"def %s\(" % re.escape(function), (ROOT / path).read_text("utf-8")), name
