# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lets ansible-test make its virtual environments where nothing but a package index can be reached.

ansible-test installs one version of pip into each environment that it makes, with the script get-pip.py, which it
downloads from a site of its own unless its cache has it. A wheel of pip can be run as it is, so a script in that
cache that runs the right wheel, fetched from the package index, does the same. A script that is there already is
left alone.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import ansible_test

CACHE = Path.home() / ".ansible" / "test" / "cache"
#: ansible-test passes these to get-pip.py, and pip does not know them.
ONLY_GET_PIP = ("--no-setuptools", "--no-wheel")

SCRIPT = """\
# Runs pip {version} from the wheel beside this file, in place of get-pip.py.
import os
import sys

wheel = os.path.join(os.path.dirname(os.path.abspath(__file__)), {wheel!r})
sys.path.insert(0, wheel)
wanted = [argument for argument in sys.argv[1:] if argument not in {dropped!r}]
wanted = [wheel if argument == {requirement!r} else argument for argument in wanted]

from pip._internal.cli.main import main  # the path has to be set first

sys.exit(main(["install"] + wanted))
"""


def wanted_versions() -> list[str]:
    """The versions of pip that the installed ansible-test asks for, as its source names them."""
    package = Path(next(iter(ansible_test.__path__)))
    source = (package / "_internal" / "python_requirements.py").read_text(encoding="utf-8")
    found = re.findall(r"""\bpip['"]?\s*[=:]\s*['"](\d+(?:\.\d+)+)['"]""", source)
    return sorted(set(found))


def provide(version: str) -> bool:
    """Put the stand-in for one version into the cache; False when there was a script already."""
    script = CACHE / "get_pip_{}.py".format(version.replace(".", "_"))
    if script.exists() and script.stat().st_size:
        return False
    CACHE.mkdir(parents=True, exist_ok=True)
    requirement = f"pip=={version}"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--only-binary", ":all:", "--dest", str(CACHE), requirement]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    wheel = f"pip-{version}-py3-none-any.whl"
    if not (CACHE / wheel).exists():
        raise FileNotFoundError(f"the package index gave no {wheel}")
    text = SCRIPT.format(version=version, wheel=wheel, dropped=ONLY_GET_PIP, requirement=requirement)
    partial = script.with_suffix(".part")
    partial.write_text(text, encoding="utf-8")
    partial.replace(script)
    return True


def main() -> int:
    versions = wanted_versions()
    if not versions:
        print("this ansible-test does not name the pip that it wants: adapt tests/tools/ansible_test_pip.py")
        return 1
    for version in versions:
        if provide(version):
            print(f"Gave ansible-test a pip {version} from the package index")
    return 0


if __name__ == "__main__":
    sys.exit(main())
