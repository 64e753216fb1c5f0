# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""dolly.pyz, as it is handed out, clones between machines on the oldest and a new Python, with nothing but them."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from ansible_collections.dolly.ring.tests.integration.ring.images import MIB, digest, make_image
from ansible_collections.dolly.ring.tests.integration.ring.processes import Program, until

ROOT = Path(__file__).resolve().parents[3]
KEY = b"k" * 32


def python(version):
    spec = importlib.util.spec_from_file_location("find_python", ROOT / "tests" / "tools" / "find_python.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = module.find(version)
    if found is None:
        pytest.skip("no Python %s here" % version)
    return found


@pytest.mark.parametrize("oldest, newest", [("3.9", "3.13"), ("3.13", "3.9")])
def test_two_machines(machines, folder, oldest, newest):
    pyz = folder / "dolly.pyz"
    subprocess.run([sys.executable, str(ROOT / "tools" / "make_pyz.py"), str(pyz)], check=True, stdout=subprocess.PIPE)
    image = make_image(folder / "image", 9 * MIB + 5)
    (folder / "key").write_bytes(KEY)
    common = [str(pyz), "-v", "--key-file", str(folder / "key")]
    programs = []

    def start(index, version, *options):
        home = folder / str(index)
        home.mkdir()
        # -I -S: neither site-packages nor a user's own modules.
        command = machines.command(index, [python(version), "-I", "-S", *common, *options])
        programs.append(Program("node%d" % index, command, home))
        return programs[-1]

    try:
        clients = [start(1, oldest), start(2, newest)]
        until(lambda: all(client.is_listening() for client in clients), "clients to listen")
        hosts = "%s,%s" % (machines.address(1), machines.address(2))
        server = start(0, newest, "-I", str(image), "-O", "copy", "-H", hosts)
        assert [program.wait() for program in (server, *clients)] == [0, 0, 0]
        assert {digest(folder / str(index) / "copy") for index in (1, 2)} == {digest(image)}
    finally:
        for program in programs:
            program.end()
            print(program.report())
