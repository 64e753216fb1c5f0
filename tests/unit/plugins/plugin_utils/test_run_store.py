# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os

import pytest

from ansible_collections.dolly.ring.plugins.plugin_utils import run_store


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(run_store.C, "DEFAULT_LOCAL_TMP", str(tmp_path))
    return tmp_path


def test_only_its_owner_can_read_what_is_kept(folder):
    os.umask(os.umask(0o022))
    run_store.put("r1", "secret", "s")
    (kept,) = (path for path in folder.rglob("*") if path.is_file())
    assert kept.stat().st_mode & 0o077 == 0 == kept.parent.stat().st_mode & 0o077
    assert run_store.get("r1", "secret") == "s" and run_store.get("r2", "secret") is None
    run_store.forget("r1")
    assert run_store.get("r1", "secret") is None


def test_a_name_is_no_path(folder):
    run_store.put("r1", "host-../../x", {"a": 1})
    assert run_store.get("r1", "host-../../x") == {"a": 1}
    assert {path.parent.name for path in folder.rglob("*") if path.is_file()} == {"r1"}


def test_a_host_knows_the_last_run_that_it_had_a_part_in():
    assert run_store.told("n1") == {}
    run_store.tell("r1", "r", {"n1": {"result": 1}, "n2": {"result": 2}}, {"run_id": "r1"})
    run_store.tell("r2", "r", {"n1": {"result": 3}}, {"run_id": "r2"})
    assert (run_store.told("n1")["result"], run_store.told("n1")["summary"]) == (3, {"run_id": "r2"})
    assert (run_store.told("n2")["result"], run_store.told("n2")["summary"]) == (2, {"run_id": "r1"})


def test_a_secret_that_was_taken_lies_there_no_more(folder):
    run_store.put("r1", "secret", "s")
    assert (run_store.take("r1", "secret"), run_store.take("r1", "secret")) == ("s", None)
    assert not [path for path in folder.rglob("*") if path.is_file()]


def test_a_long_name_in_any_letters():
    for name in ("host-" + "\u4e3b" * 60, "host-" + "\u4e3b" * 61):
        run_store.put("r1", name, len(name))
        assert run_store.get("r1", name) == len(name)
