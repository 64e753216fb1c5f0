# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role installs the units, the command and the key, for hosts on which receivers start when a server knocks."""

from __future__ import annotations

import pathlib
import re
import stat
import subprocess
import sys
import typing as t

import pytest

KEY = "0123456789abcdef" * 4


def mode(path: pathlib.Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def install(lab: t.Any) -> t.Callable[..., t.Any]:
    lab.write_inventory({"rack3": {"n1": {}}})
    (lab.folder / "the-key").write_text(KEY)

    def run(code: int = 0, **more: t.Any) -> t.Any:
        variables = {
            "dolly_ring_systemd_%s_dir" % name: str(lab.folder / "installed" / name) for name in ("lib", "key", "unit")
        }
        variables.update({"dolly_ring_systemd_enable": False, **more})
        role = {"name": "dolly.ring.dolly_ring", "tasks_from": "systemd"}
        task = {"name": "Install", "ansible.builtin.include_role": role, "vars": variables}
        return lab.play({"name": "Units", "hosts": "n1", "tasks": [task]}, code=code)

    return run


def test_all_is_installed_once(lab: t.Any, install: t.Callable[..., t.Any]) -> None:
    key = str(lab.folder / "the-key")
    assert install(dolly_ring_systemd_key=key).stats()["n1"]["changed"] > 0
    folder = lab.folder / "installed"
    assert (folder / "key" / "key").read_text() == KEY
    assert (mode(folder / "key"), mode(folder / "key" / "key")) == (0o700, 0o600)
    service = (folder / "unit" / "dolly.service").read_text()
    assert "LoadCredential=key:%s/key/key" % folder in service and "%s/lib/dolly.pyz" % folder in service
    assert "FileDescriptorName=knock" in (folder / "unit" / "dolly.socket").read_text()
    assert not [path for path in folder.rglob("*") if mode(path) & 0o022], "for others to write to"
    command = [sys.executable, "-I", str(folder / "lib" / "dolly.pyz"), "-V"]
    assert subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.startswith("dolly 1.")

    again = install(dolly_ring_systemd_key=key)
    assert again.stats()["n1"]["changed"] == 0


def test_without_a_key_nothing_is_installed(lab: t.Any, install: t.Callable[..., t.Any]) -> None:
    outcome = install(code=2)
    assert re.search("dolly_ring_systemd_key", str(outcome.reasons()))
    assert not (lab.folder / "installed").exists()
