# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks the built collection as Galaxy does, and that an execution environment can be made with it.

There need be no container engine: what the build of docs/examples/execution-environment.yml would do to the collection
in a container is done in a folder, and the collection then has to work with nothing but what it asked for.
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

from environments import BUILD, CHECKOUT, CheckFailed, install, report, run

FOLDER = BUILD / "galaxy"
DEFINITION = CHECKOUT / "docs/examples/execution-environment.yml"
SETTINGS = """\
[galaxy-importer]
CHECK_REQUIRED_TAGS = True
REQUIRE_V1_OR_GREATER = True
RUN_ANSIBLE_TEST = False
"""
#: The importer ends well too when it could not run one of these.
MUST_SAY = (
    "Getting doc strings via ansible-doc",
    "...ansible-lint run complete",
    "Importer processing completed successfully",
)
INVENTORY = """\
all:
  vars:
    ansible_connection: local
    ansible_python_interpreter: "{python}"
    dolly_ring_source: "{folder}/image"
    dolly_ring_dest: "{folder}/{{{{ inventory_hostname }}}}.img"
    dolly_ring_interface: lo
    dolly_ring_port: 0
    dolly_ring_run_dir: "{folder}/runs"
  hosts:
    one:
    two:
"""


def built() -> Path:
    run([CHECKOUT / "tools/install-collection"])
    found = sorted(BUILD.glob("dolly-ring-*.tar.gz"))
    if len(found) != 1:
        raise CheckFailed(f"one built collection was expected in {BUILD}, and {len(found)} are there")
    return found[0]


def importer(programs: Path, tarball: Path) -> str:
    """Let galaxy-importer read the collection; it may find nothing to say against it."""
    settings = FOLDER / "galaxy-importer.cfg"
    settings.write_text(SETTINGS)
    path = f"{programs}:/usr/bin:/bin"
    command: list[str | Path] = [programs / "python", "-m", "galaxy_importer.main", tarball]
    said = run(command, FOLDER, PATH=path, GALAXY_IMPORTER_CONFIG=str(settings))
    wrong = [line for line in said.splitlines() if re.match(r"(WARNING|ERROR|CRITICAL)\b", line)]
    silent = [words for words in MUST_SAY if words not in said]
    if wrong or silent:
        raise CheckFailed("\n".join([*wrong, *(f"the importer did not say: {words}" for words in silent)]))
    return f"the importer read {said.count('Loading ')} files without a warning"


def environment(programs: Path, tarball: Path) -> str:
    """Take the steps of building an execution environment that concern the collection, and clone a file with it."""
    context, source = FOLDER / "context", FOLDER / "definition"
    for folder in (context, source):
        shutil.rmtree(folder, ignore_errors=True)
    source.mkdir()
    shutil.copy(DEFINITION, source)
    shutil.copy(tarball, source)
    run([programs / "ansible-builder", "create", "-f", DEFINITION.name, "-c", context], source)
    fresh = install(FOLDER / "environment", Path(sys.executable), ["ansible-core>=2.19"])
    collections = FOLDER / "collections"
    shutil.rmtree(collections, ignore_errors=True)
    galaxy = [fresh / "ansible-galaxy", "collection", "install", "--offline", "-p", collections]
    run([*galaxy, "-r", "requirements.yml"], context / "_build", ANSIBLE_COLLECTIONS_PATH=str(collections))
    asked = run([programs / "ansible-builder", "introspect", collections])
    if "python: []" not in asked or "system: []" not in asked:
        raise CheckFailed(f"the collection must ask for no packages, but the builder found:\n{asked}")
    clone(fresh, collections)
    return "an execution environment can be made of it"


def clone(programs: Path, collections: Path) -> None:
    folder = FOLDER / "clone"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "image").write_bytes(bytes(range(256)) * 40_000)
    (folder / "inventory.yml").write_text(INVENTORY.format(python=programs / "python", folder=folder))
    playbook = ["-i", "inventory.yml", "dolly.ring.clone", "-l", "one,two"]
    run([programs / "ansible-playbook", *playbook], folder, ANSIBLE_COLLECTIONS_PATH=str(collections))
    for name in ("one.img", "two.img"):
        if (folder / name).read_bytes() != (folder / "image").read_bytes():
            raise CheckFailed(f"{folder / name} is not what was cloned")


def check() -> str:
    requirements = (CHECKOUT / "requirements-galaxy.txt").read_text().splitlines()
    wanted = [line for line in requirements if line and not line.startswith("#")]
    programs = install(FOLDER / "tools", Path(sys.executable), wanted)
    tarball = built()
    return "; ".join([importer(programs, tarball), environment(programs, tarball)])


if __name__ == "__main__":
    sys.exit(report("galaxy", check))
